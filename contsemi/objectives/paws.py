"""PAWS: views agree on the classes that labelled images in the batch vote for.

Source: Assran et al. 2021, "Semi-supervised learning of visual features by non-parametrically
predicting view assignments with support samples" (PAWS). In a stream the supports are the labelled
images of all seen classes, exemplars included; in NNCSL's comparison (Kang et al. 2023) a linear
classifier on detached features is trained beside.
"""

from functools import partial

import torch
from torch import Tensor

from contsemi.errors import InputError
from contsemi.losses.cross_entropy import label_cross_entropy
from contsemi.losses.nearest import nearest_classes, soft_nearest_neighbours, support_labels
from contsemi.losses.paws import consistency, mean_entropy_maximisation
from contsemi.objectives.objective import Objective
from contsemi.types import Needs, Outputs, Step

__all__ = ["Paws"]


class Paws(Objective):
    """Soft nearest neighbours among supports of all seen classes.

    Args:
        temperature: of the similarities.
        sharpening: temperature T by which targets are sharpened.
        smoothing: of the supports' labels.
        large_views, small_views: of each unlabelled image.
        labelled_views: of each support.
        supports_per_class: labelled images per seen class and step.
        predictor: whether views and supports pass through the prediction head while the targets
            do not.
        detach: whether the classifier leaves the features alone.
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
        predictor: bool,
        detach: bool,
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
        self.anchor = "predictor" if predictor else "projector"
        self.needs = Needs(
            heads=("projector", *(("predictor",) if predictor else ()), "classifier"),
            detached=("classifier",) if detach else (),
            labelled_views=labelled_views,
            large_views=large_views,
            small_views=small_views,
            supports_per_class=supports_per_class,
            labelled_from="all",
            supports_at_test=predict == "neighbours",
        )

    def terms(self, step: Step) -> dict[str, Tensor]:
        """``consistency`` of the views, ``me_max`` and the ``classifier``'s cross-entropy."""
        supports = step.labelled
        if supports is None:
            return {}
        labels = step.labels.repeat(len(supports) // len(step.labels))
        logits = supports["classifier"]
        terms = {"classifier": label_cross_entropy(logits, labels, temperature=1.0, smoothing=0.0)}
        if step.large is not None and step.batch_size:
            log_probs, targets = self._votes(step, step.large, supports, labels)
            terms["consistency"] = consistency(
                log_probs, targets, batch_size=step.batch_size, sharpening=self.sharpening
            )
            terms["me_max"] = mean_entropy_maximisation(log_probs, sharpening=self.sharpening)
        return terms

    def _votes(
        self, step: Step, large: Outputs, supports: Outputs, labels: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Log-probabilities of all views, and those of the large ones as targets."""
        columns = torch.arange(step.num_seen, device=labels.device)
        dtype = supports["projector"].dtype
        soft, _ = support_labels(labels, columns, smoothing=self.smoothing, dtype=dtype)
        vote = partial(soft_nearest_neighbours, labels=soft, temperature=self.temperature)
        views = [part[self.anchor] for part in (large, step.small) if part is not None]
        log_probs = vote(torch.cat(views), supports[self.anchor])
        if self.anchor == "projector":
            return log_probs, log_probs[: len(large)].detach()
        with torch.no_grad():
            return log_probs, vote(large["projector"], supports["projector"])

    def predict(self, outputs: Outputs, supports: tuple[Outputs, Tensor] | None) -> Tensor:
        """The classifier's logits, or log-probabilities by the labelled images at hand."""
        logits = outputs["classifier"]
        if supports is None:
            return logits
        rows, labels, classes = supports[0]["projector"], supports[1], logits.shape[1]
        return nearest_classes(
            outputs["projector"], rows, labels, classes, temperature=self.temperature
        )
