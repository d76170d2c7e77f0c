"""Avalanche benchmarks of partly labelled streams.

Three streams, index by index: ``train`` (the labelled images), ``unlabeled`` (images without
targets) and ``test``. Hidden labels are in none of them, and -1 is nowhere: to Avalanche that would
be a class.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from contsemi.errors import InputError
from contsemi.strategies._avalanche import (
    AvalancheDataset,
    CLScenario,
    DataAttribute,
    DatasetExperience,
    EagerCLStream,
    LabelledDataset,
)
from contsemi.strategies.rows import Rows
from contsemi.types import Experience

__all__ = ["ImageRows", "Task", "assemble", "task_of"]


@dataclass(frozen=True, slots=True)
class Task:
    """What a train experience carries for the strategy, as ``experience.contsemi``.

    Attributes:
        experience: the task.
        images: uint8 [N, 3, S, S], the array its indices point into.
        class_ids: the class id of each column seen so far, this task's included.
        width: one more than the greatest class id of the stream.
    """

    experience: Experience
    images: Tensor
    class_ids: tuple[int, ...]
    width: int


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


def task_of(experience: Any) -> Task:
    """The task of a train experience.

    Raises:
        InputError: the experience is not of a benchmark that this room made.
    """
    task = getattr(experience, "contsemi", None)
    if not isinstance(task, Task):
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
    tasks: Sequence[int] | None = None,
) -> Any:
    """An Avalanche benchmark.

    Args:
        images: uint8 [N, 3, S, S], the training images.
        experiences: the tasks, in columns.
        class_ids: the class id of each column.
        test_images: uint8 [M, 3, S, S].
        tests: the test experiences.
        tasks: Avalanche's task label of each train experience; ``None`` for a stream without,
            whose metrics then have no ``/Task000`` in their names.

    Returns:
        A ``CLScenario`` with ``train_stream``, ``unlabeled_stream`` and ``test_stream``.
    """
    ids, width = torch.tensor(class_ids), 1 + max(class_ids)
    train, unlabelled = [], []
    for i, experience in enumerate(experiences):
        label = torch.full_like(experience.labels, tasks[i] if tasks else 0)
        rows = ImageRows(experience.labelled, ids[experience.labels], label)
        own = labelled_experience(images, rows, with_tasks=tasks is not None)
        own.contsemi = Task(experience, images, tuple(class_ids[: experience.num_seen]), width)
        train.append(_timed(own, experience, class_ids))
        pool = AvalancheDataset([Rows(images, experience.unlabelled)])
        unlabelled.append(DatasetExperience(dataset=pool))
    test = [labelled_experience(test_images, rows, with_tasks=tasks is not None) for rows in tests]
    for own in test:
        own.classes_in_this_experience = set(own.dataset.targets.uniques)
    streams = {"train": train, "unlabeled": unlabelled, "test": test}
    scenario = CLScenario([EagerCLStream(name, members) for name, members in streams.items()])
    # EvaluationPlugin(strict_checks=True) asks for it; the train stream has no way to the test's.
    scenario.test_stream.benchmark = scenario
    return scenario


def labelled_experience(images: Tensor, rows: ImageRows, *, with_tasks: bool) -> Any:
    """An experience of labelled images; ``experience.rows`` lets evaluation gather them at once."""
    data = Rows(images, rows.indices, rows.class_ids)
    attributes = [
        DataAttribute(rows.class_ids.tolist(), "targets"),
        DataAttribute(rows.tasks.tolist(), "targets_task_labels", use_in_getitem=True),
    ]
    own = DatasetExperience(dataset=LabelledDataset([data], data_attributes=attributes))
    own.rows, own.row_tasks = data, rows.tasks
    if with_tasks:
        own.task_labels = sorted(set(rows.tasks.tolist()))
    return own


def _timed(own: Any, experience: Experience, class_ids: Sequence[int]) -> Any:
    """Avalanche's timeline of classes, without the future."""
    own.classes_in_this_experience = {class_ids[c] for c in experience.columns}
    own.previous_classes = set(class_ids[: experience.num_old])
    own.classes_seen_so_far = set(class_ids[: experience.num_seen])
    return own
