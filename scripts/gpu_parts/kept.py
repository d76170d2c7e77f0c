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
    labels = torch.arange(60) % 5
    yield "memory.codes", codes, (unit(60, 8), unit(9, 8)), {}
    yield "memory.class_sums", class_sums, (rows, soft), {}
    yield "memory.voters", voters, (unit(60, 8), soft), {}
    scores = drawn(60, 5, seed=7) + 2 * functional.one_hot(labels, 5)
    yield "memory.trust", trust, (scores, labels, rows[:, 0]), {}
    yield "memory.expected_classes", expected, (rows, drawn(20, 8, seed=8), labels[:20]), {}
    yield "memory.gate", gate, (rows, labels, drawn(20, 8, seed=9), labels[:20]), {}
    yield "memory.still_found", found_again, (unit(60, 8), soft, unit(20, 8, seed=9)), {}
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
    from contsemi.memory.class_covariances import ClassCovariances, tukey

    rows, asked = tukey(rows, power=0.5), tukey(asked, power=0.5)
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
    """Rows kept with three labels each and carried along, what they vote and which are near."""
    from contsemi.memory.embeddings import Embeddings

    kept, again = (Embeddings(40, "torch", labels=3) for _ in range(2))
    kept.add(rows, soft, ids, 0)
    kept.carry(lambda each: each.flip(1))
    kept.renew(ids[:7], rows[:7])
    again.load(kept.state())
    view = again.view()
    assert view is not None
    return (kept.ids, view.search(asked, 4)[1], *view.votes(asked, 0.1))


def codes(rows: Tensor, asked: Tensor) -> tuple[Tensor, ...]:
    """Rows in four bytes each, as they are decoded and found."""
    from contsemi.memory.codes import Codes

    kept = Codes.of(rows, 4)
    return kept.all(), kept.search(asked, 5)[0]


def class_sums(rows: Tensor, soft: Tensor) -> Tensor:
    """Means of classes that come in two tasks."""
    from contsemi.memory.class_sums import ClassSums

    kept = ClassSums(rows.new_zeros(0, rows.shape[1]), rows.new_zeros(0))
    return kept.joined(rows[:30], soft[:30, :3]).joined(rows[30:], soft[30:]).means


def voters(rows: Tensor, soft: Tensor) -> tuple[Tensor, ...]:
    """The surest rows of each class."""
    from contsemi.memory.voters import Voters

    kept = Voters(rows[:0], soft[:0]).joined(rows, soft, per_class=4)
    return kept.rows, kept.probs


def trust(scores: Tensor, labels: Tensor, strangeness: Tensor) -> tuple[Tensor, ...]:
    """The temperature that fits."""
    from contsemi.memory.trust import Trust

    kept = Trust.of(scores, labels, strangeness)
    kept = kept.joined(Trust.of(3 * scores, labels, strangeness))
    return kept.temperature, kept.strangeness


def expected(rows: Tensor, labelled: Tensor, labels: Tensor) -> Tensor:
    """Soft classes of images without a label."""
    from contsemi.memory.expectation import expected_classes

    steps: dict[str, Any] = {"rounds": 3, "balance": 2, "shrinkage": "auto"}
    return expected_classes(rows, labelled, labels, num_classes=5, **steps)


def gate(rows: Tensor, columns: Tensor, labelled: Tensor, labels: Tensor) -> Tensor:
    """Which images are near enough to the class that is predicted."""
    from contsemi.memory.gate import fits

    means, of = labelled[:2] + 1, torch.arange(5, 7, device=labels.device)
    return fits(rows, columns, labelled, labels, means=means, of=of)


def found_again(rows: Tensor, soft: Tensor, asked: Tensor) -> Tensor:
    """The share of queries whose class is found."""
    from contsemi.memory.drift.still_found import still_found

    columns = torch.arange(len(asked), device=asked.device) % soft.shape[1]
    return torch.tensor(still_found(rows, soft, asked, columns))


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
