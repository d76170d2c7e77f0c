"""MIRA against the official code, and its rule for labels."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from replayed import settings
from torch.nn import functional

from contsemi.assign.mira import mira
from contsemi.errors import InputError
from contsemi.losses.swapped import swapped_cross_entropy
from contsemi.objectives.mira import Mira
from contsemi.types import Outputs, Seen

OPTIONS = {
    "clusters": 8,
    "of_class": 2,
    "temperature": 0.1,
    "teacher_temperature": 0.225,
    "beta": [0.75, 0.75],
    "iterations": 30,
    "frozen": 0,
    "teacher": [0.99, 1.0],
    "smoothing": 0.0,
    "large_views": 2,
    "small_views": 0,
    "labelled_views": 2,
}


def said(embeddings, directions):
    """What a network with these clusters says."""
    heads = {
        "projector": embeddings,
        "clusters": functional.normalize(embeddings, dim=1) @ directions.T,
        "classifier": embeddings.new_zeros(len(embeddings), 4),
    }
    return Outputs(embeddings[:, :0], heads, {"clusters": directions.detach()})


def with_scores(scores, scale=2.0**-7):
    """Unit embeddings and directions whose products are the scores [N, K] given."""
    scores = scores.double()
    short = scores * scale
    rest = (1 - (short**2).sum(dim=1, keepdim=True)).sqrt()
    directions = torch.eye(scores.shape[1] + 1).double()[:-1] / scale
    return torch.cat([short, rest], dim=1), directions


@pytest.mark.parametrize("setting", settings("mira"))
def test_it_equals_the_official_code(setting, arrays, step_of):
    at = arrays("mira", setting)
    slow, directions = with_scores(
        torch.cat([torch.from_numpy(at[f"teacher_logits{v}"]) for v in (1, 2)])
    )
    scores = [torch.from_numpy(at[f"student_logits{v}"]).requires_grad_() for v in (1, 2, 3)]

    def student(rows):
        heads = {"clusters": rows, "projector": rows}
        return Outputs(rows[:, :0], heads, {"clusters": directions})

    number = len(scores[0])
    large = Seen(student=student(torch.cat(scores[:2])), teacher=said(slow, directions), number=2)
    objective = Mira(
        **OPTIONS
        | {
            "temperature": float(at["tau_s"]),
            "teacher_temperature": float(at["tau_t"]),
            "beta": [float(at["beta"])] * 2,
            "iterations": int(at["iters"]),
            "of_class": 0,
            "small_views": 1,
        }
    )
    step = step_of({"large": large, "small": Seen(student=student(scores[2]))}, number)
    loss = objective.terms(step)["clustering"]
    loss.backward()
    np.testing.assert_allclose(loss.item(), at["loss"], rtol=1e-5)
    for v, each in enumerate(scores, 1):
        np.testing.assert_allclose(each.grad, at[f"grad{v}"], atol=1e-6)


@pytest.fixture
def step(step_of, random):
    def make(unlabelled=6, labels=(), **given):
        directions = functional.normalize(random(8, 5, seed=99).double(), dim=1).requires_grad_()
        views = {}
        for i, (name, rows) in enumerate((("large", unlabelled), ("labelled", len(labels)))):
            if rows:
                fast, slow = (
                    said(random(2 * rows, 5, seed=i + k).double(), directions) for k in (0, 5)
                )
                views[name] = Seen(student=fast, teacher=slow, number=2)
        return step_of(views, unlabelled, labels, **given), directions

    return make


def test_labelled_images_stay_among_the_clusters_of_their_class_and_count(step):
    one, directions = step(6, [3, 0])
    loss = Mira(**OPTIONS).terms(one)["clustering"]
    scores = {
        name: functional.normalize(one.teacher(name)["projector"], dim=1) @ directions.T
        for name in ("large", "labelled")
    }
    known = torch.zeros(4, 8, dtype=torch.float64)
    for row, label in enumerate([3, 0, 3, 0]):
        own = slice(2 * label, 2 * label + 2)
        known[row, own] = (scores["labelled"][row, own] / 0.225).softmax(0)
    options = {"temperature": 0.225, "beta": 0.75, "iterations": 30}
    free = torch.cat(
        [
            mira(scores["large"][6 * v : 6 * v + 6], fixed=known[2 * v : 2 * v + 2], **options)
            for v in range(2)
        ]
    )
    parts = [
        swapped_cross_entropy(
            one.student(name)["clusters"], targets, batch_size=size, temperature=0.1
        )
        for name, targets, size in (("large", free, 6), ("labelled", known, 2))
    ]
    torch.testing.assert_close(loss, (6 * parts[0] + 2 * parts[1]) / 8)


def test_without_a_label_in_the_batch_the_rule_changes_nothing(step):
    losses = [
        Mira(**OPTIONS | {"of_class": n, "labelled_views": v}).terms(step()[0])["clustering"]
        for n, v in ((2, 2), (0, 0))
    ]
    assert torch.equal(*losses)


def test_with_the_rule_off_all_images_are_alike(step):
    """A batch is the same whether some of its images have labels."""
    one, directions = step(6, [1, 2])
    off = Mira(**OPTIONS | {"of_class": 0})

    def joined(network):
        both = [getattr(one, network)(name)["projector"].view(2, -1, 5) for name in one.seen]
        return said(torch.cat(both, dim=1).flatten(0, 1), directions)

    all_alike = Seen(student=joined("student"), teacher=joined("teacher"), number=2)
    expected = off.terms(replace(step(8)[0], seen={"large": all_alike}))["clustering"]
    torch.testing.assert_close(off.terms(one)["clustering"], expected)


@pytest.mark.parametrize("frozen", [0, 1])
def test_clusters_stay_in_the_first_epochs(step, frozen):
    one, directions = step(epoch=0)
    loss = Mira(**OPTIONS | {"frozen": frozen}).terms(one)["clustering"]
    if frozen:
        torch.testing.assert_close(loss, Mira(**OPTIONS).terms(one)["clustering"])
        assert not loss.requires_grad  # the embeddings here are leaves without gradient
    else:
        loss.backward()
        assert directions.grad.any()


def test_the_weight_of_the_information_falls_by_a_cosine(step):
    moving = {"beta": [0.8, 0.4]}
    for progress, beta in ((0.0, 0.8), (0.5, 0.6)):
        one, _ = step(progress=progress)
        found = Mira(**OPTIONS | moving).terms(one)["clustering"]
        fixed = Mira(**OPTIONS | {"beta": [beta, beta]}).terms(one)["clustering"]
        torch.testing.assert_close(found, fixed)


def test_too_few_clusters_are_refused(stream_of, small):
    experience = stream_of(small())[0].experiences[0]
    with pytest.raises(InputError, match="of_class=0"):
        Mira(**OPTIONS | {"of_class": 5}).begin(experience)
