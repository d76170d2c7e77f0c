"""ProPos: centres and scattering against the official code, and in closed form."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from contsemi.losses.regression import swapped_regression
from contsemi.losses.scattering import centres, hard_shares, scattering

FILE = Path(__file__).parents[1] / "reference" / "objectives" / "propos.npz"
with np.load(FILE, allow_pickle=False) as file:
    ARRAYS = {key: torch.from_numpy(np.asarray(file[key])) for key in file.files}
SETTINGS = sorted({key.partition("_")[0] for key in ARRAYS})


@pytest.mark.parametrize("setting", SETTINGS)
def test_the_official_arrays(setting):
    at = {key.partition("_")[2]: value for key, value in ARRAYS.items() if key.startswith(setting)}
    views = [at[f"view{v}"].requires_grad_() for v in (1, 2)]
    shares = hard_shares(at["cluster_of"], int(at["clusters"]))
    torch.testing.assert_close(centres(views[0], shares), at["centres_hard"])
    torch.testing.assert_close(centres(views[0], at["soft_labels"]), at["centres_soft"])
    both = [centres(view, shares) for view in views]
    options = {"temperature": float(at["temperature"]), "empty": -10.0}
    loss = sum(
        scattering(own, other, shares.any(dim=0), **options) / 2
        for own, other in (both, both[::-1])
    )
    torch.testing.assert_close(loss, at["scattering_loss"])
    rows = functional.normalize(torch.cat(views), dim=1)
    align = swapped_regression(torch.cat(views), rows, batch_size=len(views[0])) - 2
    torch.testing.assert_close(align, at["alignment_loss"])
    (align + 0.1 * loss).backward()
    for v, view in enumerate(views, 1):
        torch.testing.assert_close(view.grad, at[f"grad_view{v}"], atol=1e-6, rtol=1e-4)


def test_one_hot_shares_are_hard_clusters():
    rows = torch.randn(10, 4, generator=torch.Generator().manual_seed(0))
    cluster = torch.arange(10) % 3
    one_hot = functional.one_hot(cluster, 4)
    assert torch.equal(hard_shares(cluster, 4), one_hot.float())
    assert torch.equal(centres(rows, one_hot), centres(rows, hard_shares(cluster, 4)))
    assert not centres(rows, one_hot)[3].any()


@pytest.mark.parametrize("empty", [-10.0, -math.inf])
def test_two_orthogonal_clusters(empty):
    both = torch.tensor([True, True])
    loss = scattering(torch.eye(2), torch.eye(2), both, temperature=0.5, empty=empty)
    assert loss.item() == pytest.approx(math.log(1 + math.exp(-2)), rel=1e-5)


def test_one_cluster_has_nothing_to_scatter():
    own = torch.eye(3)[:1].requires_grad_()
    loss = scattering(own, own, torch.tensor([True]), temperature=0.5, empty=-10.0)
    loss.backward()
    assert loss == 0
    assert not own.grad.any()


def test_empty_clusters_leak_or_are_left_out():
    own, present = torch.eye(3), torch.tensor([True, True, False])
    own = own * present[:, None]
    options = {"temperature": 0.5}
    leaking = scattering(own, own, present, empty=-10.0, **options)
    expected = math.log(math.exp(2) + 1 + math.exp(-10)) - 2
    assert leaking.item() == pytest.approx(expected, rel=1e-5)
    without = scattering(own, own, present, empty=-math.inf, **options)
    assert without.item() == pytest.approx(math.log(1 + math.exp(-2)), rel=1e-5)
    assert scattering(own, own, torch.zeros(3, dtype=torch.bool), empty=-10.0, **options) == 0
