"""Clustering of frozen features against the true classes: accuracy, NMI and ARI."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from contsemi.metrics.knn_probe import unit_rows
from contsemi.metrics.matrix import Undefined
from contsemi.metrics.novel_classes import matched_classes


@dataclass(frozen=True, slots=True)
class Clustering:
    """How well clusters agree with classes; names of clusters do not matter.

    Attributes:
        accuracy: share of images right under the best one-to-one matching of clusters to classes.
        nmi: normalised mutual information (arithmetic mean), in [0, 1].
        ari: Rand index adjusted for chance; 0 for chance, at most 1.
    """

    accuracy: float
    nmi: float
    ari: float


def clustering_quality(
    clusters: NDArray[np.integer], labels: NDArray[np.integer]
) -> Clustering | Undefined:
    """Compares clusters with classes; a cluster that is matched to no class counts as wrong.

    Args:
        clusters: [N], numbers of clusters from 0.
        labels: [N], true columns.

    Raises:
        ValueError: lengths differ.

    >>> clustering_quality(np.array([0, 0, 1, 1]), np.array([5, 5, 3, 3]))
    Clustering(accuracy=1.0, nmi=1.0, ari=1.0)
    """
    from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

    matched = matched_classes(clusters, labels)
    if not len(labels):
        return Undefined("there are no images")
    return Clustering(
        accuracy=float((matched == labels).mean()),
        nmi=float(normalized_mutual_info_score(labels, clusters)),
        ari=float(adjusted_rand_score(labels, clusters)),
    )


def kmeans(features: NDArray[np.floating], *, clusters: int, seed: int) -> NDArray[np.int64]:
    """Clusters of unit-length features by scikit-learn's k-means, the best of ten starts.

    Args:
        features: [N, D], N ≥ ``clusters``.
        clusters: their number.
        seed: of the starts.

    Returns:
        [N], numbers of clusters from 0.

    >>> found = kmeans(np.array([[1, 0], [1, 0.1], [0, 1]]), clusters=2, seed=0)
    >>> bool(found[0] == found[1] != found[2])
    True
    """
    from sklearn.cluster import KMeans

    model = KMeans(n_clusters=clusters, n_init=10, random_state=seed)
    return np.asarray(model.fit_predict(unit_rows(features)), dtype=np.int64)
