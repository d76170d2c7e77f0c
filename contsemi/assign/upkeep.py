"""Clusters that live on while their rows move: none is to become too small."""

import torch
from torch import Tensor

from contsemi.assign.kmeans import Clustering, kmeans


@torch.no_grad()
def without_small(
    rows: Tensor, found: Clustering, *, least: int, whole: int = 0, seed: int
) -> Clustering:
    """Clusters of few rows are given up, and the largest ones are split in their place.

    The rows of a small cluster go to the nearest of the others; then the largest cluster is split
    in two, once for each cluster given up.

    Args:
        rows: [N, D].
        found: the clusters [K].
        least: rows that a cluster has to have.
        whole: the first of the K clusters, which are neither given up nor split.
        seed: of the splits.

    Returns:
        As many clusters, of which none is empty if there are enough rows to split.

    Source: Xie et al. 2022 (InterCLR), whose code does it in every step.

    >>> rows = torch.tensor([[0.0], [1.0], [9.0], [8.0], [8.5]])
    >>> found = Clustering(torch.tensor([0, 1, 1, 1, 1]), torch.tensor([[0.0], [7.0]]))
    >>> without_small(rows, found, least=2, seed=0).cluster
    tensor([0, 0, 1, 1, 1])
    """
    cluster, centroids = found.cluster.clone(), found.centroids.clone()
    free = torch.arange(len(centroids), device=cluster.device) >= whole
    number = torch.bincount(cluster, minlength=len(centroids))
    small = free & (number < least)
    if not small.any() or small.all():
        return found
    homeless = small[cluster]
    scores = (rows[homeless] @ centroids.T).masked_fill(small, -torch.inf)
    cluster[homeless] = scores.argmax(dim=1)
    for empty in small.nonzero()[:, 0]:
        number = torch.bincount(cluster, minlength=len(centroids))
        largest = (number * free).argmax()
        inside = (cluster == largest).nonzero()[:, 0]
        if len(inside) < 2 or largest < whole:
            break
        halves = kmeans(rows[inside], 2, seed=seed, iterations=20).cluster
        if not halves.any() or halves.all():  # equal rows
            halves = torch.arange(len(inside), device=halves.device) % 2
        cluster[inside[halves == 1]] = empty
        for one in (largest, empty):
            centroids[one] = rows[cluster == one].mean(dim=0)
    return Clustering(cluster, centroids)
