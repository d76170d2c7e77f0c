"""PAWS: views agree on the classes that labelled images in the batch vote for.

Source: Assran et al. 2021, "Semi-supervised learning of visual features by non-parametrically
predicting view assignments with support samples" (PAWS). In a stream the supports are the labelled
images of all seen classes, exemplars included; in NNCSL's comparison (Kang et al. 2023) a linear
classifier on detached features is trained beside.
"""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from contsemi.blocks.choices import enough_views
from contsemi.blocks.labelled import labels_term
from contsemi.blocks.prior import Prior
from contsemi.blocks.support_votes import VOTED, paws
from contsemi.models.heads import classifier
from contsemi.objectives.objective import Objective
from contsemi.types import Outputs, Step


@dataclass(kw_only=True, eq=False)
class Paws(Objective):
    """Soft nearest neighbours among supports of all seen classes."""

    idle: ClassVar = {**VOTED, "predictor": {"large_views": [0]}}
    needs_labels: ClassVar[bool] = True
    labels_in: ClassVar[str] = "classifier"

    temperature: float  # of the similarities
    sharpening: float  # temperature T by which targets are sharpened
    smoothing: float  # of the supports' labels
    # Whether views and supports pass through the prediction head while the targets do not
    predictor: bool
    detach: bool  # whether the classifier leaves the features alone
    # `neighbours` predicts by the labelled images at hand, `classifier` by the linear classifier
    predict_by: str
    # How much each class is to be used: `even`, as the `labels` are, or as `estimated` on the way
    prior: str = "even"

    def __post_init__(self) -> None:
        super().__post_init__()
        enough_views(self.large_views)
        self.reweighs = True  # labelled rows are read by their votes and their cross-entropy
        self.share = Prior(self.prior)
        self.anchor = "predictor" if self.predictor else "projector"
        self.needs = self.asks(
            *dict.fromkeys(("projector", self.anchor)),
            classifier(detached=self.detach),
            supports_at_test=self.predict_by == "neighbours",
        )

    def terms(self, step: Step) -> dict[str, Tensor]:
        """``consistency`` of the views, ``me_max`` and the ``classifier``'s cross-entropy."""
        return labels_term(step, smoothing=0.0, name="classifier") | paws(
            step,
            step.all_columns,
            temperature=self.temperature,
            sharpening=self.sharpening,
            smoothing=self.smoothing,
            prior=self.share,
            anchor=self.anchor,
        )

    def predict(self, outputs: Outputs, supports: tuple[Outputs, Tensor] | None) -> Tensor:
        """The classifier's logits, or log-probabilities by the labelled images at hand."""
        if supports is None:
            return outputs["classifier"]
        return self.vote(outputs, supports, temperature=self.temperature, head="projector")
