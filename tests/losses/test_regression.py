"""Regression against solo-learn's BYOL loss and against sums over pairs in NumPy."""

from pathlib import Path

import numpy as np
import pytest
import torch

from contsemi.blocks.predicted import predicted, regression
from contsemi.losses.regression import class_means, swapped_regression
from contsemi.types import Outputs

BYOL = np.load(
    Path(__file__).parents[1] / "reference" / "objectives" / "byol.npz", allow_pickle=False
)


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def unit(rows):
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def test_one_pair_equals_solo_learn():
    prediction = torch.from_numpy(BYOL["prediction"]).requires_grad_()
    target = torch.nn.functional.normalize(torch.from_numpy(BYOL["target"]), dim=1)
    views = torch.cat([torch.zeros_like(prediction), prediction])
    loss = swapped_regression(views, target, batch_size=len(target))
    loss.backward()
    np.testing.assert_allclose(loss.item(), BYOL["loss"], rtol=1e-6)
    np.testing.assert_allclose(prediction.grad, BYOL["grad_prediction"], atol=1e-6)


@pytest.mark.parametrize(("views", "aims"), [(2, 1), (2, 2), (4, 2), (3, 3)])
def test_it_is_the_mean_distance_of_all_pairs(views, aims):
    predictions = random(views * 5, 3).requires_grad_()
    targets = torch.from_numpy(unit(random(aims * 5, 3, seed=1).numpy()))
    loss = swapped_regression(predictions, targets, batch_size=5)
    loss.backward()
    rows, goals = unit(predictions.detach().numpy()).reshape(views, 5, 3), targets.view(aims, 5, 3)
    pairs = [(v, t) for v in range(views) for t in range(aims) if v != t]
    expected = np.mean([((rows[v] - goals[t].numpy()) ** 2).sum(1).mean() for v, t in pairs])
    np.testing.assert_allclose(loss.detach(), expected, rtol=1e-12)
    # d/dp of -2 <p/|p|, g> is -2 (g - q <q, g>) / |p|.
    total = np.zeros_like(rows)
    for v, t in pairs:
        goal = goals[t].numpy()
        total[v] += -2 * (goal - rows[v] * (rows[v] * goal).sum(1, keepdims=True))
    length = np.linalg.norm(predictions.detach().numpy(), axis=1).reshape(views, 5, 1)
    expected = (total / length / (len(pairs) * 5)).reshape(-1, 3)
    np.testing.assert_allclose(predictions.grad, expected, rtol=1e-9, atol=1e-14)


@pytest.mark.parametrize(("sign", "expected"), [(1, 0.0), (-1, 4.0)])
def test_limit_cases(sign, expected):
    rows = torch.eye(4)
    loss = swapped_regression(torch.cat([sign * 3 * rows] * 2), rows.repeat(2, 1), batch_size=4)
    assert loss == expected
    across = swapped_regression(rows.roll(1, 0).repeat(2, 1), rows.repeat(2, 1), batch_size=4)
    assert across == 2


def test_a_mean_of_targets_is_the_mean_of_their_distances():
    predictions, targets = random(8, 3), random(3, 4, 3, seed=1)
    targets = torch.nn.functional.normalize(targets, dim=2)
    losses = [swapped_regression(predictions, each, batch_size=4) for each in targets]
    mean = swapped_regression(predictions, targets.mean(0), batch_size=4)
    torch.testing.assert_close(mean, torch.stack(losses).mean())


def test_no_rows_and_no_pair():
    nothing = torch.zeros(0, 3, requires_grad=True)
    swapped_regression(nothing, nothing.detach(), batch_size=0).backward()
    alone = random(4, 3).requires_grad_()
    loss = swapped_regression(alone, random(4, 3), batch_size=4)
    loss.backward()
    assert loss == 0 and not alone.grad.any()
    with pytest.raises(ValueError, match="whole views"):
        swapped_regression(alone, alone, batch_size=3)
    with pytest.raises(ValueError, match="at least as many"):
        swapped_regression(alone[:2], alone, batch_size=2)


def test_class_means():
    rows, labels = random(5, 3), torch.tensor([1, 0, 1, 2, 1])
    means = class_means(rows, labels)
    torch.testing.assert_close(means[0], rows[[0, 2, 4]].mean(0))
    torch.testing.assert_close(means[4], means[0])
    torch.testing.assert_close(means[[1, 3]], rows[[1, 3]])


def test_groups_of_a_step(make_step):
    def out(rows, seed):
        made = random(rows, 3, seed=seed)
        return Outputs(made, {"predictor": made, "projector": 2 * made})

    step = make_step(
        large=out(8, 0),
        small=out(4, 1),
        teacher=out(8, 2),
        batch_size=4,
        labelled=out(6, 3),
        teacher_labelled=out(6, 4),
        labels=torch.tensor([1, 0, 1]),
    )
    unlabelled, labelled = predicted(step)
    assert unlabelled.predictions.shape == (12, 3) and unlabelled.size == 4
    assert unlabelled.labels.tolist() == [-1] * 8
    assert unlabelled.ids.tolist() == [0, 1, 2, 3] * 2
    assert labelled.labels.tolist() == [1, 0, 1] * 2 and labelled.labelled
    torch.testing.assert_close(labelled.targets.norm(dim=1), torch.ones(6, dtype=torch.float64))
    both = regression([unlabelled, labelled], torch.cat([unlabelled.targets, labelled.targets]))
    losses = [
        swapped_regression(group.predictions, group.targets, batch_size=group.size)
        for group in (unlabelled, labelled)
    ]
    torch.testing.assert_close(both, (4 * losses[0] + 3 * losses[1]) / 7)
    assert predicted(make_step()) == []
