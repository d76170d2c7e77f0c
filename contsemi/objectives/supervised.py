"""Cross-entropy on the labelled images alone: the fine-tuning baseline."""

from dataclasses import dataclass, replace

from torch import Tensor

from contsemi.blocks.labelled import labels_term
from contsemi.objectives.objective import Objective
from contsemi.types import Step


@dataclass(kw_only=True, eq=False)
class Supervised(Objective):
    """A linear classifier trained on labels; unlabelled images are not looked at."""

    smoothing: float  # of the labels
    labelled_from: str  # current for the task's labels alone, all to add the exemplars

    def __post_init__(self) -> None:
        super().__post_init__()
        self.needs = replace(self.asks("classifier"), labelled_from=self.labelled_from)

    def terms(self, step: Step) -> dict[str, Tensor]:
        """``labels``: the cross-entropy over all seen classes."""
        return labels_term(step, smoothing=self.smoothing)
