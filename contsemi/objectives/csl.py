"""CSL: PAWS among the current task's classes, with a linear classifier over all seen ones.

Source: Kang et al. 2023, "A soft nearest-neighbor framework for continual semi-supervised
learning": the base learner of NNCSL, which is this with nearest-neighbour distillation
(``distiller=nnd``). Unlabelled images belong to the current task, so only supports of its classes
vote for them; the classifier learns from all supports, and its gradient reaches the backbone.
"""

from torch import Tensor

from contsemi.blocks.choices import enough_views, one_of
from contsemi.blocks.labelled import labels_term
from contsemi.blocks.support_votes import paws
from contsemi.objectives.objective import Objective
from contsemi.types import Outputs, Step

__all__ = ["Csl"]


class Csl(Objective):
    """Soft nearest neighbours among supports of the current task, and a live classifier.

    Args:
        temperature: of the similarities.
        sharpening: temperature T by which targets are sharpened.
        smoothing: of the supports' labels.
        predict: ``neighbours`` predicts by the labelled images at hand, ``classifier`` by the
            linear classifier.
        rows: of :class:`Objective`.
    """

    def __init__(
        self, *, temperature: float, sharpening: float, smoothing: float, predict: str, **rows: int
    ) -> None:
        super().__init__(**rows)
        one_of("predict", predict, "neighbours", "classifier")
        enough_views(self.large_views)
        self.temperature, self.sharpening, self.smoothing = temperature, sharpening, smoothing
        self.needs = self.asks("projector", "classifier", supports_at_test=predict == "neighbours")

    def terms(self, step: Step) -> dict[str, Tensor]:
        """``consistency`` of the views, ``me_max`` and the ``classifier``'s cross-entropy."""
        return labels_term(step, smoothing=0.0, name="classifier") | paws(
            step,
            step.columns,
            temperature=self.temperature,
            sharpening=self.sharpening,
            smoothing=self.smoothing,
            rows=step.current_rows,
        )

    def predict(self, outputs: Outputs, supports: tuple[Outputs, Tensor] | None) -> Tensor:
        """The classifier's logits, or log-probabilities by the labelled images at hand."""
        if supports is None:
            return outputs["classifier"]
        return self.vote(outputs, supports, temperature=self.temperature, head="projector")
