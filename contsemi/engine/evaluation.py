"""Accuracy on every task seen so far, class- and task-incremental, from one pass of scores."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from contsemi.data.scenario import TestTask
from contsemi.engine.learner import Learner
from contsemi.metrics.accuracy import accuracy_rows

__all__ = ["Evaluation", "evaluate"]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One row of the accuracy matrices.

    Attributes:
        class_incremental: float64 [T], fraction right among all seen classes; NaN for tasks
            that have not come yet.
        task_incremental: float64 [T], fraction right among the task's own classes.
    """

    class_incremental: NDArray[np.float64]
    task_incremental: NDArray[np.float64]


def evaluate(learner: Learner, images: Tensor, tasks: Sequence[TestTask], seen: int) -> Evaluation:
    """Evaluates the first ``seen`` tasks.

    Args:
        learner: what predicts.
        images: uint8 [N, 3, S, S] test images.
        tasks: the test tasks of the whole stream.
        seen: how many of them have been trained on.
    """
    class_row, task_row = np.full(len(tasks), np.nan), np.full(len(tasks), np.nan)
    chosen = tasks[:seen]
    scores = learner.predict(images[torch.cat([task.indices for task in chosen])])
    class_row[:seen], task_row[:seen] = accuracy_rows(
        scores.cpu().numpy(),
        torch.cat([task.targets for task in chosen]).numpy(),
        np.repeat(np.arange(seen), [len(task.indices) for task in chosen]),
        columns=[task.columns for task in chosen],
    )
    return Evaluation(class_row, task_row)
