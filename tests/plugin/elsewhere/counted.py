"""An objective: a classifier on the labels, and a count of steps that is saved with the run."""

from dataclasses import dataclass

import torch

from contsemi.blocks.labelled import labels_term
from contsemi.objectives.objective import Objective


@dataclass(kw_only=True, eq=False)
class Counted(Objective):
    """Learns the labels, less and less by the number of steps."""

    smoothing: float  # of the labels

    def __post_init__(self):
        super().__post_init__()
        self.register_buffer("steps", torch.zeros(()))
        self.needs = self.asks("classifier")

    def terms(self, step):
        terms = labels_term(step, smoothing=self.smoothing)
        return {name: term / (1 + 0.01 * self.steps) for name, term in terms.items()}

    def after_step(self):
        super().after_step()
        self.steps += 1
