"""The contract of a label choice: which images get their label; numpy only."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from contsemi.discovery import Part
from contsemi.errors import MethodFailed
from contsemi.labels.budget import LabelBudget

Integers = NDArray[np.int64]


@dataclass(kw_only=True, eq=False)
class Choice(Part):
    """A policy: one file each. The chosen rows and their digest stand in the manifest.

    Attributes:
        asks_network: whether it is asked before each task, by what the network sees
            (:class:`~contsemi.labels.choices.by_embedding.ByEmbedding`), in place of :meth:`draw`.
    """

    group: ClassVar[str] = "labels"
    asks_network: ClassVar[bool] = False

    def draw(
        self, budget: LabelBudget, targets: Integers, *, seed: int, names: Sequence[str]
    ) -> Integers:
        """Positions of the images that get their label.

        It is asked once for all images in use, or once for each task where the budget is per task.

        Args:
            budget: a share, or a count for each class.
            targets: int64 [N], the class id of each candidate image.
            seed: of the draw.
            names: name of each class id.

        Returns:
            int64 [n], distinct positions in ``targets``.

        Raises:
            InputError: the budget cannot be met.
        """
        raise NotImplementedError

    def drawn(
        self, budget: LabelBudget, targets: Integers, *, seed: int, names: Sequence[str]
    ) -> Integers:
        """What :meth:`draw` gives, if it is what it promises.

        Raises:
            MethodFailed: it is not.
        """
        rows = self.draw(budget, targets, seed=seed, names=names)
        own = isinstance(rows, np.ndarray) and rows.ndim == 1 and rows.dtype.kind == "i"
        if not own or not np.isin(rows, np.arange(len(targets))).all():
            what = f"an int64 array of positions in [0, {len(targets)})"
            raise MethodFailed.returned(self.draw, rows, what)
        if len(np.unique(rows)) < len(rows):
            raise MethodFailed.returned(self.draw, rows, "each position once")
        return rows
