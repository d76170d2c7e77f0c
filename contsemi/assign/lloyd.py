"""Lloyd's k-means from given starts, some rows of which may have their cluster already."""

from dataclasses import dataclass

import torch
from torch import Tensor

from contsemi.assign.distances import squared_distances


@dataclass(frozen=True, slots=True)
class Clusters:
    """What k-means found.

    Attributes:
        assignment: int64 [N], the cluster of each row.
        centres: [K, D], means of the clusters; one without rows stays where it was.
        inertia: scalar, sum of the squared distances of all rows to the centres that they were
            assigned by.
    """

    assignment: Tensor
    centres: Tensor
    inertia: Tensor


def lloyd(
    rows: Tensor,
    centres: Tensor,
    *,
    iterations: int,
    fixed: Tensor | None = None,
    tolerance: float = 0.0,
) -> Clusters:
    """Assigns rows to their nearest centre and moves centres to the means of their rows, in turn.

    Args:
        rows: [N, D].
        centres: [K, D], where they start.
        iterations: at most so many, at least one.
        fixed: int64 [N], the cluster of rows that never change it (labelled ones), -1 for free
            rows; ``None`` if all are free.
        tolerance: ends once the sum of all lengths by which the centres moved, squared, is below.

    Returns:
        The last assignment, and the means taken after it.

    Raises:
        ValueError: no iteration, or no centre.

    Source: Lloyd 1982; Vaze et al. 2022, section 4.2 (semi-supervised).

    >>> lloyd(torch.tensor([[0.0], [1.0], [8.0], [9.0]]), torch.tensor([[0.0], [1.0]]),
    ...       iterations=5).assignment
    tensor([0, 0, 1, 1])
    """
    if iterations < 1 or not len(centres):
        raise ValueError(f"{iterations} iterations with {len(centres)} centres: one is the least")
    for _ in range(iterations):
        nearest = squared_distances(rows, centres)
        assignment = nearest.argmin(dim=1)
        if fixed is not None:
            assignment = torch.where(fixed >= 0, fixed, assignment)
        inertia = nearest.gather(1, assignment[:, None]).sum()
        moved = member_means(rows, assignment, centres)
        shift, centres = (moved - centres).norm(dim=1).sum(), moved
        if tolerance and shift.square() < tolerance:
            break
    return Clusters(assignment, centres, inertia)


def member_means(rows: Tensor, cluster: Tensor, otherwise: Tensor) -> Tensor:
    """The mean row of each cluster, not normalised.

    Args:
        rows: [N, D].
        cluster: int64 [N], in [0, K).
        otherwise: [K, D], for clusters without a row.

    Returns:
        [K, D].

    >>> member_means(torch.tensor([[1.0], [3.0]]), torch.tensor([1, 1]), torch.zeros(2, 1))
    tensor([[0.],
            [2.]])
    """
    total = torch.zeros_like(otherwise).index_add(0, cluster, rows.to(otherwise))
    number = torch.bincount(cluster, minlength=len(otherwise))[:, None]
    return torch.where(number > 0, total / number.clamp(min=1), otherwise)


def spread_starts(
    rows: Tensor, number: int, *, generator: torch.Generator, first: Tensor | None = None
) -> Tensor:
    """Starts by k-means++: each a row drawn in proportion to its squared distance to the nearest.

    Args:
        rows: [N, D], N > 0.
        number: of starts that are drawn.
        generator: on the device of the rows.
        first: [K, D], centres that stand already.

    Returns:
        [K + number, D], those that stand first.

    Source: Arthur and Vassilvitskii 2007.

    >>> spread_starts(torch.eye(3), 2, generator=torch.Generator()).shape
    torch.Size([2, 3])
    """
    found = rows.new_empty(0, rows.shape[1]) if first is None else first
    away = torch.full_like(rows[:, 0], torch.inf)
    if len(found):
        away = squared_distances(rows, found).amin(dim=1)
    for _ in range(number):
        # The first one, and rows that all lie on centres, are drawn evenly.
        even = ~(away.isfinite().all() & (away.sum() > 0))
        odds = torch.where(even, torch.ones_like(away), away)
        drawn = rows[torch.multinomial(odds, 1, generator=generator)]
        found = torch.cat([found, drawn])
        away = torch.minimum(away, squared_distances(rows, drawn)[:, 0])
    return found


def starts_with_classes(
    labelled: Tensor, labels: Tensor, free: Tensor, clusters: int, *, generator: torch.Generator
) -> Tensor:
    """Starts of semi-supervised k-means: the means of the known classes, then k-means++.

    Args:
        labelled: [L, D].
        labels: int64 [L], clusters from 0 without a gap.
        free: [N, D], rows without a label.
        clusters: K, at least as many as there are classes.
        generator: on the device of the rows.

    Returns:
        [K, D].

    Raises:
        ValueError: fewer clusters than known classes.

    >>> starts_with_classes(torch.eye(2), torch.tensor([0, 1]), torch.ones(3, 2), 3,
    ...                     generator=torch.Generator())[2]
    tensor([1., 1.])
    """
    known = int(labels.max()) + 1 if len(labels) else 0
    if clusters < known:
        raise ValueError(f"{clusters} clusters cannot hold {known} known classes")
    means = member_means(labelled, labels, labelled.new_zeros(known, labelled.shape[1]))
    return spread_starts(free, clusters - known, generator=generator, first=means)
