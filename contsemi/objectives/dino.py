"""DINO: each view predicts what a slow copy of the network says of the other large views.

Source: Caron et al. 2021, "Emerging properties in self-supervised vision transformers". The
teacher's scores of free clusters are centred, so that no cluster wins all, and sharpened by a low
temperature, so that not all are equal. The clusters stand for no class: nothing here needs a
label. Where labels are at hand, a linear classifier on the features learns from them besides, as
in ``swav``; ``labelled_views: 0`` leaves that out. The prediction is by soft nearest neighbours,
in the teacher's features.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from contsemi.assign.centre import centred_softmax, linear
from contsemi.losses.cross_entropy import smooth_labels
from contsemi.losses.labelled import labelled_cross_entropy
from contsemi.losses.nearest import soft_nearest_neighbours
from contsemi.losses.swapped import swapped_cross_entropy
from contsemi.objectives.objective import Objective, ema_momenta, enough_views, one_of
from contsemi.types import Experience, Needs, Outputs, Step

__all__ = ["Dino"]


class Dino(Objective):
    """Self-distillation with a centred teacher.

    Args:
        clusters: K.
        directions: ``gain`` where each cluster learns a factor of its scores, ``weight_norm``
            where it does not (``norm_last_layer`` of the official code).
        temperature: of the student.
        teacher: momentum of the EMA network at the start and at the end of a task.
        teacher_temperature: at the first epoch of a task and after the warm-up.
        teacher_warmup: epochs of that warm-up, which is linear; 0 has the last temperature at once.
        centre_momentum: share of the centre kept in each step.
        large_views, small_views: of each unlabelled image; the teacher sees the large ones.
        labelled_views: of each labelled image, for the classifier; 0 for no classifier.
        supports_per_class: labelled images per seen class and step; 0 draws them uniformly.
        smoothing: of the labels.
        vote_temperature: of the cosines with the labelled images at hand that predict.
    """

    centre: Tensor

    def __init__(
        self,
        *,
        clusters: int,
        directions: str,
        temperature: float,
        teacher: Sequence[float],
        teacher_temperature: Sequence[float],
        teacher_warmup: int,
        centre_momentum: float,
        large_views: int,
        small_views: int,
        labelled_views: int,
        supports_per_class: int,
        smoothing: float,
        vote_temperature: float,
    ) -> None:
        super().__init__()
        one_of("directions", directions, "gain", "weight_norm")
        enough_views(large_views)
        self.temperature, self.smoothing = temperature, smoothing
        self.teacher_temperature, self.teacher_warmup = teacher_temperature, teacher_warmup
        self.centre_momentum, self.vote_temperature = centre_momentum, vote_temperature
        self.num_seen = 0
        self.register_buffer("centre", torch.zeros(clusters))
        self._next: Tensor | None = None
        self.needs = Needs(
            heads=("projector", "clusters", *(("classifier",) if labelled_views else ())),
            clusters=clusters,
            directions=directions,
            labelled_views=labelled_views,
            large_views=large_views,
            small_views=small_views,
            supports_per_class=supports_per_class,
            labelled_from="all",
            teacher=ema_momenta(teacher, required=True),
            supports_at_test=True,
        )

    def begin(self, experience: Experience) -> None:
        """Remembers how many columns there are."""
        self.num_seen = experience.num_seen

    def terms(self, step: Step) -> dict[str, Tensor]:
        """``clustering`` of the unlabelled views, and ``labels`` by the classifier."""
        terms = {}
        if step.large is not None and step.teacher is not None and step.batch_size:
            start, end = self.teacher_temperature
            warmth = linear(step.epoch, steps=self.teacher_warmup, start=start, end=end)
            targets, self._next = centred_softmax(
                step.teacher["clusters"],
                self.centre,
                temperature=warmth,
                momentum=self.centre_momentum,
            )
            views = [part["clusters"] for part in (step.large, step.small) if part is not None]
            terms["clustering"] = swapped_cross_entropy(
                torch.cat(views),
                targets,
                batch_size=step.batch_size,
                temperature=self.temperature,
            )
        if step.labelled is not None and self.needs.labelled_views:
            terms["labels"], _ = labelled_cross_entropy(
                step, "classifier", temperature=1.0, smoothing=self.smoothing
            )
        return terms

    def after_step(self) -> None:
        """The centre follows the scores of the step that was taken."""
        if self._next is not None:
            self.centre, self._next = self._next, None

    def predict(self, outputs: Outputs, supports: tuple[Outputs, Tensor] | None) -> Tensor:
        """Log-probabilities by the soft vote of the labelled images, in the backbone's features."""
        if supports is None:
            raise RuntimeError("dino needs labelled images to predict")
        rows, labels = supports
        votes = smooth_labels(labels, self.num_seen, smoothing=0.0)
        return soft_nearest_neighbours(
            outputs.features, rows.features, votes, temperature=self.vote_temperature
        )
