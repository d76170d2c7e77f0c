"""DINO: each view predicts what a slow copy of the network says of the other large views.

Source: Caron et al. 2021, "Emerging properties in self-supervised vision transformers". The
teacher's scores of free clusters are centred, so that no cluster wins all, and sharpened by a low
temperature, so that not all are equal. The clusters stand for no class: nothing here needs a
label. Where labels are at hand, a linear classifier on the features learns from them besides, as
in ``swav``; ``labelled_views: 0`` leaves that out. The prediction is by soft nearest neighbours,
in the teacher's features.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from contsemi.blocks.centre import Centre
from contsemi.blocks.choices import enough_views
from contsemi.blocks.labelled import labels_term
from contsemi.blocks.prior import Prior
from contsemi.losses.swapped import swapped_cross_entropy
from contsemi.models.heads import clusters
from contsemi.objectives.objective import Objective
from contsemi.types import Outputs, Step

__all__ = ["Dino"]


@dataclass(kw_only=True, eq=False)
class Dino(Objective):
    """Self-distillation with a centred teacher, which sees the large views."""

    clusters: int  # K
    directions: str  # gain: each cluster learns a factor of its scores; weight_norm: it does not
    temperature: float  # of the student
    teacher: Sequence[float]  # momentum of the EMA network at the start and the end of a task
    teacher_temperature: Sequence[float]  # at the first epoch of a task and after the warm-up
    teacher_warmup: int  # epochs of that warm-up, which is linear; 0 has the last one at once
    centre_momentum: float  # share of the centre kept in each step
    smoothing: float  # of the labels
    vote_temperature: float  # of the cosines with the labelled images at hand that predict
    # How much each cluster is to be used: `even`, or as `estimated` on the way
    prior: str = "even"

    def __post_init__(self) -> None:
        super().__post_init__()
        enough_views(self.large_views)
        self.reweighs = True  # labelled rows are read by their cross-entropy alone
        self.share = Prior(self.prior, self.clusters)
        self.centre = Centre(
            "clusters",
            momentum=self.centre_momentum,
            temperature=self.teacher_temperature,
            warmup=self.teacher_warmup,
            clusters=self.clusters,
        )
        self.needs = self.asks(
            "projector",
            clusters(self.clusters, self.directions),
            *(("classifier",) if self.labelled_views else ()),
            teacher=self.teacher,
            supports_at_test=True,
        )

    def terms(self, step: Step) -> dict[str, Tensor]:
        """``clustering`` of the unlabelled views, and ``labels`` by the classifier."""
        terms = labels_term(step, smoothing=self.smoothing) if self.labelled_views else {}
        large = step.student("large")
        if large is not None:
            wanted = self.share.of_scores(large["clusters"], temperature=self.temperature)
            terms["clustering"] = swapped_cross_entropy(
                step.views("clusters"),
                self.centre(step, wanted),
                batch_size=step.batch_size,
                temperature=self.temperature,
            )
        return terms

    def predict(self, outputs: Outputs, supports: tuple[Outputs, Tensor] | None) -> Tensor:
        """Log-probabilities by the soft vote of the labelled images, in the backbone's features."""
        return self.vote(outputs, supports, temperature=self.vote_temperature)
