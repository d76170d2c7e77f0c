"""CSL: PAWS among the current task's classes, with a linear classifier over all seen ones.

Source: Kang et al. 2023, "A soft nearest-neighbor framework for continual semi-supervised
learning": the base learner of NNCSL, which is this with nearest-neighbour distillation
(``distiller=nnd``). Unlabelled images belong to the current task, so only supports of its classes
vote for them; the classifier learns from all supports, and its gradient reaches the backbone.
"""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from contsemi.blocks.choices import enough_views
from contsemi.blocks.labelled import labels_term
from contsemi.blocks.prior import Prior
from contsemi.blocks.support_votes import VOTED, paws
from contsemi.objectives.indexed import Indexed
from contsemi.types import Outputs, Step


@dataclass(kw_only=True, eq=False)
class Csl(Indexed):
    """Soft nearest neighbours among supports of the current task, and a live classifier."""

    idle: ClassVar = {**Indexed.of_large, **VOTED}
    needs_labels: ClassVar[bool] = True
    labels_in: ClassVar[str] = "classifier"
    index_in: ClassVar[None] = None  # the unlabelled images teach no head that predicts

    temperature: float  # of the similarities
    sharpening: float  # temperature T by which targets are sharpened
    smoothing: float  # of the supports' labels
    # `neighbours` predicts by the labelled images at hand, `classifier` by the linear classifier
    predict_by: str
    # How much each class is to be used: `even`, as the `labels` are, or as `estimated` on the way
    prior: str = "even"

    def __post_init__(self) -> None:
        super().__post_init__()
        enough_views(self.large_views)
        self.reweighs = True  # labelled rows are read by their votes and their cross-entropy
        self.share = Prior(self.prior)
        by_supports = self.predict_by == "neighbours"
        self.needs = self.asks("projector", "classifier", supports_at_test=by_supports)

    def terms(self, step: Step) -> dict[str, Tensor]:
        """``consistency`` of the views, ``me_max`` and the ``classifier``'s cross-entropy."""
        return labels_term(step, smoothing=0.0, name="classifier") | paws(
            step,
            step.columns,
            temperature=self.temperature,
            sharpening=self.sharpening,
            smoothing=self.smoothing,
            prior=self.share,
            rows=step.by_age and step.by_age.current,
            believed=None if self.index is None else self.soft_classes,
        )

    def predict(self, outputs: Outputs, supports: tuple[Outputs, Tensor] | None) -> Tensor:
        """The classifier's logits, or log-probabilities by the labelled images at hand."""
        if supports is None:
            return outputs["classifier"]
        return self.vote(outputs, supports, temperature=self.temperature, head="projector")
