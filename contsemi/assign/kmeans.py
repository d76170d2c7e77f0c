"""k-means of the embeddings of a task's images, by FAISS."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from contsemi.errors import PackageMissing


@dataclass(frozen=True, slots=True)
class Clustering:
    """N rows in K clusters.

    Attributes:
        cluster: int64 [N].
        centroids: float [K, D].
    """

    cluster: Tensor
    centroids: Tensor


@torch.no_grad()
def kmeans(
    rows: Tensor,
    clusters: int,
    *,
    seed: int,
    iterations: int,
    spherical: bool = False,
    start: Tensor | None = None,
) -> Clustering:
    """Lloyd's iterations from starts that are spread out.

    FAISS takes a half of the largest cluster for one that has lost its rows, so that none stays
    empty while there are enough different rows.

    Args:
        rows: float [N, D], finite.
        clusters: K; of fewer rows each is a cluster, and there are N.
        seed: of the starts; the same rows and seed give the same clusters.
        iterations: of Lloyd, at most.
        spherical: whether centroids are put back to unit length, for rows of unit length.
        start: [S, D] the first centroids, S <= K; the other starts are drawn (k-means++).

    Returns:
        Clusters and centroids on the device and in the type of ``rows``.

    Raises:
        InputError: FAISS is not installed.
        ValueError: there is no row, no cluster, or more starts than clusters.

    Source: Arthur & Vassilvitskii 2007 (k-means++).

    >>> rows = torch.tensor([[1.0, 0.0], [1.0, 0.1], [-1.0, 0.0]])
    >>> found = kmeans(rows, 2, seed=0, iterations=10).cluster
    >>> bool(found[0] == found[1]), bool(found[1] == found[2])
    (True, False)
    """
    clusters = min(clusters, len(rows))
    known = 0 if start is None else len(start)
    if clusters < 1 or known > clusters:
        raise ValueError(f"{len(rows)} rows with {known} starts for {clusters} clusters")
    plain = rows.detach().float().cpu().contiguous()
    begin = _spread(plain, clusters, seed, None if start is None else start.float().cpu())
    faiss = _faiss()
    model = faiss.Kmeans(
        plain.shape[1],
        clusters,
        niter=iterations,
        seed=seed % 2**31,
        spherical=spherical,
        min_points_per_centroid=1,
        max_points_per_centroid=len(plain),
    )
    model.train(plain.numpy(), init_centroids=begin.numpy())
    centroids = torch.from_numpy(np.array(model.centroids)).to(rows)
    return Clustering(nearest_centroids(rows, centroids), centroids)


@torch.no_grad()
def nearest_centroids(rows: Tensor, centroids: Tensor) -> Tensor:
    """Int64 [N]: the nearest centroid of [K, D] to each row [N, D]; of equal ones the first.

    >>> nearest_centroids(torch.tensor([[0.9], [0.2]]), torch.tensor([[0.0], [1.0]]))
    tensor([1, 0])
    """
    # |r - c|^2 without |r|^2, which is the same for all centroids.
    return ((centroids**2).sum(dim=1) - 2 * rows @ centroids.T).argmin(dim=1)


def _spread(rows: Tensor, clusters: int, seed: int, start: Tensor | None) -> Tensor:
    """Starts [K, D]: each further one is a row drawn by its squared distance to those before."""
    draw = torch.Generator().manual_seed(seed)
    chosen = list(rows[:0] if start is None else start)
    if not chosen:
        chosen.append(rows[torch.randint(len(rows), (), generator=draw)])
    apart = torch.stack([((rows - one) ** 2).sum(dim=1) for one in chosen]).amin(dim=0)
    while len(chosen) < clusters:
        # Where all rows are starts already, any may come again.
        chance = apart if bool(apart.sum() > 0) else torch.ones_like(apart)
        bounds = chance.double().cumsum(dim=0)
        at = torch.rand((), generator=draw, dtype=torch.float64) * bounds[-1]
        one = rows[torch.searchsorted(bounds, at, right=True).clamp(max=len(rows) - 1)]
        chosen.append(one)
        apart = torch.minimum(apart, ((rows - one) ** 2).sum(dim=1))
    return torch.stack(chosen)


def _faiss() -> Any:
    try:
        import faiss
    except ImportError:
        raise PackageMissing(
            "objective", "its clusters need FAISS, which is not installed", "pip install faiss-cpu"
        ) from None
    return faiss
