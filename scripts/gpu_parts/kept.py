"""What a memory computes, on the GPU against the CPU: statistics, maps, choices and rows."""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

Case = tuple[str, Callable[..., Any], tuple[Any, ...], dict[str, Any]]


def drawn(*shape: int, seed: int = 0) -> Tensor:
    """Normal numbers."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def unit(*shape: int, seed: int = 0) -> Tensor:
    """Rows of length one."""
    return functional.normalize(drawn(*shape, seed=seed), dim=1)


def cases() -> Iterator[Case]:
    """Name, function, arguments and options."""
    rows, soft = drawn(60, 8), (3 * drawn(60, 5, seed=1)).softmax(1)
    yield "memory.moments", moments, (rows, soft, drawn(20, 8, seed=2)), {}
    yield "memory.class_covariances", covariances, (rows, soft, drawn(20, 8, seed=2)), {}
    yield "memory.random_ridge", ridge, (rows, soft, drawn(8, 32, seed=3)), {}
    yield "memory.exemplars", exemplars, (torch.arange(60) % 7, torch.arange(60) * 37 % 60), {}
    yield "memory.embeddings", embeddings, (unit(60, 8), soft, torch.arange(60), unit(9, 8)), {}
    old, new = unit(50, 8, seed=4), unit(50, 8, seed=5)
    for name in ("linear", "mlp", "translation", "none"):
        yield f"memory.drift={name}", drift, (old, new, unit(30, 8, seed=6)), {"name": name}
    offered = (torch.arange(60) % 4, torch.arange(60), rows, soft)
    for name in ("herding", "kmeans", "margin", "reservoir"):
        yield f"memory.selection={name}", selection, offered, {"name": name}


def moments(rows: Tensor, soft: Tensor, asked: Tensor) -> tuple[Tensor, ...]:
    """Scores and strangeness by the moments of two tasks, carried along in between."""
    from contsemi.memory.moments import Moments, fit_affine

    kept = Moments.none(rows.shape[1], rows.device).joined(rows, soft)
    drift = fit_affine(rows, rows.flip(1), weights=torch.ones_like(rows[:, 0]), ridge=0.1)
    kept = kept.carried(drift).joined(rows.flip(0), soft)
    return kept.scores(asked, shrinkage="auto"), kept.strangeness(asked, shrinkage=0.3)


def covariances(rows: Tensor, soft: Tensor, asked: Tensor) -> Tensor:
    """Distances by a covariance of each class."""
    from contsemi.memory.class_covariances import ClassCovariances

    kept = ClassCovariances.none(rows.shape[1], rows.device).joined(rows, soft)
    return kept.distances(asked, kept.whitening(diagonal=1.0, between=1.0))


def ridge(rows: Tensor, soft: Tensor, projection: Tensor) -> Tensor:
    """Weights of a ridge regression on random features."""
    from contsemi.memory.random_ridge import RandomRidge

    return RandomRidge.none(projection).joined(rows, soft).weights(1.0)


def exemplars(labels: Tensor, ids: Tensor) -> tuple[Tensor, ...]:
    """Images kept of two tasks."""
    from contsemi.memory.exemplars import Exemplars

    kept = Exemplars(20)
    images = (ids[:, None, None, None] % 251).to(torch.uint8).expand(-1, 3, 2, 2)
    for part in (slice(0, 30), slice(30, 60)):
        order = (labels[part] * 5 + ids[part]).double()
        kept.add(images[part], labels[part], ids[part], order=order)
    return kept.images, kept.labels, kept.ids


def embeddings(rows: Tensor, soft: Tensor, ids: Tensor, asked: Tensor) -> tuple[Tensor, ...]:
    """Rows kept with three labels each, what they vote and which are near."""
    from contsemi.memory.embeddings import Embeddings

    kept = Embeddings(40, "torch", labels=3)
    kept.add(rows, soft, ids, 0)
    view = kept.view()
    assert view is not None
    return (kept.ids, view.search(asked, 4)[1], *view.votes(asked, 0.1))


def drift(old: Tensor, new: Tensor, rows: Tensor, *, name: str) -> Tensor:
    """Rows that a map has carried."""
    from contsemi import compose
    from contsemi.memory.drift.drift import Drift

    options = compose.load([f"memory.drift={name}", "memory.embeddings=1"]).memory.drift
    draw = torch.Generator().manual_seed(0)
    return Drift.named(options).fit(old, new, draw=draw)(rows)


def selection(labels: Tensor, ids: Tensor, rows: Tensor, soft: Tensor, *, name: str) -> Tensor:
    """The order in which images are kept."""
    from contsemi import compose
    from contsemi.memory.selection.selection import Offered, Selection

    options = compose.load([f"memory.selection={name}"]).memory.selection
    offered = Offered(labels=labels, ids=ids, seed=0, features=lambda: rows, probs=lambda: soft)
    found = Selection.named(options).priorities(offered)
    assert found is not None
    return found
