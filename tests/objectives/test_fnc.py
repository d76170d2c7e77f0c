"""FNC against the official code, with a memory over steps, and NT-Xent and SupCon as limits."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from contsemi.errors import InputError
from contsemi.losses.contrast import paired_contrast
from contsemi.objectives.fnc import Fnc

FILES = sorted((Path(__file__).parents[1] / "reference" / "parts").glob("fnc_*.npz"))
OPTIONS = {
    "temperature": 0.1,
    "variant": "attract",
    "threshold": 0.7,
    "most": 10,
    "queue": 0,
    "current_only": True,
    "teacher": [0.99, 0.99],
    "smoothing": 0.0,
    "large_views": 2,
    "labelled_views": 2,
}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_the_official_arrays(file, seen, step_of):
    with np.load(file, allow_pickle=False) as arrays:
        at = {key: torch.from_numpy(np.asarray(arrays[key])) for key in arrays.files}
    views, batch = int(at["views"]), int(at["batch"])
    memory = at.get("memory")
    objective = Fnc(
        **OPTIONS
        | {
            "temperature": float(at["temperature"]),
            "variant": "eliminate" if "elimination" in file.stem else "attract",
            "threshold": float(at["threshold"]),
            "most": int(at["topk"]),
            "large_views": views,
            "labelled_views": 0,
            "queue": 0 if memory is None else len(memory),
        }
    )
    hidden, slow = at["hidden"].requires_grad_(), None
    if memory is not None:
        # What is oldest comes last there, and the batch itself first.
        earlier = functional.normalize(memory[views * batch :].flip(0), dim=1)
        number = torch.arange(len(earlier))
        objective.stored.push(earlier, labels=torch.full_like(number, -1), born=number)
        slow = at["hidden_ema"]
    step = step_of({"large": seen(hidden, slow, number=views)}, batch)
    loss = objective.terms(step)["contrast"]
    loss.backward()
    exact = hidden.dtype == torch.float64
    rtol, atol = (1e-9, 1e-11) if exact else (1e-4, 1e-5)
    np.testing.assert_allclose(loss.item(), at["loss"], rtol=rtol)
    np.testing.assert_allclose(hidden.grad, at["grad_hidden"], rtol=rtol, atol=atol)
    if memory is not None:
        rows = objective.stored.rows.roll(-int(objective.stored.pointer), 0).flip(0)
        expected = functional.normalize(memory, dim=1)
        batch_rows = rows[: views * batch].flip(0)  # the batch keeps its own order
        found = torch.cat([batch_rows, rows[views * batch :]])
        np.testing.assert_allclose(found, expected, rtol=rtol, atol=1e-6)


def rows_of(step, name="large"):
    return step.student(name)["projector"]


@pytest.mark.parametrize("variant", ["attract", "eliminate"])
def test_with_a_threshold_above_one_it_is_nt_xent(variant, seen, step_of, random):
    rows = random(12, 5)
    objective = Fnc(**OPTIONS | {"variant": variant, "threshold": 1.01})
    loss = objective.terms(step_of({"large": seen(rows, number=2)}, 6))["contrast"]
    torch.testing.assert_close(loss, 2 * paired_contrast(*rows.split(6), temperature=0.1))


def test_by_hand(seen, step_of):
    """Two images, e1 and e2, each twice, t = 1: every view has -1 + log(e + 2)."""
    rows = torch.eye(2).repeat(2, 1)
    objective = Fnc(**OPTIONS | {"temperature": 1.0})
    loss = objective.terms(step_of({"large": seen(rows, number=2)}, 2))["contrast"]
    torch.testing.assert_close(loss, torch.tensor(2 * 0.5514), atol=1e-4, rtol=0)


def test_with_all_labels_known_attraction_is_supcon(seen, step_of, random):
    rows, labels = random(10, 5), torch.tensor([0, 1, 0, 2, 1])
    objective = Fnc(**OPTIONS)
    loss = objective.terms(step_of({"labelled": seen(rows, number=2)}, 0, labels))["contrast"]
    unit = functional.normalize(rows, dim=1)
    scores = (unit @ unit.T / 0.1).masked_fill(torch.eye(10, dtype=torch.bool), -1e30)
    same = (labels.repeat(2)[:, None] == labels.repeat(2)) & ~torch.eye(10, dtype=torch.bool)
    log_p = functional.log_softmax(scores, dim=1)
    supcon = -((log_p * same).sum(1) / same.sum(1)).mean()
    torch.testing.assert_close(loss, 2 * supcon)


@pytest.mark.parametrize("queue", [0, 64])
def test_images_with_and_without_labels_stand_together(queue, seen, step_of, random):
    """One class, far apart: they attract by their labels; of two classes they are as any others."""
    far, fast, slow = {"threshold": 1.01, "queue": queue}, random(2, 5, 5), random(2, 5, 5, seed=3)

    def loss(labels):
        unlabelled = 5 - len(labels)
        views = {
            "large": seen(*(x[:, :unlabelled].flatten(0, 1) for x in (fast, slow)), number=2),
            "labelled": seen(*(x[:, unlabelled:].flatten(0, 1) for x in (fast, slow)), number=2),
        }
        if not len(labels):
            del views["labelled"]
        return Fnc(**OPTIONS | far).terms(step_of(views, unlabelled, labels))["contrast"]

    torch.testing.assert_close(loss([0, 1]), loss([]))
    assert (loss([1, 1]) - loss([])).abs() > 0.1


def test_a_memory_larger_than_what_was_seen_changes_nothing(seen, step_of, random):
    view = {"large": seen(random(6, 5), random(6, 5, seed=1), number=2)}
    losses = [Fnc(**OPTIONS | {"queue": b}).terms(step_of(view, 3))["contrast"] for b in (6, 64)]
    torch.testing.assert_close(*losses)


def test_other_numbers_of_labelled_views_are_refused():
    with pytest.raises(InputError, match="labelled_views"):
        Fnc(**OPTIONS | {"labelled_views": 1})
