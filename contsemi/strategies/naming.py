"""Which class an id of the user's benchmark names: the id alone, or the task and the id."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from contsemi.errors import InputError

Classes = Literal["auto", "id", "task"]
Ids = list[list[int]]


@dataclass(frozen=True, slots=True)
class Named:
    """Class ids that each name one class.

    Attributes:
        train, test: the ids of each image, experience by experience.
        original: the task and the id that stood for each of these ids; ``None`` where they are
            those that the benchmark gave.
    """

    train: Ids
    test: Ids
    original: tuple[tuple[int, int], ...] | None = None


def name_classes(
    benchmark: Any, train: Ids, test: Ids, tasks: tuple[Ids, Ids] | None, by: Classes
) -> Named:
    """Gives every class an id of its own.

    Where ids restart at 0 in each task, an id alone would make one class of many. Avalanche's
    ``nc_benchmark`` says of itself whether they do; of others nobody knows whether an id that comes
    with several task labels is one class (new instances) or several.

    Args:
        benchmark: says whether its ids restart, if it does.
        train: class ids of each training image, experience by experience.
        test: those of each test image.
        tasks: their task labels; ``None`` for a benchmark without.
        by: ``id``: an id is one class; ``task``: the task label and the id together, or the place
            in the stream where task labels do not differ; ``auto``: as the benchmark says.

    Raises:
        InputError: nothing says which, or test experiences cannot be told apart.
    """
    if by not in get_args(Classes):
        allowed = " or ".join(f"'{each}'" for each in get_args(Classes))
        raise InputError(
            "semi_supervised(classes)", f"{str(by)[:40]!r} is unknown", f"use {allowed}"
        )
    if by == "auto":
        restarts = getattr(benchmark, "class_ids_from_zero_in_each_exp", False)
        by = "task" if restarts else _by_labels(train, tasks)
        # with one test experience for all of them, experiences are of new instances
        from_zero = all(set(ids) == set(range(len(set(ids)))) for ids in train)
        if by == "id" and from_zero and min(len(train), len(test)) > 1:
            most = max(max(ids, default=0) for ids in train)
            raise InputError(
                "semi_supervised(classes)",
                f"each experience has class ids from 0 on, {most} at most, and no task labels",
                "say classes='task' if they restart, classes='id' if they are the same classes",
            )
    if by == "id":
        return Named(train, test)
    ours, theirs = _told_apart(train, test, tasks)
    numbers: dict[tuple[int, int], int] = {}
    for ids, labels in (*zip(train, ours, strict=True), *zip(test, theirs, strict=True)):
        for key in sorted(set(zip(labels, ids, strict=True))):
            numbers.setdefault(key, len(numbers))
    return Named(_numbered(train, ours, numbers), _numbered(test, theirs, numbers), tuple(numbers))


def task_labels(experiences: Sequence[Any]) -> Ids | None:
    """The task label of each image, experience by experience; ``None`` for a stream without."""
    if not all(hasattr(each, "task_labels") for each in experiences):
        return None
    found = []
    for each in experiences:
        known = getattr(each.dataset, "targets_task_labels", None)
        own = sorted(map(int, each.task_labels)) or [0]
        found.append(own[:1] * len(each.dataset) if known is None else [int(t) for t in known])
    return found


def _by_labels(train: Ids, tasks: tuple[Ids, Ids] | None) -> Classes:
    """By the id, where none comes with two task labels."""
    first: dict[int, int] = {}
    for ids, labels in zip(train, tasks[0] if tasks else [], strict=tasks is not None):
        for number, label in zip(ids, labels, strict=True):
            if first.setdefault(number, label) != label:
                raise InputError(
                    "semi_supervised(classes)",
                    f"the class id {number} comes with the task labels {first[number]} and {label}",
                    "say classes='task' if these are two classes, classes='id' if they are one",
                )
    return "id"


def _told_apart(train: Ids, test: Ids, tasks: tuple[Ids, Ids] | None) -> tuple[Ids, Ids]:
    """What stands beside the ids: task labels where they differ, else places in the stream."""
    if tasks is not None and len({label for labels in tasks[0] for label in labels}) > 1:
        return tasks
    if len(train) != len(test):
        raise InputError(
            "semi_supervised(classes)",
            f"class ids restart in each experience, and {len(train)} experiences for training have "
            f"{len(test)} for testing, without task labels",
            "give a test experience for each, or a benchmark whose ids do not restart",
        )
    ours, theirs = (
        [[place] * len(ids) for place, ids in enumerate(stream)] for stream in (train, test)
    )
    return ours, theirs


def _numbered(stream: Ids, tasks: Ids, numbers: dict[tuple[int, int], int]) -> Ids:
    return [
        [numbers[key] for key in zip(labels, ids, strict=True)]
        for ids, labels in zip(stream, tasks, strict=True)
    ]
