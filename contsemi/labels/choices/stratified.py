"""Each class gets its share of the labels."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from contsemi.labels.budget import LabelBudget
from contsemi.labels.choices.choice import Choice
from contsemi.labels.draw import draw


@dataclass(kw_only=True, eq=False)
class Stratified(Choice):
    """The draw of the published lists; see :func:`contsemi.labels.draw.draw`."""

    def draw(
        self, budget: LabelBudget, targets: NDArray[np.int64], *, seed: int, names: Sequence[str]
    ) -> NDArray[np.int64]:
        """By class, in proportion to its images."""
        return draw(budget, targets, seed=seed, names=names)
