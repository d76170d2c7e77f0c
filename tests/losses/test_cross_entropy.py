"""Cross-entropies against numpy and the official label matrices."""

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.special import log_softmax

from contsemi.losses.cross_entropy import (
    cross_entropy,
    label_cross_entropy,
    smooth_labels,
    soft_cross_entropy,
)

REFERENCE = Path(__file__).parents[1] / "reference" / "core"


@pytest.mark.parametrize("case", range(4))
def test_smooth_labels_equal_official_matrix(case: int) -> None:
    data = np.load(REFERENCE / "labels_matrix.npz")
    classes, images, smoothing = data[f"m{case}_spec"]
    labels = torch.arange(int(classes)).repeat(int(images))  # a, b, c, a, b, c, ...
    found = smooth_labels(labels, int(classes), smoothing=float(smoothing))
    np.testing.assert_allclose(found, data[f"m{case}"], rtol=1e-6)


def test_soft_cross_entropy_is_the_mean_over_rows() -> None:
    draw = np.random.default_rng(0)
    logits, targets = draw.normal(size=(7, 4)), draw.dirichlet(np.ones(4), 7)
    found = soft_cross_entropy(torch.from_numpy(logits), torch.from_numpy(targets), temperature=0.1)
    expected = -(targets * log_softmax(logits / 0.1, axis=1)).sum(1).mean()
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_label_cross_entropy_is_that_of_smooth_labels() -> None:
    draw = torch.Generator().manual_seed(0)
    logits = torch.randn(6, 5, generator=draw)
    labels = torch.tensor([0, 4, 2, 2, 1, 0])
    targets = smooth_labels(labels, 5, smoothing=0.1)
    torch.testing.assert_close(
        label_cross_entropy(logits, labels, temperature=0.1, smoothing=0.1),
        soft_cross_entropy(logits, targets, temperature=0.1),
    )


def test_gradients() -> None:
    draw = torch.Generator().manual_seed(0)
    logits = torch.randn(3, 4, generator=draw, dtype=torch.float64, requires_grad=True)
    targets = torch.rand(3, 4, generator=draw, dtype=torch.float64).softmax(1)
    labels = torch.tensor([3, 0, 1])
    assert torch.autograd.gradcheck(
        lambda x: soft_cross_entropy(x, targets, temperature=0.5), (logits,)
    )
    assert torch.autograd.gradcheck(
        lambda x: label_cross_entropy(x, labels, temperature=0.5, smoothing=0.1), (logits,)
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_finite_at_large_scores(dtype: torch.dtype) -> None:
    logits = torch.tensor([[1e4, -1e4, 0.0], [-1e4, 1e4, 1e4]], dtype=dtype, requires_grad=True)
    targets = torch.tensor([[0.0, 1.0, 0.0], [0.5, 0.0, 0.5]])
    loss = soft_cross_entropy(logits, targets, temperature=0.1) + label_cross_entropy(
        logits, torch.tensor([1, 0]), temperature=0.1, smoothing=0.1
    )
    loss.backward()
    assert loss.dtype == torch.float32
    assert loss.isfinite() and logits.grad is not None and logits.grad.isfinite().all()


def test_one_class_and_no_row_are_zero_with_a_graph() -> None:
    logits = torch.randn(3, 1, requires_grad=True)
    assert label_cross_entropy(logits, torch.zeros(3).long(), temperature=0.1, smoothing=0.1) == 0
    empty = torch.randn(0, 4, requires_grad=True)
    nothing = torch.zeros(0, dtype=torch.int64)
    for loss in (
        cross_entropy(empty, torch.zeros(0, 4)),
        soft_cross_entropy(empty, torch.zeros(0, 4), temperature=0.1),
        label_cross_entropy(empty, nothing, temperature=0.1, smoothing=0.1),
    ):
        loss.backward()
        assert loss == 0
