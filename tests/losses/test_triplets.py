"""CCIC's triplets and votes against its official code."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from contsemi.assign.near_classes import nearest_votes
from contsemi.losses.triplets import hard_triplets, repelled

REFERENCE = Path(__file__).parents[1] / "reference" / "parts"
TRIPLETS = sorted(REFERENCE.glob("ccic_triplet*.npz"))
VOTES = sorted(REFERENCE.glob("ccic_knn*.npz"))


def test_reference_files_are_there():
    assert (len(TRIPLETS), len(VOTES)) >= (4, 2)


def close(found, expected):
    exact = found.dtype == torch.float64
    rtol, atol = (1e-9, 1e-11) if exact else (1e-4, 1e-5 * max(1.0, np.abs(expected).max()))
    np.testing.assert_allclose(found.detach(), expected, rtol=rtol, atol=atol)


@pytest.mark.parametrize("path", TRIPLETS, ids=lambda path: path.stem)
def test_triplets_equal_the_official_code(path):
    data = np.load(path, allow_pickle=False)
    labels = torch.from_numpy(data["labels"])
    rows = torch.from_numpy(data["embeddings"]).requires_grad_()
    loss = hard_triplets(
        rows,
        labels,
        k=int(data["k"]),
        margin=float(data["margin"]),
        soft=bool(data["soft_margin"]),
    )
    (grad,) = torch.autograd.grad(loss, rows)
    if "triplet_is_none" in data:
        assert loss == 0 and not grad.any()
    else:
        close(loss, data["triplet_loss"])
        close(grad, data["triplet_grad"])


@pytest.mark.parametrize(
    "path", [p for p in TRIPLETS if "negative_only_loss" in np.load(p)], ids=lambda path: path.stem
)
def test_repulsion_equals_the_official_code(path):
    data = np.load(path, allow_pickle=False)
    rows = torch.from_numpy(data["embeddings"]).requires_grad_()
    memory = torch.from_numpy(data["is_memory"]) > 0
    loss = repelled(
        rows,
        memory.long(),
        k=int(data["k"]),
        margin=float(data["margin"]),
        soft=bool(data["soft_margin"]),
    )
    (grad,) = torch.autograd.grad(loss, rows)
    close(loss, data["negative_only_loss"])
    close(grad, data["negative_only_grad"])


@pytest.mark.parametrize("path", VOTES, ids=lambda path: path.stem)
def test_votes_equal_the_official_code(path):
    data = np.load(path, allow_pickle=False)
    labels = torch.from_numpy(data["memory_labels"])
    scores = nearest_votes(
        normalize(torch.from_numpy(data["features"]), dim=1),
        normalize(torch.from_numpy(data["memory"]), dim=1),
        labels,
        data["scores"].shape[1],
        k=int(data["k"]),
    )
    there = scores.isfinite().all(0)
    assert there.nonzero()[:, 0].tolist() == labels.unique().tolist()
    close(scores[:, there], data["scores"][:, there])
    assert np.array_equal(scores.argmax(1), data["prediction"])


def test_no_row_no_loss():
    rows = torch.zeros(0, 3, requires_grad=True)
    for loss in (
        hard_triplets(rows, torch.zeros(0, dtype=torch.int64), k=2, margin=1.0),
        repelled(rows, torch.zeros(0, dtype=torch.int64), k=2),
    ):
        loss.backward()
        assert loss == 0


def test_one_group_alone_is_not_pushed():
    rows = torch.zeros(3, 2, requires_grad=True)
    loss = repelled(rows, torch.tensor([1, 1, -1]), k=2)
    loss.backward()
    assert loss == 0 and not rows.grad.any()
