"""Soft nearest neighbours against official arrays, numpy in float64, and invariances."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import logsumexp
from torch import Tensor

from contsemi.losses import nearest
from contsemi.losses.cross_entropy import cross_entropy, smooth_labels
from contsemi.losses.nearest import (
    nearest_classes,
    soft_nearest_neighbours,
    support_labels,
)

REFERENCE = sorted((Path(__file__).parents[1] / "reference" / "core").glob("paws_*.npz"))


def expected_log_probs(
    queries: Tensor, supports: Tensor, labels: Tensor, temperature: float
) -> np.ndarray:
    q, s, y = (x.detach().double().numpy() for x in (queries, supports, labels))
    q, s = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (q, s))
    scores = (q @ s.T / temperature)[:, :, None]
    with np.errstate(divide="ignore"):
        return logsumexp(scores + np.log(y)[None], axis=1) - logsumexp(scores, axis=1)


def example(seed: int = 0, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor, Tensor]:
    draw = torch.Generator().manual_seed(seed)
    labels = smooth_labels(torch.arange(9) % 3, 3, smoothing=0.1)
    queries, supports = torch.randn(4, 5, generator=draw), torch.randn(9, 5, generator=draw)
    return queries.to(dtype), supports.to(dtype), labels.to(dtype)


@pytest.mark.parametrize("path", REFERENCE, ids=lambda path: path.stem)
def test_equals_official(path: Path) -> None:
    data = np.load(path)
    labels = torch.from_numpy(data["support_labels"])
    rtol, atol = (1e-9, 1e-12) if labels.dtype == torch.float64 else (2e-4, 2e-5)
    for side, probs in (("anchor", "probs"), ("target", "target_probs")):
        found = soft_nearest_neighbours(
            torch.from_numpy(data[f"{side}_views"]),
            torch.from_numpy(data[f"{side}_supports"]),
            labels,
            temperature=float(data["tau"]),
        )
        np.testing.assert_allclose(found.exp(), data[probs], rtol=rtol, atol=atol)


@pytest.mark.parametrize("temperature", [1.0, 0.1, 0.03, 0.015, 0.003, 1e-4])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_exact_far_below_the_smallest_float(temperature: float, dtype: torch.dtype) -> None:
    queries, supports, _ = example(dtype=dtype)
    labels = smooth_labels(torch.arange(9) % 3, 3, smoothing=0.0)
    queries.requires_grad_()
    found = soft_nearest_neighbours(queries, supports, labels, temperature=temperature)
    expected = expected_log_probs(queries, supports, labels, temperature)
    tolerance = 1e-9 if dtype == torch.float64 else 2e-5
    np.testing.assert_allclose(
        found.detach(), expected, rtol=tolerance, atol=1 / temperature * 1e-6
    )
    found.mean().backward()
    assert queries.grad is not None and queries.grad.isfinite().all()


@pytest.mark.parametrize("temperature", [0.5, 0.01])  # one for each way of computing
def test_both_ways_agree_and_have_right_gradients(temperature: float) -> None:
    queries, supports, labels = example()
    weights = torch.tensor([1, 0, 0.5, 1, 1, 0, 2, 1, 1], dtype=torch.float64)
    queries.requires_grad_()
    supports.requires_grad_()

    def log_probs(q: Tensor, s: Tensor) -> Tensor:
        return soft_nearest_neighbours(q, s, labels, temperature=temperature, weights=weights)

    assert torch.autograd.gradcheck(log_probs, (queries, supports))


def test_product_equals_broadcast() -> None:
    draw = torch.Generator().manual_seed(0)
    scores = 20 * torch.rand(6, 9, generator=draw, dtype=torch.float64) - 10
    labels = torch.rand(9, 3, generator=draw, dtype=torch.float64).softmax(1)
    torch.testing.assert_close(
        nearest._by_product(scores, labels), nearest._by_broadcast(scores, labels)
    )


@pytest.mark.parametrize("temperature", [0.1, 0.01])
def test_weight_zero_is_absence_and_weight_two_is_twice(temperature: float) -> None:
    queries, supports, labels = example()
    chosen = torch.tensor([0, 1, 2, 3, 4, 4, 8])
    weights = torch.tensor([1, 1, 1, 1, 2, 0, 0, 0, 1], dtype=torch.float64)
    repeated = soft_nearest_neighbours(
        queries, supports[chosen], labels[chosen], temperature=temperature
    )
    weighted = soft_nearest_neighbours(
        queries, supports, labels, temperature=temperature, weights=weights
    )
    torch.testing.assert_close(weighted, repeated)


@pytest.mark.parametrize("temperature", [0.1, 0.01])
def test_query_without_support_moves_nothing(temperature: float) -> None:
    queries, supports, labels = example(dtype=torch.float32)
    queries.requires_grad_()
    weights = torch.ones(4, 9)
    weights[1] = 0
    log_probs = soft_nearest_neighbours(
        queries, supports, labels, temperature=temperature, weights=weights
    )
    cross_entropy(log_probs, labels[:4]).backward()
    assert (log_probs[1] == 0).all() and log_probs.isfinite().all()
    assert queries.grad is not None and queries.grad.isfinite().all()
    assert (queries.grad[1] == 0).all() and (queries.grad[0] != 0).any()


@pytest.mark.parametrize("temperature", [0.1, 0.001])
def test_class_without_support_is_improbable_but_finite(temperature: float) -> None:
    queries, supports, _ = example(dtype=torch.float32)
    queries.requires_grad_()
    labels = smooth_labels(torch.arange(9) % 3, 4, smoothing=0.0)
    log_probs = soft_nearest_neighbours(queries, supports, labels, temperature=temperature)
    cross_entropy(log_probs, log_probs.detach().exp()).backward()
    assert log_probs.isfinite().all() and (log_probs[:, 3] < -80).all()
    assert queries.grad is not None and queries.grad.isfinite().all()


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10_000), st.sampled_from([0.1, 0.01]))
def test_order_of_supports_does_not_matter(seed: int, temperature: float) -> None:
    queries, supports, labels = example(seed)
    order = torch.randperm(9, generator=torch.Generator().manual_seed(seed))
    found = soft_nearest_neighbours(queries, supports, labels, temperature=temperature)
    torch.testing.assert_close(
        soft_nearest_neighbours(queries, supports[order], labels[order], temperature=temperature),
        found,
    )
    np.testing.assert_allclose(found.exp().sum(1), 1, rtol=1e-6)  # labels are float32


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("size", [1e-4, 1e4])
def test_finite_at_any_length_of_embeddings(dtype: torch.dtype, size: float) -> None:
    queries, supports, labels = example(dtype=dtype)
    queries = (queries * size).requires_grad_()
    found = soft_nearest_neighbours(queries, supports * size, labels, temperature=0.1)
    found.mean().backward()
    assert found.dtype == torch.float32
    assert found.isfinite().all() and queries.grad is not None and queries.grad.isfinite().all()


def test_autocast_does_not_lower_the_precision() -> None:
    queries, supports, labels = example(dtype=torch.float32)
    plain = soft_nearest_neighbours(queries, supports, labels, temperature=0.1)
    with torch.autocast("cpu", torch.bfloat16):
        found = soft_nearest_neighbours(queries, supports, labels, temperature=0.1)
    assert torch.equal(found, plain)


@pytest.mark.parametrize("temperature", [0.5, 0.01])  # one for each way of computing
@pytest.mark.parametrize("weighted", ["no", "rows", "queries"])
def test_views_share_their_labels(temperature: float, weighted: str) -> None:
    queries, supports, labels = example()
    views = torch.cat([supports, supports.flip(1), -supports])
    weights = torch.tensor([1, 0, 0.5, 1, 1, 0, 2, 1, 1], dtype=torch.float64)
    once = {"no": None, "rows": weights, "queries": weights.repeat(3).expand(4, -1)}[weighted]
    each = weights.repeat(3) if weighted == "rows" else once
    queries.requires_grad_()
    views.requires_grad_()
    found = []
    for given_labels, given_weights in ((labels.repeat(3, 1), each), (labels, once)):
        log_probs = soft_nearest_neighbours(
            queries, views, given_labels, temperature=temperature, weights=given_weights
        )
        slopes = torch.autograd.grad(log_probs.square().sum(), (queries, views))
        found.append([log_probs, *slopes])
    for whole, shared in zip(*found, strict=True):
        torch.testing.assert_close(shared, whole, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("temperature", [0.5, 0.01])
def test_no_query_gets_no_vote(temperature: float) -> None:
    queries, supports, labels = example()
    views = supports.repeat(2, 1)
    found = soft_nearest_neighbours(queries[:0], views, labels, temperature=temperature)
    assert found.shape == (0, 3)


def test_no_support_is_an_error() -> None:
    with pytest.raises(ValueError, match="at least one support"):
        soft_nearest_neighbours(
            torch.ones(2, 3), torch.ones(0, 3), torch.ones(0, 2), temperature=0.1
        )


def test_support_labels_equal_the_official_matrix() -> None:
    """One row a support, classes in turn, and every support of a class among the columns."""
    data = np.load(Path(__file__).parents[1] / "reference" / "core" / "labels_matrix.npz")
    names = sorted(name for name in data if not name.endswith("_spec"))
    assert len(names) == 4
    for name in names:
        classes, per_class, smoothing = data[f"{name}_spec"]
        labels = torch.arange(int(classes)).repeat(int(per_class))
        found, weights = support_labels(labels, torch.arange(int(classes)), smoothing=smoothing)
        np.testing.assert_allclose(found, data[name], rtol=1e-6)
        assert (weights == 1).all() and found.dtype == torch.float32


def test_support_labels_mask_other_classes_and_leave_out_absent_ones() -> None:
    labels, columns = torch.tensor([5, 1, 7, 5]), torch.tensor([5, 6, 7])
    found, weights = support_labels(labels, columns, smoothing=0.2, dtype=torch.float64)
    assert weights.tolist() == [1, 0, 1, 1]
    half = torch.tensor([[0.9, 0, 0.1], [0.1, 0, 0.9]], dtype=torch.float64)
    torch.testing.assert_close(found[[0, 2, 3]], half[[0, 1, 0]])
    nothing, masked = support_labels(labels, torch.tensor([8]), smoothing=0.2)
    assert not nothing.any() and not masked.any()


def test_nearest_classes_does_not_depend_on_how_often_a_class_is_there() -> None:
    queries, supports, _ = example(dtype=torch.float32)
    labels = torch.arange(9) % 3
    few = nearest_classes(queries, supports, labels, 4, temperature=0.1)
    twice = torch.cat([torch.arange(9), (labels == 1).nonzero().flatten()])
    many = nearest_classes(queries, supports[twice], labels[twice], 4, temperature=0.1)
    torch.testing.assert_close(few, many)
    np.testing.assert_allclose(few.exp().sum(1), 1, rtol=1e-5)
    assert few.isfinite().all() and (few[:, 3] < few[:, :3].amin(1)).all()


def test_nearest_classes_in_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    queries, supports, _ = example(dtype=torch.float32)
    labels = torch.arange(9) % 3
    whole = nearest_classes(queries, supports, labels, 3, temperature=0.1)
    monkeypatch.setattr(nearest, "CHUNK", 3)
    parts = nearest_classes(queries, supports, labels, 3, temperature=0.1)
    torch.testing.assert_close(parts, whole)
    assert nearest_classes(queries[:0], supports, labels, 3, temperature=0.1).shape == (0, 3)
