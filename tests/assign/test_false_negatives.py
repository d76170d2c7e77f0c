"""FNC's false negatives against the official code, and its losses with values and gradients."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from contsemi.assign.false_negatives import false_negatives, support_scores
from contsemi.losses.contrast import paired_contrast
from contsemi.losses.false_negatives import attraction, elimination

FILES = sorted((Path(__file__).parents[1] / "reference" / "parts").glob("fnc_*.npz"))


def masks(views, batch, number):
    """Which candidates are of the image of a row, and which are the row itself."""
    row = torch.arange(views * batch)[:, None]
    candidate = torch.arange(number)
    current = candidate < views * batch
    return (row % batch == candidate % batch) & current, row == candidate


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_the_official_arrays(file):
    with np.load(file, allow_pickle=False) as arrays:
        at = {key: torch.from_numpy(np.asarray(arrays[key])) for key in arrays.files}
    views, batch = int(at["views"]), int(at["batch"])
    hidden = at["hidden"].requires_grad_()
    unit = functional.normalize(hidden, dim=1)
    support = functional.normalize(at.get("hidden_ema", hidden.detach()), dim=1)
    candidates = functional.normalize(at["memory"], dim=1) if "memory" in at else unit
    own, itself = masks(views, batch, len(candidates))
    scores = support_scores(support.view(views, batch, -1), candidates.detach(), own[:batch])
    false = false_negatives(scores, most=int(at["topk"]), threshold=float(at["threshold"]))
    assert torch.equal(false, at["false_negative"].bool())
    exact = hidden.dtype == torch.float64
    rtol, atol = (1e-9, 1e-11) if exact else (1e-4, 1e-5)
    np.testing.assert_allclose(scores, at["support_score"], rtol=rtol, atol=atol)
    loss_of = elimination if "elimination" in file.stem else attraction
    loss = 2 * loss_of(
        unit @ candidates.T,
        own & ~itself,
        false.repeat(views, 1),
        itself,
        temperature=float(at["temperature"]),
    )
    loss.backward()
    np.testing.assert_allclose(loss.item(), at["loss"], rtol=rtol)
    np.testing.assert_allclose(hidden.grad, at["grad_hidden"], rtol=rtol, atol=atol)


def test_without_false_negatives_it_is_nt_xent():
    views = torch.randn(2, 5, 4, generator=torch.Generator().manual_seed(0))
    rows = functional.normalize(views.flatten(0, 1), dim=1)
    own, itself = masks(2, 5, 10)
    none = torch.zeros(10, 10, dtype=torch.bool)
    expected = paired_contrast(*views, temperature=0.2)
    for loss in (attraction, elimination):
        found = loss(rows @ rows.T, own & ~itself, none, itself, temperature=0.2)
        torch.testing.assert_close(found, expected)


def test_left_out_negatives_never_raise_the_loss():
    draw = torch.Generator().manual_seed(0)
    own, itself = masks(3, 6, 18)
    none = torch.zeros(18, 18, dtype=torch.bool)
    for _ in range(20):
        scores = torch.rand(18, 18, generator=draw)
        false = (torch.rand(18, 18, generator=draw) < 0.3) & ~own
        args = {"itself": itself, "temperature": 0.3}
        assert elimination(scores, own & ~itself, false, **args) <= elimination(
            scores, own & ~itself, none, **args
        )


def test_with_every_other_image_left_out_nothing_is_left_to_learn():
    own, itself = masks(2, 5, 10)
    loss = elimination(torch.rand(10, 10), own & ~itself, ~own, itself, temperature=0.1)
    torch.testing.assert_close(loss, torch.tensor(0.0), atol=1e-6, rtol=0)


def test_a_threshold_is_strict_and_a_cosine_beyond_one_never_reached():
    scores = torch.tensor([[0.5, 0.6, 1.0]])
    assert false_negatives(scores, most=3, threshold=0.5).tolist() == [[False, True, True]]
    assert not false_negatives(scores, most=3, threshold=1.01).any()
    assert not false_negatives(scores, most=0, threshold=-1.0).any()
    assert not false_negatives(torch.full((1, 2), -2.0), most=2, threshold=-3.0).any()
