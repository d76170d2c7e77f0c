"""MIRA's assignment against the official code, its optimum and its limits."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from contsemi.assign.each_view import each_view
from contsemi.assign.mira import mira

FILE = Path(__file__).parents[1] / "reference" / "objectives" / "mira.npz"
with np.load(FILE, allow_pickle=False) as file:
    ARRAYS = dict(file)
SETTINGS = sorted({key.partition("_")[0] for key in ARRAYS})


def rows(*shape, seed=0):
    draw = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=draw, dtype=torch.float64)


@pytest.mark.parametrize("setting", SETTINGS)
def test_it_equals_the_official_code(setting):
    at = {key.partition("_")[2]: value for key, value in ARRAYS.items() if key.startswith(setting)}
    entropies = []
    for view in (1, 2):
        found = mira(
            torch.from_numpy(at[f"teacher_logits{view}"]),
            temperature=float(at["tau_t"]),
            beta=float(at["beta"]),
            iterations=int(at["iters"]),
        )
        np.testing.assert_allclose(found, at[f"target{view}"], rtol=1e-5, atol=1e-6)
        mean = found.mean(dim=0)
        entropies.append((-(found * found.log()).sum(1).mean(), -(mean * mean.log()).sum()))
    of_images, of_use = torch.tensor(entropies).mean(dim=0)
    np.testing.assert_allclose(of_images, at["entropy_target"], rtol=1e-5)
    np.testing.assert_allclose(of_use, at["marginal_entropy_target"], rtol=1e-5)


def test_without_information_it_is_the_softmax():
    scores = rows(7, 4)
    found = mira(scores, temperature=0.3, beta=0.0, iterations=5)
    torch.testing.assert_close(found, (scores / 0.3).softmax(dim=1))


def objective(w, p, beta):
    mean = w.mean(dim=0)
    mutual = -(mean * mean.log()).sum() + (w * w.log()).sum(dim=1).mean()
    return (w * (w / p).log()).sum(dim=1).mean() - beta * mutual


@pytest.mark.parametrize("beta", [0.3, 0.75])
def test_no_move_on_the_simplex_lowers_its_objective(beta):
    scores = rows(8, 5)
    p = (scores / 0.5).softmax(dim=1)
    found = mira(scores, temperature=0.5, beta=beta, iterations=400)
    least = objective(found, p, beta)
    for seed in range(50):
        other = rows(8, 5, seed=seed + 1).softmax(dim=1)
        for step in (1e-4, 1e-2, 0.3):
            assert objective((1 - step) * found + step * other, p, beta) >= least - 1e-12


@pytest.mark.parametrize("beta", [2 / 3, 0.75])
def test_rows_agree_with_their_mean(beta):
    """w_ij is proportional to p_ij^(1 / (1 - beta)) m_j^(-beta / (1 - beta))."""
    scores = rows(16, 6)
    found = mira(scores, temperature=0.4, beta=beta, iterations=400)
    log_p = functional.log_softmax(scores / 0.4, dim=1)
    expected = ((log_p - beta * found.mean(dim=0).log()) / (1 - beta)).softmax(dim=1)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-8)


def test_rows_and_columns_may_be_permuted():
    scores = rows(9, 6)
    options = {"temperature": 0.2, "beta": 0.6, "iterations": 30}
    by_row, by_column = torch.randperm(9), torch.randperm(6)
    found = mira(scores[by_row][:, by_column], **options)
    torch.testing.assert_close(found, mira(scores, **options)[by_row][:, by_column])


def test_two_images_of_two_classes():
    found = mira(torch.diag(torch.tensor([0.7, 0.7])), temperature=0.5, beta=0.4, iterations=50)
    expected = torch.sigmoid(torch.tensor(0.7 / (0.5 * 0.6)))
    torch.testing.assert_close(found[0, 0], expected)
    torch.testing.assert_close(found.sum(dim=1), torch.ones(2))


def test_more_weight_makes_images_surer_and_use_more_even():
    scores = rows(12, 3)
    found = [mira(scores, temperature=5.0, beta=beta, iterations=5000) for beta in (0, 0.9, 0.999)]
    sureness = [w.max(dim=1).values.mean() for w in found]
    assert sureness[0] < sureness[1] < sureness[2]
    assert sureness[2] > 0.9
    greedy = functional.one_hot(scores.argmax(dim=1), 3).double().mean(dim=0)
    assert (greedy - 1 / 3).abs().max() > 0.08
    assert (found[2].mean(dim=0) - 1 / 3).abs().max() < 0.02


def test_great_scores_stay_finite():
    found = mira(rows(6, 4).float() * 1e4, temperature=0.1, beta=0.75, iterations=30)
    assert found.isfinite().all()
    torch.testing.assert_close(found.sum(dim=1), torch.ones(6))


@pytest.mark.parametrize("shape", [(1, 5), (4, 1), (0, 3)])
def test_one_image_one_class_or_none(shape):
    found = mira(rows(*shape), temperature=0.1, beta=0.75, iterations=30)
    assert found.shape == shape
    torch.testing.assert_close(found.sum(dim=1), torch.ones(shape[0]).double())


def test_known_rows_count_in_the_balance_and_leave_the_others_stationary():
    scores, known = rows(10, 4), torch.eye(4, dtype=torch.float64)[torch.tensor([0, 0, 0, 2])]
    options = {"temperature": 0.5, "beta": 0.6, "iterations": 400}
    found = mira(scores, fixed=known, **options)
    mean = torch.cat([found, known]).mean(dim=0)
    log_p = functional.log_softmax(scores / 0.5, dim=1)
    torch.testing.assert_close(found, ((log_p - 0.6 * mean.log()) / 0.4).softmax(dim=1))
    assert found[:, 0].mean() < mira(scores, **options)[:, 0].mean()
    none = torch.empty(0, 4, dtype=torch.float64)
    assert torch.equal(mira(scores, fixed=none, **options), mira(scores, **options))


def test_queued_rows_share_the_balance_and_are_not_returned():
    scores, queue = rows(4, 3), rows(6, 3, seed=1)
    options = {"temperature": 0.5, "beta": 0.6, "iterations": 30}
    both = mira(torch.cat([queue, scores]), **options)
    assert torch.equal(mira(scores, queue=queue, **options), both[6:])


def test_each_view_by_itself():
    scores = rows(6, 3)
    options = {"temperature": 0.5, "beta": 0.6, "iterations": 30}
    found = each_view(partial(mira, **options), scores, batch_size=3)
    assert torch.equal(found, torch.cat([mira(half, **options) for half in scores.split(3)]))
