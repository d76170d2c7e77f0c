"""PAWS: views agree on the classes that labelled images in the batch vote for.

Source: Assran et al. 2021, "Semi-supervised learning of visual features by non-parametrically
predicting view assignments with support samples" (PAWS). In a stream the supports are the labelled
images of all seen classes, exemplars included; in NNCSL's comparison (Kang et al. 2023) a linear
classifier on detached features is trained beside.
"""

import torch
from torch import Tensor

from contsemi.blocks.choices import enough_views, one_of
from contsemi.blocks.labelled import labels_term
from contsemi.blocks.support_votes import paws
from contsemi.models.heads import classifier
from contsemi.objectives.objective import Objective
from contsemi.types import Outputs, Step

__all__ = ["Paws"]


class Paws(Objective):
    """Soft nearest neighbours among supports of all seen classes.

    Args:
        temperature: of the similarities.
        sharpening: temperature T by which targets are sharpened.
        smoothing: of the supports' labels.
        predictor: whether views and supports pass through the prediction head while the targets
            do not.
        detach: whether the classifier leaves the features alone.
        predict: ``neighbours`` predicts by the labelled images at hand, ``classifier`` by the
            linear classifier.
        rows: of :class:`Objective`.
    """

    def __init__(
        self,
        *,
        temperature: float,
        sharpening: float,
        smoothing: float,
        predictor: bool,
        detach: bool,
        predict: str,
        **rows: int,
    ) -> None:
        super().__init__(**rows)
        one_of("predict", predict, "neighbours", "classifier")
        enough_views(self.large_views)
        self.temperature, self.sharpening, self.smoothing = temperature, sharpening, smoothing
        self.anchor = "predictor" if predictor else "projector"
        self.needs = self.asks(
            *dict.fromkeys(("projector", self.anchor)),
            classifier(detached=detach),
            supports_at_test=predict == "neighbours",
        )

    def terms(self, step: Step) -> dict[str, Tensor]:
        """``consistency`` of the views, ``me_max`` and the ``classifier``'s cross-entropy."""
        return labels_term(step, smoothing=0.0, name="classifier") | paws(
            step,
            torch.arange(step.num_seen, device=step.labels.device),
            temperature=self.temperature,
            sharpening=self.sharpening,
            smoothing=self.smoothing,
            anchor=self.anchor,
        )

    def predict(self, outputs: Outputs, supports: tuple[Outputs, Tensor] | None) -> Tensor:
        """The classifier's logits, or log-probabilities by the labelled images at hand."""
        if supports is None:
            return outputs["classifier"]
        return self.vote(outputs, supports, temperature=self.temperature, head="projector")
