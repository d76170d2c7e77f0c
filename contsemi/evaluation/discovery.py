"""Classes that never get a label, found among the images of all tasks so far.

The evaluator's side: true classes only judge what was found. Images are clustered by the features
of the network that predicts, those with a label fixed to their class (semi-supervised k-means), and
one matching of clusters to classes serves old classes and new ones (v2).

Sources: Vaze et al. 2022, "Generalized category discovery", section 4; Zhang et al. 2023, section
4.1.
"""

import torch
from torch import Tensor

from contsemi.assign.semi_kmeans import estimated_classes, semi_kmeans
from contsemi.data.scenario import Stream
from contsemi.evaluation.predicts import Predicts
from contsemi.metrics.clustering_probe import clustering_quality
from contsemi.metrics.matrix import Undefined
from contsemi.metrics.novel_classes import novel_accuracy, purity
from contsemi.seeding import generator

STARTS, ITERATIONS = 10, 100  # of k-means; more starts take longer and find what ten find
TRIALS, SPREAD = 8, 3  # numbers tried in a round, up to so many times those of the known classes


class Discovery:
    """Finds classes among unlabelled training images of the tasks so far, and says how well.

    Args:
        stream: the tasks.
        targets: int64 [N], true class ids of the training images.
        number: ``given``, the true number of classes, or ``estimated``.
        images: drawn once for each task, without a label; 0 for all.
        seed: of the run.
    """

    def __init__(
        self, stream: Stream, targets: Tensor, *, number: str, images: int, seed: int
    ) -> None:
        self.stream, self.targets, self.number, self.seed = stream, targets, number, seed
        self._images = images // max(1, len(stream.experiences)) if images else 0
        self._classes = torch.tensor([*stream.class_order, *stream.novel])

    def after_task(self, asked: Predicts, task: int) -> dict[str, float | Undefined]:
        """What is found, all by names that begin with ``discovered_``.

        ``all``, ``old`` and ``new`` are of all tasks so far, with ``task_`` of the newest alone;
        ``nmi``, ``ari``, ``purity``, and the number of ``classes`` where it is not given.

        Args:
            asked: whose features.
            task: from 0.
        """
        parts = [self._free(number) for number in range(task + 1)]
        known = torch.cat([self.stream.experiences[number].labelled for number in range(task + 1)])
        free = torch.cat(parts)
        if not len(free):
            return {"discovered_all": Undefined("there are no unlabelled images")}
        labelled, rows = (self._features(asked, each) for each in (known, free))
        truth, labels = self.targets[free], self.targets[known]
        clusters = self._number(labelled, labels, rows, truth, task)
        draw = generator(self.seed, "discovery", task, device=rows.device)
        made = semi_kmeans(
            labelled,
            labels.to(rows.device),
            rows,
            clusters,
            starts=STARTS,
            iterations=ITERATIONS,
            generator=draw,
        )
        found = made.assignment[len(known) :].cpu()
        old = torch.isin(truth, torch.tensor(self.stream.class_order))
        said = _judged(found, truth, old)
        newest = slice(len(free) - len(parts[-1]), None)
        if len(parts[-1]):
            own = novel_accuracy(found[newest].numpy(), truth[newest].numpy(), old[newest].numpy())
            said |= _three(own.all, own.old, own.new, "task_")
        if self.number == "estimated":
            said["discovered_classes"] = float(clusters)
        return said

    def _free(self, task: int) -> Tensor:
        """Rows of a task's images without a label that are of a class of the stream."""
        experience = self.stream.experiences[task]
        pool = experience.unlabelled[experience.unlabelled < len(self.targets)]
        pool = pool[~torch.isin(pool, experience.labelled)]
        pool = pool[torch.isin(self.targets[pool], self._classes)]
        if self._images and len(pool) > self._images:
            draw = generator(self.seed, "discovery images", task)
            pool = pool[torch.randperm(len(pool), generator=draw)[: self._images]]
        return pool

    def _features(self, asked: Predicts, rows: Tensor) -> Tensor:
        with torch.no_grad():
            features = asked.look(self.stream.images, rows).features.float()
        return torch.nn.functional.normalize(features, dim=1)

    def _number(
        self, labelled: Tensor, labels: Tensor, rows: Tensor, truth: Tensor, task: int
    ) -> int:
        """K: of the classes that came so far, or by how well known classes are found."""
        known = len(set(labels.tolist()))
        if self.number == "given" or not known:
            return len({*labels.tolist(), *truth.tolist()})
        draw = generator(self.seed, "discovery number", task, device=rows.device)
        return estimated_classes(
            labelled,
            labels.to(rows.device),
            rows,
            most=min(SPREAD * known, len(labels) + len(truth)),
            trials=TRIALS,
            starts=1,
            iterations=ITERATIONS,
            generator=draw,
        )


def _judged(found: Tensor, truth: Tensor, old: Tensor) -> dict[str, float | Undefined]:
    clusters, classes = found.numpy(), truth.numpy()
    accuracy = novel_accuracy(clusters, classes, old.numpy())
    quality = clustering_quality(clusters, classes)
    said = _three(accuracy.all, accuracy.old, accuracy.new)
    if not isinstance(quality, Undefined):
        said |= {"discovered_nmi": quality.nmi, "discovered_ari": quality.ari}
    return said | {"discovered_purity": purity(clusters, classes)}


def _three(whole: float, old: float, new: float, prefix: str = "") -> dict[str, float | Undefined]:
    """Nothing is said of kinds without an image."""

    def share(value: float, kind: str) -> float | Undefined:
        return Undefined(f"there are no images of {kind} classes") if value != value else value

    values = {"all": whole, "old": share(old, "old"), "new": share(new, "new")}
    return {f"discovered_{prefix}{name}": value for name, value in values.items()}
