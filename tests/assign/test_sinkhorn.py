"""Sinkhorn-Knopp against the official code, and what must hold for any scores."""

from pathlib import Path

import hypothesis.extra.numpy as arrays
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from contsemi.assign.sinkhorn import sinkhorn

REFERENCE = sorted((Path(__file__).parents[1] / "reference" / "core").glob("sinkhorn_*.npz"))


def official(scores: np.ndarray, epsilon: float, iterations: int) -> np.ndarray:
    """The published updates, classes first, with the largest score taken off for safety."""
    q = np.exp((scores - scores.max()) / epsilon).T
    q /= q.sum()
    for _ in range(iterations):
        q /= q.sum(1, keepdims=True) * len(q)
        q /= q.sum(0, keepdims=True) * q.shape[1]
    return (q * q.shape[1]).T


def test_reference_files_are_there() -> None:
    assert len(REFERENCE) == 10


@pytest.mark.parametrize("path", REFERENCE, ids=lambda path: path.stem)
def test_equals_official(path: Path) -> None:
    data = np.load(path)
    scores = torch.from_numpy(data["scores"])
    found = sinkhorn(scores, epsilon=float(data["epsilon"]), iterations=int(data["iterations"]))
    rtol, atol = (1e-9, 1e-12) if scores.dtype == torch.float64 else (2e-4, 2e-5)
    np.testing.assert_allclose(found, data["q"], rtol=rtol, atol=atol)


@pytest.mark.parametrize("iterations", [0, 1, 3])
def test_queue_shares_the_balance_and_is_not_returned(iterations: int) -> None:
    scores = np.random.default_rng(0).uniform(-1, 1, (20, 5))
    found = sinkhorn(
        torch.from_numpy(scores[12:]),
        epsilon=0.05,
        iterations=iterations,
        queue=torch.from_numpy(scores[:12]),
    )
    np.testing.assert_allclose(found, official(scores, 0.05, iterations)[12:], rtol=1e-9)


@settings(deadline=None, max_examples=60)
@given(
    arrays.arrays(
        np.float32,
        st.tuples(st.integers(1, 12), st.integers(1, 8)),
        elements=st.floats(-1e4, 1e4, width=32),
    ),
    st.integers(1, 5),
)
def test_rows_sum_to_one(scores: np.ndarray, iterations: int) -> None:
    shares = sinkhorn(torch.from_numpy(scores), epsilon=0.05, iterations=iterations)
    assert (shares >= 0).all()
    np.testing.assert_allclose(shares.sum(1), 1, rtol=1e-5)


def test_many_iterations_use_classes_equally() -> None:
    scores = torch.rand(60, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    shares = sinkhorn(scores, epsilon=0.05, iterations=1000)
    torch.testing.assert_close(shares.sum(0), torch.full((6,), 10.0, dtype=torch.float64))


def test_order_of_images_does_not_matter() -> None:
    draw = torch.Generator().manual_seed(0)
    scores = torch.rand(9, 4, generator=draw, dtype=torch.float64)
    order = torch.randperm(9, generator=draw)
    shares = sinkhorn(scores, epsilon=0.05, iterations=3)
    torch.testing.assert_close(sinkhorn(scores[order], epsilon=0.05, iterations=3), shares[order])


def test_bfloat16_is_computed_in_float32_and_no_image_is_no_row() -> None:
    scores = torch.rand(8, 4, generator=torch.Generator().manual_seed(0)).bfloat16()
    shares = sinkhorn(scores, epsilon=0.05, iterations=3)
    assert shares.dtype == torch.float32
    torch.testing.assert_close(shares, sinkhorn(scores.float(), epsilon=0.05, iterations=3))
    for iterations in (0, 3):
        assert sinkhorn(scores[:0], epsilon=0.05, iterations=iterations).shape == (0, 4)


def test_takes_no_gradient() -> None:
    scores = torch.rand(4, 3, requires_grad=True)
    assert not sinkhorn(scores, epsilon=0.05, iterations=3).requires_grad
