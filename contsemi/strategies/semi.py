"""Takes labels away from the user's own Avalanche benchmark."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from contsemi import labels
from contsemi.data.arrivals import Arrivals
from contsemi.strategies.decode import decode
from contsemi.strategies.streams import ImageRows, assemble
from contsemi.types import Experience

__all__ = ["semi_supervised"]


def semi_supervised(
    benchmark: Any, *, label_ratio: object, seed: int = 0, size: int | None = None
) -> Any:
    """The user's benchmark with few of its labels.

    Every image is decoded once, in the ``eval`` transform group; labels are drawn over the whole
    train stream, as in contsemi's own scenarios. What comes back has nothing of the benchmark
    that was given but pixels, the labels that were drawn, and the labels of the test stream.

    Args:
        benchmark: any Avalanche benchmark with ``train_stream`` and ``test_stream`` whose items
            begin with an image (PIL, uint8, or floating in [0, 1]; grey or RGB) and a class id.
        label_ratio: ``"0.8%"``, ``0.008``, ``"4/class"``, or a list of these, one per experience.
        seed: seed of the draw of labels.
        size: side to resize images to; ``None`` keeps their own, which must then be one for all.

    Returns:
        A benchmark for :class:`~contsemi.strategies.SemiSupervisedStrategy`, with the streams
        ``train``, ``unlabeled`` and ``test``. Class ids and task labels are those that were given.

    Raises:
        InputError: an image cannot be used as it is, or the labels do not suffice.
    """
    budget = labels.LabelBudget.parse(label_ratio)
    train, test = list(benchmark.train_stream), list(benchmark.test_stream)
    images, targets = decode([e.dataset for e in train], size, "train_stream")
    test_images, test_targets = decode([e.dataset for e in test], size, "test_stream")
    class_ids, experiences = _experiences(targets, _draw(budget, targets, seed))
    aware = all(hasattr(e, "task_labels") for e in (*train, *test))
    tests, row = [], 0
    for experience, ids in zip(test, test_targets, strict=True):
        tests.append(_test_rows(row, ids, experience, aware))
        row += len(ids)
    tasks = [int(next(iter(e.task_labels))) for e in train] if aware else None
    return assemble(images, experiences, class_ids, test_images, tests, tasks)


def _draw(budget: labels.LabelBudget, targets: list[list[int]], seed: int) -> list[Tensor]:
    """The rows of each experience that keep their label, in the order of the draw."""
    everything = np.concatenate([np.asarray(ids, dtype=np.int64) for ids in targets])
    names = [str(class_id) for class_id in range(int(everything.max()) + 1)]
    ends = np.cumsum([len(ids) for ids in targets])
    starts = ends - [len(ids) for ids in targets]
    bounds = list(zip(starts, ends, strict=True))
    if budget.per_task:
        parts = zip(budget.for_tasks(len(targets)), bounds, strict=True)
        drawn = [a + labels.draw(b, everything[a:z], seed=seed, names=names) for b, (a, z) in parts]
    else:
        rows = labels.draw(budget, everything, seed=seed, names=names)
        drawn = [rows[(a <= rows) & (rows < z)] for a, z in bounds]
    return [torch.from_numpy(rows) for rows in drawn]


def _experiences(
    targets: list[list[int]], drawn: list[Tensor]
) -> tuple[list[int], list[Experience]]:
    """The class id of each column, in order of arrival, and the tasks."""
    arrivals, experiences, row = Arrivals(), [], 0
    for ids, labelled in zip(targets, drawn, strict=True):
        known = torch.tensor(ids)
        pool = torch.arange(row, row + len(ids))
        experiences.append(arrivals.add(labelled, known[labelled - row], pool, known.unique()))
        row += len(ids)
    return arrivals.class_order, experiences


def _test_rows(start: int, ids: Sequence[int], experience: Any, aware: bool) -> ImageRows:
    rows, targets = torch.arange(start, start + len(ids)), torch.tensor(ids)
    known = getattr(experience.dataset, "targets_task_labels", None) if aware else None
    tasks = torch.zeros_like(targets) if known is None else torch.tensor(list(map(int, known)))
    return ImageRows(rows, targets, tasks)
