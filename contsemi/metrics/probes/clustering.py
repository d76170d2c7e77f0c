"""How well the clusters of the features are the classes."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from contsemi.metrics.clustering_probe import clustering_quality, kmeans
from contsemi.metrics.matrix import Undefined
from contsemi.metrics.probes.probe import Found, Probe, Rows, concatenated


@dataclass(kw_only=True, eq=False)
class Clustering(Probe):
    """k-means on the test images of all classes seen, as many clusters as classes."""

    def ask(self, bank: Sequence[Rows], test: Sequence[Rows], *, seen: int, seed: int) -> Found:
        """``clustering_accuracy``, ``clustering_nmi`` and ``clustering_ari``."""
        if not seen:
            return {}
        features, labels = concatenated(test[:seen])
        names = ("clustering_accuracy", "clustering_nmi", "clustering_ari")
        clusters = len(np.unique(labels))
        if clusters < 2:
            return dict.fromkeys(names, Undefined("one class has no clusters to tell apart"))
        quality = clustering_quality(kmeans(features, clusters=clusters, seed=seed), labels)
        if isinstance(quality, Undefined):
            return dict.fromkeys(names, quality)
        return dict(zip(names, (quality.accuracy, quality.nmi, quality.ari), strict=True))
