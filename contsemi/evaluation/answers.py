"""What a predictor says of the test images seen so far, from one pass of features."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from contsemi.data.scenario import TestSet
from contsemi.evaluation.predicts import Predicts
from contsemi.metrics.accuracy import accuracy_rows, within_task
from contsemi.metrics.answers import Answered
from contsemi.stores.store import Images

_NONE = np.zeros(0, np.int64)


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
    answers: Answered | None = None


@torch.no_grad()
def evaluate(
    asked: Predicts,
    images: Images,
    tasks: Sequence[TestSet],
    seen: int,
    *,
    predictors: bool = True,
    embedded: NDArray[np.int64] = _NONE,
) -> Evaluation:
    """Evaluates the first ``seen`` tasks.

    Args:
        asked: what predicts.
        images: uint8 [N, 3, S, S], or a store: the test images.
        tasks: the test tasks of the whole stream.
        seen: how many of them have been trained on.
        predictors: whether to measure the other predictors, too, and to keep every answer.
        embedded: int64, rows of the test images of which the embeddings are kept, too.
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
    scores = predicted["headline"].float().cpu()
    log_probs = scores.log_softmax(1).numpy()
    points, centres = asked.space(outputs)
    kept = np.flatnonzero(np.isin(indices.numpy(), embedded))
    answers = Answered(
        rows=indices.numpy().astype(np.int32),
        targets=targets.astype(np.int32),
        predicted=log_probs.argmax(1).astype(np.int32),
        within=within_task(scores.numpy(), task_of_sample, columns).astype(np.int32),
        confidence=np.exp(log_probs.max(1)),
        log_prob=log_probs[np.arange(len(targets)), targets],
        embedded=kept.astype(np.int32),
        embeddings=_halves(points.cpu().numpy()[kept]),
        centres=_halves(centres.cpu().numpy()),
    )
    return Evaluation(class_row, task_row, rows, answers)


def _halves(values: NDArray[np.float32]) -> NDArray[np.float16]:
    """As float16, whose range ends at 65504: beyond it stands its end, not infinity."""
    largest = np.finfo(np.float16).max
    return values.clip(-largest, largest).astype(np.float16)
