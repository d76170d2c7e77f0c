"""CSL: PAWS among the current task's classes, with a linear classifier over all seen ones.

Source: Kang et al. 2023, "A soft nearest-neighbor framework for continual semi-supervised
learning": the base learner of NNCSL, which is this with nearest-neighbour distillation
(``distiller=nnd``). Unlabelled images belong to the current task, so only supports of its classes
vote for them; the classifier learns from all supports, and its gradient reaches the backbone.
"""

import torch
from torch import Tensor

from contsemi.errors import InputError
from contsemi.losses.cross_entropy import label_cross_entropy
from contsemi.losses.nearest import nearest_classes, soft_nearest_neighbours, support_labels
from contsemi.losses.paws import consistency, mean_entropy_maximisation
from contsemi.objectives.objective import Objective
from contsemi.types import Needs, Outputs, Step

__all__ = ["Csl"]


class Csl(Objective):
    """Soft nearest neighbours among supports of the current task, and a live classifier.

    Args:
        temperature: of the similarities.
        sharpening: temperature T by which targets are sharpened.
        smoothing: of the supports' labels.
        large_views, small_views: of each unlabelled image.
        labelled_views: of each support.
        supports_per_class: labelled images per seen class and step.
        predict: ``neighbours`` predicts by the labelled images at hand, ``classifier`` by the
            linear classifier.
    """

    def __init__(
        self,
        *,
        temperature: float,
        sharpening: float,
        smoothing: float,
        large_views: int,
        small_views: int,
        labelled_views: int,
        supports_per_class: int,
        predict: str,
    ) -> None:
        super().__init__()
        if predict not in ("neighbours", "classifier"):
            problem = f"expected neighbours or classifier, got {predict!r}"
            raise InputError("objective.predict", problem, "use neighbours")
        if large_views == 1:
            problem = "one view has no other to predict"
            raise InputError("objective.large_views", problem, "use 2 or more, or 0 for none")
        self.temperature, self.sharpening = temperature, sharpening
        self.smoothing = smoothing
        self.needs = Needs(
            heads=("projector", "classifier"),
            labelled_views=labelled_views,
            large_views=large_views,
            small_views=small_views,
            supports_per_class=supports_per_class,
            labelled_from="all",
            supports_at_test=predict == "neighbours",
        )

    def terms(self, step: Step) -> dict[str, Tensor]:
        """``consistency`` of the views, ``me_max`` and the ``classifier``'s cross-entropy."""
        if step.labelled is None:
            return {}
        labels = step.labels.repeat(len(step.labelled) // len(step.labels))
        logits = step.labelled["classifier"]
        terms = {"classifier": label_cross_entropy(logits, labels, temperature=1.0, smoothing=0.0)}
        if step.large is not None and step.batch_size:
            views = [part["projector"] for part in (step.large, step.small) if part is not None]
            log_probs = self._votes(torch.cat(views), step.labelled["projector"], labels, step)
            terms["consistency"] = consistency(
                log_probs,
                log_probs[: len(step.large)].detach(),
                batch_size=step.batch_size,
                sharpening=self.sharpening,
            )
            terms["me_max"] = mean_entropy_maximisation(log_probs, sharpening=self.sharpening)
        return terms

    def _votes(self, views: Tensor, supports: Tensor, labels: Tensor, step: Step) -> Tensor:
        """Log-probabilities over the task's columns; supports of old classes weigh nothing."""
        soft, weights = support_labels(
            labels, step.columns, smoothing=self.smoothing, dtype=supports.dtype
        )
        return soft_nearest_neighbours(
            views, supports, soft, temperature=self.temperature, weights=weights
        )

    def predict(self, outputs: Outputs, supports: tuple[Outputs, Tensor] | None) -> Tensor:
        """The classifier's logits, or log-probabilities by the labelled images at hand."""
        logits = outputs["classifier"]
        if supports is None:
            return logits
        rows, labels, classes = supports[0]["projector"], supports[1], logits.shape[1]
        return nearest_classes(
            outputs["projector"], rows, labels, classes, temperature=self.temperature
        )
