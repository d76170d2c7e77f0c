"""What a predictor says of the test images seen so far, from one pass of features."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from contsemi.data.scenario import TestSet
from contsemi.evaluation.predicts import Predicts
from contsemi.metrics.accuracy import accuracy_rows
from contsemi.stores.store import Images

__all__ = ["Evaluation", "Scored", "evaluate"]


@dataclass(frozen=True, slots=True, eq=False)
class Scored:
    """What was said of each test image of the tasks seen so far; only the evaluator sees it.

    Attributes:
        rows: int64 [N], rows of the test images.
        targets: int64 [N], their columns.
        log_probs: float32 [N, C], logarithms of the headline's probabilities: its scores, taken
            for logits as everywhere.
        within: int64 [N], the best column among those of the image's own task.
        points: float32 [N, D], images in the space in which the headline decides.
        centres: float32 [C, D], what stands for each class there; NaN for none.
    """

    rows: NDArray[np.int64]
    targets: NDArray[np.int64]
    log_probs: NDArray[np.float32]
    within: NDArray[np.int64]
    points: NDArray[np.float32]
    centres: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One row of the accuracy matrices, and those that other predictors would have.

    Attributes:
        class_incremental: float64 [T], fraction right among all seen classes; NaN for tasks
            that have not come yet.
        task_incremental: float64 [T], fraction right among the task's own classes.
        predictors: name of a predictor -> both rows by it, of the seen tasks.
        answers: image by image; ``None`` where the headline alone was asked for.
    """

    class_incremental: NDArray[np.float64]
    task_incremental: NDArray[np.float64]
    predictors: dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]] = field(
        default_factory=dict
    )
    answers: Scored | None = None


@torch.no_grad()
def evaluate(
    asked: Predicts,
    images: Images,
    tasks: Sequence[TestSet],
    seen: int,
    *,
    predictors: bool = True,
) -> Evaluation:
    """Evaluates the first ``seen`` tasks.

    Args:
        asked: what predicts.
        images: uint8 [N, 3, S, S], or a store: the test images.
        tasks: the test tasks of the whole stream.
        seen: how many of them have been trained on.
        predictors: whether to measure the other predictors, too, and to keep every answer.
    """
    class_row, task_row = np.full(len(tasks), np.nan), np.full(len(tasks), np.nan)
    chosen = tasks[:seen]
    indices = torch.cat([task.indices for task in chosen])
    outputs = asked.look(images, indices)
    headline = {} if predictors else {"headline": asked.scores(outputs)}
    predicted = headline or asked.predictions(outputs)
    targets = torch.cat([task.targets for task in chosen]).numpy()
    task_of_sample = np.repeat(np.arange(seen), [len(task.indices) for task in chosen])
    columns = [task.columns for task in chosen]
    rows = {
        name: accuracy_rows(scores.cpu().numpy(), targets, task_of_sample, columns=columns)
        for name, scores in predicted.items()
    }
    class_row[:seen], task_row[:seen] = rows["headline"]
    if not predictors:
        return Evaluation(class_row, task_row, rows)
    own = torch.zeros(seen, predicted["headline"].shape[1], dtype=torch.bool)
    for task, listed in enumerate(columns):
        own[task, list(listed)] = True
    scores = predicted["headline"].float().cpu()
    points, centres = asked.space(outputs)
    answers = Scored(
        rows=indices.numpy(),
        targets=targets,
        log_probs=scores.log_softmax(1).numpy(),
        within=scores.where(own[torch.from_numpy(task_of_sample)], -torch.inf).argmax(1).numpy(),
        points=points.cpu().numpy(),
        centres=centres.cpu().numpy(),
    )
    return Evaluation(class_row, task_row, rows, answers)
