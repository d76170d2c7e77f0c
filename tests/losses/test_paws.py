"""PAWS: targets, loss, me-max and all gradients against the official code."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from contsemi.losses.cross_entropy import cross_entropy
from contsemi.losses.nearest import soft_nearest_neighbours
from contsemi.losses.paws import mean_entropy_maximisation, sharpen, sharpened_targets

REFERENCE = sorted((Path(__file__).parents[1] / "reference" / "core").glob("paws_*.npz"))


def tolerance(array: np.ndarray) -> dict[str, float]:
    wide = array.dtype == np.float64
    return {"rtol": 1e-9, "atol": 1e-11} if wide else {"rtol": 2e-4, "atol": 2e-5}


class Case:
    """One official file, and our log-probabilities of its anchors and targets."""

    def __init__(self, path: Path) -> None:
        self.data = np.load(path)
        self.batch, self.small = int(self.data["batch"]), int(self.data["multicrop"])
        self.sharpening = float(self.data["T"])
        self.anchors = self.tensor("anchor_views").requires_grad_()
        self.supports = self.tensor("anchor_supports").requires_grad_()
        self.log_probs = self.votes(self.anchors, self.supports)
        # In the file the large views are already swapped; ours come in their own order.
        target_views = self.tensor("target_views").roll(self.batch, 0)
        self.targets = sharpened_targets(
            self.votes(target_views, self.tensor("target_supports")),
            batch_size=self.batch,
            small_views=self.small,
            sharpening=self.sharpening,
        )

    def tensor(self, name: str) -> Tensor:
        return torch.from_numpy(self.data[name])

    def votes(self, queries: Tensor, supports: Tensor) -> Tensor:
        labels, temperature = self.tensor("support_labels"), float(self.data["tau"])
        return soft_nearest_neighbours(queries, supports, labels, temperature=temperature)


@pytest.fixture(params=REFERENCE, ids=lambda path: path.stem)
def case(request: pytest.FixtureRequest) -> Case:
    return Case(request.param)


def test_reference_files_are_there() -> None:
    assert len(REFERENCE) == 9


def test_targets_equal_official(case: Case) -> None:
    expected = case.data["target_probs_sharpened"]  # before the negligible ones are dropped
    kept = np.where(expected < 1e-4, 0, expected)
    found = case.targets[: 2 * case.batch]
    np.testing.assert_allclose(found, kept, **tolerance(expected))
    assert len(case.targets) == (2 + case.small) * case.batch


def test_sharpened_anchors_equal_official(case: Case) -> None:
    expected = case.data["anchor_probs_sharpened"]
    found = sharpen(case.log_probs.detach(), sharpening=case.sharpening).exp()
    np.testing.assert_allclose(found, expected, **tolerance(expected))


@pytest.mark.parametrize("name", ["loss", "me_max"])
def test_losses_and_gradients_equal_official(case: Case, name: str) -> None:
    if name == "loss":
        loss = cross_entropy(case.log_probs, case.targets)
    else:
        loss = mean_entropy_maximisation(case.log_probs, sharpening=case.sharpening)
    loss.backward()
    np.testing.assert_allclose(loss.detach(), case.data[name], **tolerance(case.data[name]))
    for side, tensor in (("anchor", case.anchors), ("support", case.supports)):
        expected = case.data[f"grad_{side}_{name}"]
        np.testing.assert_allclose(tensor.grad, expected, **tolerance(expected))


def test_small_views_get_the_mean_not_sharpened_again() -> None:
    log_probs = torch.tensor([[0.5, 0.5], [0.9, 0.1]]).log()
    targets = sharpened_targets(log_probs, batch_size=1, small_views=2, sharpening=1.0)
    expected = torch.tensor([[0.9, 0.1], [0.5, 0.5], [0.7, 0.3], [0.7, 0.3]])
    torch.testing.assert_close(targets, expected)


def test_three_large_views_get_the_mean_of_the_other_two() -> None:
    log_probs = torch.tensor([[0.2, 0.8], [0.4, 0.6], [0.9, 0.1]]).log()
    targets = sharpened_targets(log_probs, batch_size=1, small_views=0, sharpening=1.0)
    expected = torch.tensor([[0.65, 0.35], [0.55, 0.45], [0.3, 0.7]])
    torch.testing.assert_close(targets, expected)


def test_gradients() -> None:
    draw = torch.Generator().manual_seed(0)
    logits = torch.randn(5, 3, generator=draw, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda x: mean_entropy_maximisation(x.log_softmax(1), sharpening=0.25), (logits,)
    )
    assert torch.autograd.gradcheck(lambda x: sharpen(x.log_softmax(1), sharpening=0.25), (logits,))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_finite_at_large_scores(dtype: torch.dtype) -> None:
    log_probs = torch.tensor([[0.0, -1e4, -1e4], [-1e4, 0.0, -1e4]], dtype=dtype)
    log_probs.requires_grad_()
    loss = mean_entropy_maximisation(log_probs, sharpening=0.25)
    loss.backward()
    np.testing.assert_allclose(loss.detach(), -np.log(2), rtol=1e-5)
    assert log_probs.grad is not None and log_probs.grad.isfinite().all()
    targets = sharpened_targets(log_probs, batch_size=1, small_views=1, sharpening=0.25)
    assert targets.isfinite().all()


def test_me_max_is_least_where_classes_are_used_evenly() -> None:
    even, uneven = torch.eye(4).clamp_min(1e-6).log(), torch.eye(4)[[0, 0, 1, 2]].clamp_min(1e-6)
    least = mean_entropy_maximisation(even, sharpening=0.25)
    np.testing.assert_allclose(least, -np.log(4), rtol=1e-5)
    assert mean_entropy_maximisation(uneven.log(), sharpening=0.25) > least
