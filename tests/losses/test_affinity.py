"""PromptCAL's contrasts against the official arrays, values and gradients, and their limits."""

from pathlib import Path

import pytest
import torch

from contsemi.losses.affinity import (
    affinity_contrast,
    label_contrast,
    swapped_views,
    views_contrast,
)

FOLDER = Path(__file__).parents[1] / "reference" / "parts"


def each(pattern):
    found = sorted(FOLDER.glob(pattern))
    return pytest.mark.parametrize("path", found, ids=[path.stem for path in found])


def hidden(labels, labelled):
    return torch.where(labelled.bool(), labels, -1)


@each("promptcal_semi_*.npz")
def test_within_the_student(path, official):
    data = official.load(path)
    rows = data["embeddings"].requires_grad_()
    _check_pair(data, official, rows, rows, "grad")


@each("promptcal_cross_*.npz")
def test_between_student_and_teacher(path, official):
    data = official.load(path)
    rows = data["student"].requires_grad_()
    _check_pair(data, official, rows, data["teacher"], "grad_student")


def _check_pair(data, official, rows, others, gradient):
    labels = hidden(data["labels"], data["labelled"])
    views = views_contrast(rows, others, temperature=float(data["temperature"]))
    temperature = float(data["supcon_temperature"])
    classes = label_contrast(rows, others, labels, temperature=temperature)
    official.close(views, data["infonce"])
    if "official_raises" in data:  # no labelled row: ours is zero, without a NaN in its gradient
        assert classes == 0
        gradient, loss = "grad_infonce", views + classes
    else:
        official.close(classes, data["supcon"])
        alpha = float(data["alpha"])
        loss = (1 - alpha) * views + alpha * classes
        official.close(loss, data["loss"])
    official.close(torch.autograd.grad(loss, rows)[0], data[gradient])


@each("promptcal_graph_*.npz")
@pytest.mark.parametrize("view", ["same_view", "swapped_view"])
def test_with_stored_rows(path, view, official):
    data = official.load(path)
    rows = data["student"].requires_grad_()
    first = data["teacher"] if view == "same_view" else swapped_views(data["teacher"])
    loss = affinity_contrast(
        rows,
        first,
        data["bank"],
        data["affinity"].bool(),
        data["negative"].bool(),
        temperature=float(data["temperature"]),
    )
    official.close(loss, data[f"cal_loss_{view}"])
    official.close(torch.autograd.grad(loss, rows)[0], data[f"grad_student_{view}"])


def test_nothing_stands_still_that_should_move_and_none_moves_that_should_stand():
    draw = torch.Generator().manual_seed(0)
    student, teacher, bank = (
        torch.randn(4, 3, generator=draw, requires_grad=True) for _ in range(3)
    )
    yes = torch.eye(4, dtype=torch.bool)
    affinity_contrast(student, teacher, bank, yes, ~yes, temperature=0.1).backward()
    assert student.grad.abs().sum() > 0
    assert teacher.grad is None and bank.grad is None


def test_an_empty_bank_leaves_the_teacher_alone():
    rows = torch.randn(4, 3, generator=torch.Generator().manual_seed(0), requires_grad=True)
    none = torch.zeros(4, 0, dtype=torch.bool)
    loss = affinity_contrast(rows, rows, torch.empty(0, 3), none, none, temperature=0.1)
    assert loss == 0
    loss.backward()
    assert rows.grad.isfinite().all()
