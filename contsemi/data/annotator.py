"""Who is asked for labels while a stream goes on: the evaluator's side of a label choice."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from contsemi.data.coarse import coarse_rows
from contsemi.data.plan import Plan
from contsemi.data.scenario import Stream
from contsemi.labels import digest


class Annotator:
    """Tells the labels that are bought, task by task, and no other; never more than the budget.

    Labels are bought of a task's own images, where their class ever gets one: that much of an image
    is known to who buys, but not of which class it is.

    Args:
        stream: whose experiences get their labels.
        made: which image comes when, and how many labels each task has.
        targets: int64 [N], true class ids of the training images.
        coarse: int64 [N], their coarse classes, where the images have them.
        coarse_ratio: share of the other images whose coarse label is known then.
        seed: of the draw of these.

    Attributes:
        bought: rows of the images whose labels are known, by task, in the order of choice.
        most: labels that may be bought for each task.
    """

    def __init__(
        self,
        stream: Stream,
        made: Plan,
        targets: Tensor,
        coarse: Tensor | None,
        coarse_ratio: float = 0.0,
        seed: int = 0,
    ) -> None:
        self.bought: list[list[int]] = []
        self.most = made.most
        self._stream, self._targets, self._coarse = stream, targets, coarse
        self._share, self._seed = (coarse_ratio if coarse is not None else 0.0), seed
        self._columns = torch.full((int(targets.max()) + 1,), -1)
        self._columns[list(stream.class_order)] = torch.arange(len(stream.class_order))
        tasks = range(len(made.coming.first))
        self._offered = [made.coming.offered(task, targets.numpy()) for task in tasks]

    @property
    def rows(self) -> NDArray[np.int64]:
        """All rows bought so far."""
        return np.array([row for task in self.bought for row in task], np.int64)

    @property
    def digest(self) -> str:
        """SHA-256 of :attr:`rows`."""
        return digest(self.rows)

    def offered(self, task: int) -> Tensor:
        """int64 [P], rows of the images of a task whose label can be bought."""
        return torch.from_numpy(self._offered[task])

    def buy(self, task: int, rows: Sequence[int]) -> None:
        """Gives an experience of the stream the labels of these images.

        What was bought for this and later tasks before is forgotten.

        Args:
            task: from 0; the labels of all earlier ones are bought.
            rows: distinct, of :meth:`offered`, in the order of choice.

        Raises:
            ValueError: these are too many, or not distinct, or not offered.
        """
        known = np.array(list(rows), np.int64)
        if len(known) > self.most[task]:
            raise ValueError(f"{len(known)} labels for task {task + 1}, of {self.most[task]}")
        if len(np.unique(known)) < len(known) or not np.isin(known, self._offered[task]).all():
            raise ValueError(f"a label of task {task + 1} is bought twice, or was not offered")
        del self.bought[task:]
        self.bought.append(known.tolist())
        chosen = torch.from_numpy(known)
        above = torch.full_like(self._targets, -1) if self._coarse is None else self._coarse
        only = torch.from_numpy(
            coarse_rows(self._share, self._offered[task], known, self._targets, self._seed, task)
        )
        self._stream.experiences[task] = replace(
            self._stream.experiences[task],
            labelled=chosen,
            labels=self._columns[self._targets[chosen]],
            coarse=above[chosen],
            coarse_only=only,
            coarse_only_labels=above[only],
        )
