"""Semi-supervised k-means: labelled rows stay with their class, all others are free."""

from collections.abc import Mapping

import torch
from torch import Tensor

from contsemi.assign.lloyd import Clusters, lloyd, starts_with_classes


def semi_kmeans(
    labelled: Tensor,
    labels: Tensor,
    free: Tensor,
    clusters: int,
    *,
    starts: int,
    iterations: int,
    generator: torch.Generator,
    tolerance: float = 1e-4,
) -> Clusters:
    """The best of several starts by inertia.

    Args:
        labelled: [L, D]; without any it is plain k-means.
        labels: int64 [L], any numbers; cluster c is the class of the c-th smallest.
        free: [N, D], rows without a label.
        clusters: K, at least as many as there are classes.
        starts: how often free centres are drawn.
        iterations: of each.
        generator: on the device of the rows.
        tolerance: of :func:`~contsemi.assign.lloyd.lloyd`.

    Returns:
        The assignment is of [labelled; free].

    Raises:
        ValueError: fewer clusters than classes, or no start.

    Source: Vaze et al. 2022, section 4.2.

    >>> rows = torch.tensor([[0.0], [9.0]])
    >>> semi_kmeans(rows, torch.tensor([3, 5]), rows + 1, 2, starts=1, iterations=5,
    ...             generator=torch.Generator()).assignment
    tensor([0, 1, 0, 1])
    """
    if starts < 1:
        raise ValueError(f"{starts} starts: one is the least")
    _, known = torch.unique(labels, return_inverse=True)
    rows = torch.cat([labelled, free])
    fixed = torch.cat([known, known.new_full((len(free),), -1)])
    best: Clusters | None = None
    for _ in range(starts):
        centres = starts_with_classes(labelled, known, free, clusters, generator=generator)
        found = lloyd(rows, centres, iterations=iterations, fixed=fixed, tolerance=tolerance)
        if best is None or bool(found.inertia < best.inertia):
            best = found
    assert best is not None
    return best


def estimated_classes(
    labelled: Tensor,
    labels: Tensor,
    free: Tensor,
    *,
    most: int,
    trials: int,
    starts: int,
    iterations: int,
    generator: torch.Generator,
) -> int:
    """The number of clusters under which k-means without labels finds the known classes best.

    Too few clusters merge known classes, too many split them. Numbers are tried evenly between
    that of the known classes and the greatest, then between the neighbours of the best one.

    Args:
        labelled: [L, D], L > 0.
        labels: int64 [L].
        free: [N, D].
        most: the greatest number that is tried.
        trials: numbers tried in each of the two rounds, at least two.
        starts: of each k-means.
        iterations: of each start.
        generator: on the device of the rows.

    Returns:
        At least the number of known classes; of equally good numbers the smallest.

    Raises:
        ValueError: ``most`` is below the number of known classes.

    Source: Vaze et al. 2022, section 4.3 (who search by Brent's method).

    >>> near = torch.tensor([[0.0], [9.0], [99.0]])
    >>> estimated_classes(near, torch.arange(3), near + 1, most=4, trials=2, starts=3,
    ...                   iterations=9, generator=torch.Generator().manual_seed(0))
    3
    """
    _, known = torch.unique(labels, return_inverse=True)
    least, most = int(known.max()) + 1, min(most, len(labelled) + len(free))
    if most < least:
        raise ValueError(f"{most} clusters at most cannot hold {least} known classes")
    rows, none = torch.cat([labelled, free]), labels[:0]
    right: dict[int, int] = {}
    low, high = least, most
    for _ in range(2):
        for clusters in sorted(
            {round(n) for n in torch.linspace(low, high, trials).tolist()} - set(right)
        ):
            found = semi_kmeans(
                rows[:0], none, rows, clusters, starts=starts, iterations=iterations,
                generator=generator,
            )  # fmt: skip
            right[clusters] = _matched(found.assignment[: len(known)], known, clusters)
        tried = sorted(right)
        place = tried.index(_best(right))
        low, high = tried[max(place - 1, 0)], tried[min(place + 1, len(tried) - 1)]
    return _best(right)


def _best(right: Mapping[int, int]) -> int:
    """The smallest of the numbers of greatest value."""
    return min(right, key=lambda number: (-right[number], number))


def _matched(found: Tensor, known: Tensor, clusters: int) -> int:
    """Rows whose cluster is matched to their class, one class a cluster at most."""
    from scipy.optimize import linear_sum_assignment

    counts = torch.zeros(clusters, int(known.max()) + 1, dtype=torch.int64, device=found.device)
    counts.index_put_((found, known), torch.ones_like(known), accumulate=True)
    table = counts.cpu().numpy()
    return int(table[linear_sum_assignment(table, maximize=True)].sum())
