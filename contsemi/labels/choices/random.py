"""By chance alone: what every other policy has to beat."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from contsemi.errors import InputError
from contsemi.labels.budget import KEY, LabelBudget
from contsemi.labels.choices.choice import Choice


@dataclass(kw_only=True, eq=False)
class Random(Choice):
    """Images drawn evenly, without a look at their class; a class may get no label."""

    def draw(
        self, budget: LabelBudget, targets: NDArray[np.int64], *, seed: int, names: Sequence[str]
    ) -> NDArray[np.int64]:
        """A share of all; of a count for each class, as many in all."""
        classes = len(np.unique(targets))
        wanted = (
            math.floor(budget.ratio * len(targets))
            if budget.ratio is not None
            else budget.count(0) * classes
        )
        if not 0 < wanted <= len(targets):
            problem = f"asks for {wanted} of {len(targets)} images"
            raise InputError(KEY, problem, "give another share")
        order = np.random.RandomState(seed).permutation(len(targets))
        return order[:wanted].astype(np.int64)
