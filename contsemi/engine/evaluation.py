"""Accuracy on every task seen so far, class- and task-incremental, from one pass of features."""

from collections.abc import Sequence
from dataclasses import dataclass, field

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
    """One row of the accuracy matrices, and those that other predictors would have.

    Attributes:
        class_incremental: float64 [T], fraction right among all seen classes; NaN for tasks
            that have not come yet.
        task_incremental: float64 [T], fraction right among the task's own classes.
        predictors: name of a predictor -> both rows by it, of the seen tasks.
    """

    class_incremental: NDArray[np.float64]
    task_incremental: NDArray[np.float64]
    predictors: dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]] = field(
        default_factory=dict
    )


def evaluate(
    learner: Learner,
    images: Tensor,
    tasks: Sequence[TestTask],
    seen: int,
    *,
    predictors: bool = True,
) -> Evaluation:
    """Evaluates the first ``seen`` tasks.

    Args:
        learner: what predicts.
        images: uint8 [N, 3, S, S] test images.
        tasks: the test tasks of the whole stream.
        seen: how many of them have been trained on.
        predictors: whether to measure the other predictors, too.
    """
    class_row, task_row = np.full(len(tasks), np.nan), np.full(len(tasks), np.nan)
    chosen = tasks[:seen]
    seen_images = images[torch.cat([task.indices for task in chosen])]
    if predictors:
        predicted = learner.predictions(seen_images)
    else:
        predicted = {"headline": learner.predict(seen_images)}
    targets = torch.cat([task.targets for task in chosen]).numpy()
    task_of_sample = np.repeat(np.arange(seen), [len(task.indices) for task in chosen])
    columns = [task.columns for task in chosen]
    rows = {
        name: accuracy_rows(scores.cpu().numpy(), targets, task_of_sample, columns=columns)
        for name, scores in predicted.items()
    }
    class_row[:seen], task_row[:seen] = rows["headline"]
    return Evaluation(class_row, task_row, rows)
