"""Fine-tuning: cross-entropy on the labelled images of the task, nothing of the past."""

from typing import Any

from contsemi.strategies._avalanche import Naive as Strategy
from contsemi.strategies.baselines.method import Method
from contsemi.strategies.baselines.same_terms import on_same_terms
from contsemi.strategies.baselines.terms import Terms

__all__ = ["Naive"]


class Naive(Method):
    """Avalanche's Naive; the same as our ``finetune``."""

    def build(self, terms: Terms) -> Any:
        """The strategy."""
        return on_same_terms(Strategy, self, terms)
