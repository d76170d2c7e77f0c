"""Avalanche benchmarks of partly labelled streams.

Three streams, index by index: ``train`` (the labelled images), ``unlabeled`` (images without
targets) and ``test``. Hidden labels are in none of them, and -1 is nowhere: to Avalanche that would
be a class.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from avalanche.benchmarks import CLScenario, DatasetExperience
from avalanche.benchmarks.scenarios.generic_scenario import EagerCLStream
from avalanche.benchmarks.utils import AvalancheDataset, DataAttribute
from avalanche.benchmarks.utils.classification_dataset import (
    TaskAwareSupervisedClassificationDataset as LabelledDataset,
)
from torch import Tensor

from contsemi.errors import InputError
from contsemi.strategies.rows import Rows
from contsemi.types import Experience


@dataclass(frozen=True, slots=True)
class StreamTask:
    """What a train experience carries for the strategy, as ``experience.contsemi``.

    Attributes:
        experience: the task.
        images: uint8 [N, 3, S, S], the array its indices point into.
        class_ids: the class id of each column seen so far, this task's included.
        width: one more than the greatest class id of the stream.
        benchmark: stands for the benchmark: no other one has the same object.
        tasks: int64 [N], Avalanche's task label of each image; ``None`` for a stream without.
        renumbered: whether class ids are not those of the benchmark that the user gave.
    """

    experience: Experience
    images: Tensor
    class_ids: tuple[int, ...]
    width: int
    benchmark: object
    tasks: Tensor | None = None
    renumbered: bool = False


@dataclass(frozen=True, slots=True)
class ImageRows:
    """Labelled images of one experience.

    Attributes:
        indices: int64 [n], rows of an image array.
        class_ids: int64 [n].
        tasks: int64 [n], Avalanche's task labels.
    """

    indices: Tensor
    class_ids: Tensor
    tasks: Tensor


def task_of(experience: Any) -> StreamTask:
    """The task of a train experience.

    Raises:
        InputError: the experience is not of a benchmark that this room made.
    """
    task = getattr(experience, "contsemi", None)
    if not isinstance(task, StreamTask):
        raise InputError(
            "experience",
            "does not say which of its images are labelled",
            "make the benchmark with contsemi.strategies.benchmark() or semi_supervised()",
        )
    return task


def assemble(
    images: Tensor,
    experiences: Sequence[Experience],
    class_ids: Sequence[int],
    test_images: Tensor,
    tests: Sequence[ImageRows],
    tasks: Tensor | None = None,
    *,
    original: Sequence[tuple[int, int]] | None = None,
) -> Any:
    """An Avalanche benchmark.

    Args:
        images: uint8 [N, 3, S, S], the training images.
        experiences: the tasks, in columns.
        class_ids: the class id of each column.
        test_images: uint8 [M, 3, S, S].
        tests: the test experiences.
        tasks: int64 [N], Avalanche's task label of each training image; ``None`` for a stream
            without, whose metrics then have no ``/Task000`` in their names.
        original: see :func:`~contsemi.strategies.semi_supervised`.

    Returns:
        A ``CLScenario`` with ``train_stream``, ``unlabeled_stream`` and ``test_stream``, and the
        attributes ``n_classes``, ``n_classes_per_exp`` and ``original_classes``.
    """
    ids, width = torch.tensor(class_ids), 1 + max(class_ids)
    zeros = torch.zeros(len(images), dtype=torch.int64) if tasks is None else tasks
    train, unlabelled, token = [], [], object()
    for each in experiences:
        rows = ImageRows(each.labelled, ids[each.labels], zeros[each.labelled])
        own = labelled_experience(images, rows)
        seen = tuple(class_ids[: each.num_seen])
        renumbered = original is not None
        own.contsemi = StreamTask(each, images, seen, width, token, tasks, renumbered)
        pool = DatasetExperience(dataset=AvalancheDataset([Rows(images, each.unlabelled)]))
        if tasks is not None:
            _name_tasks(own, tasks[each.unlabelled])
            _name_tasks(pool, tasks[each.unlabelled])
        train.append(_timed(own, each, class_ids))
        unlabelled.append(pool)
    test = [labelled_experience(test_images, rows) for rows in tests]
    for own, rows in zip(test, tests, strict=True):
        own.classes_in_this_experience = set(own.dataset.targets.uniques)
        if tasks is not None:
            _name_tasks(own, rows.tasks)
    streams = {"train": train, "unlabeled": unlabelled, "test": test}
    scenario = CLScenario([EagerCLStream(name, members) for name, members in streams.items()])
    scenario.n_classes, scenario.n_experiences = len(class_ids), len(train)
    scenario.n_classes_per_exp = [len(each.columns) for each in experiences]
    scenario.original_classes = None if original is None else list(original)
    for stream in scenario.streams.values():
        stream.benchmark = scenario
    for own in (*train, *unlabelled, *test):
        own.benchmark = scenario
    return scenario


def labelled_experience(images: Tensor, rows: ImageRows) -> Any:
    """An experience of labelled images; ``experience.rows`` lets evaluation gather them at once."""
    data = Rows(images, rows.indices, rows.class_ids)
    attributes = [
        DataAttribute(rows.class_ids.tolist(), "targets"),
        DataAttribute(rows.tasks.tolist(), "targets_task_labels", use_in_getitem=True),
    ]
    own = DatasetExperience(dataset=LabelledDataset([data], data_attributes=attributes))
    own.rows, own.row_tasks = data, rows.tasks
    return own


def _name_tasks(own: Any, labels: Tensor) -> None:
    """``task_labels`` as Avalanche has them, and ``task_label`` where there is one."""
    own.task_labels = sorted(set(labels.tolist()))
    if len(own.task_labels) == 1:
        (own.task_label,) = own.task_labels


def _timed(own: Any, experience: Experience, class_ids: Sequence[int]) -> Any:
    """Avalanche's timeline of classes, without the future."""
    own.classes_in_this_experience = {class_ids[c] for c in experience.columns}
    own.previous_classes = set(class_ids[: experience.num_old])
    own.classes_seen_so_far = set(class_ids[: experience.num_seen])
    return own
