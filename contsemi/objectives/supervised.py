"""Cross-entropy on the labelled images alone: the fine-tuning baseline."""

from torch import Tensor

from contsemi.losses.cross_entropy import label_cross_entropy
from contsemi.objectives.objective import Objective
from contsemi.types import Needs, Outputs, Step

__all__ = ["Supervised"]


class Supervised(Objective):
    """A linear classifier trained on labels; unlabelled images are not looked at.

    Args:
        smoothing: of the labels.
        labelled_views: augmented views of each labelled image.
        labelled_from: ``current`` for the task's labels alone, ``all`` to add the exemplars.
    """

    def __init__(self, *, smoothing: float, labelled_views: int, labelled_from: str) -> None:
        super().__init__()
        self.smoothing = smoothing
        self.needs = Needs(
            heads=("classifier",), labelled_views=labelled_views, labelled_from=labelled_from
        )

    def terms(self, step: Step) -> dict[str, Tensor]:
        """``labels``: the cross-entropy over all seen classes."""
        if step.labelled is None:
            return {}
        logits = step.labelled["classifier"]
        labels = step.labels.repeat(len(logits) // len(step.labels))
        loss = label_cross_entropy(logits, labels, temperature=1.0, smoothing=self.smoothing)
        return {"labels": loss}

    def predict(self, outputs: Outputs, supports: tuple[Outputs, Tensor] | None) -> Tensor:
        """The classifier's logits."""
        return outputs["classifier"]
