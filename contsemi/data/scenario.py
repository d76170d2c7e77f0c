"""A scenario and a label budget over a dataset -> the stream that training and evaluation get."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from contsemi.config import Data, Scenario
from contsemi.data.arrivals import Arrivals
from contsemi.data.classes import task_classes
from contsemi.data.imageset import ImageSet
from contsemi.data.sources.folder import load_pool
from contsemi.errors import InputError
from contsemi.labels import LabelBudget, digest, draw, draw_per_task, read_list
from contsemi.seeding import generator
from contsemi.types import Experience

__all__ = ["Arrivals", "Stream", "TestTask", "build"]

Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class TestTask:
    """The test images of one task; only the evaluator sees it.

    Attributes:
        columns: columns of the task's classes.
        indices: int64 [n], rows of the test images.
        targets: int64 [n], their columns.
    """

    __test__ = False  # not a test case, whatever pytest thinks of its name

    columns: tuple[int, ...]
    indices: Tensor
    targets: Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Stream:
    """All that a run trains and is tested on. No label that the budget hides can be reached.

    Attributes:
        name: name of the scenario.
        experiences: the tasks, as training may see them.
        images: uint8 [N, 3, S, S], what the experiences' rows point into: the training images,
            and after them those of ``unlabelled_images``.
        test: the test images of each task.
        class_order: dataset class id of each column.
        class_names: class name of each column.
        label_indices: int64 [n], all labelled rows, in the order of the draw or of the list.
        label_digest: SHA-256 of the sorted ``label_indices``.
        unlabelled_images: uint8 [M, 3, S, S], images of another folder, or ``None``.
    """

    name: str
    experiences: list[Experience]
    images: Tensor
    test: list[TestTask]
    class_order: tuple[int, ...]
    class_names: tuple[str, ...]
    label_indices: Integers
    label_digest: str
    unlabelled_images: Tensor | None


def build(
    scenario: Scenario,
    budget: LabelBudget,
    train: ImageSet,
    test: ImageSet,
    seed: int,
    *,
    data: Data | None = None,
) -> Stream:
    """Divides a dataset into tasks and hides the labels beyond the budget.

    Args:
        scenario: the pure description.
        budget: how many labels there are.
        train: training images.
        test: test images.
        seed: the run's seed, used where the scenario has no ``label_seed`` or ``order_seed``.
        data: how a folder of unlabelled images is decoded; ``None`` for the user's cache and one
            process per core.

    Raises:
        InputError: the scenario, the budget or the label list do not fit the dataset.
    """
    if train.classes != test.classes:
        raise InputError("data.root", "train and test differ in classes", "give one dataset")
    tasks = task_classes(scenario, train.classes, seed)
    order = [number for task in tasks for number in task]
    targets, test_targets = train.targets.numpy(), test.targets.numpy()
    _refuse_missing(order, targets, test_targets, train.classes)
    label_seed = seed if scenario.label_seed is None else scenario.label_seed
    labelled = _labelled(scenario, budget, targets, tasks, train.classes, label_seed)
    column_of = _columns(order, len(train.classes))
    pool = _pool(scenario, train.size, data)
    images = train.images if pool is None else torch.cat([train.images, pool])
    outside = None if pool is None else np.arange(len(train), len(images))
    return Stream(
        name=scenario.name,
        experiences=_experiences(tasks, labelled, outside, train, scenario, seed),
        images=images,
        test=[_test_task(task, column_of, test_targets) for task in tasks],
        class_order=tuple(order),
        class_names=tuple(train.classes[number] for number in order),
        label_indices=labelled,
        label_digest=digest(labelled),
        unlabelled_images=pool,
    )


def _columns(order: Sequence[int], num_classes: int) -> Integers:
    """Column of each class id, -1 for classes that are not in use."""
    columns = np.full(num_classes, -1, np.int64)
    columns[list(order)] = np.arange(len(order))
    return columns


def _experiences(
    tasks: Sequence[Sequence[int]],
    labelled: Integers,
    outside: Integers | None,
    train: ImageSet,
    scenario: Scenario,
    seed: int,
) -> list[Experience]:
    """The tasks as training may see them; ``outside`` are rows of images of another folder."""
    order = [number for task in tasks for number in task]
    targets, names = train.targets.numpy(), train.classes
    column_of = _columns(order, len(names))
    known, (above, num_coarse) = train.coarse, _coarse(order, train)
    experiences, seen = [], 0
    for index, task in enumerate(tasks):
        start, seen = seen, seen + len(task)
        rows = labelled[np.isin(targets[labelled], task)]
        in_pool = order[:seen] if scenario.unlabelled == "seen" else task
        own = np.flatnonzero(np.isin(targets, in_pool)) if outside is None else outside
        if scenario.unlabelled_share < 1:
            draw = torch.randperm(len(own), generator=generator(seed, "unlabelled share", index))
            own = np.sort(own[draw[: math.ceil(scenario.unlabelled_share * len(own))].numpy()])
        experiences.append(
            Experience(
                index=index,
                columns=tuple(range(start, seen)),
                num_old=start,
                num_seen=seen,
                labelled=torch.from_numpy(rows),
                labels=torch.from_numpy(column_of[targets[rows]]),
                unlabelled=torch.from_numpy(own),
                class_names=tuple(names[number] for number in task),
                coarse=torch.full((len(rows),), -1) if known is None else known[rows],
                coarse_of=above[:seen],
                num_coarse=num_coarse,
            )
        )
    return experiences


def _coarse(order: Sequence[int], train: ImageSet) -> tuple[Tensor, int]:
    """The coarse class of each column, -1 for a class of several or of none, and their number."""
    above = torch.full((len(order),), -1)
    if train.coarse is None:
        return above, 0
    for column, number in enumerate(order):
        found = train.coarse[train.targets == number]
        if (found == found[:1]).all():
            above[column] = found[0]
    named = train.coarse_classes
    return above, int(train.coarse.max()) + 1 if named is None else len(named)


def _test_task(task: Sequence[int], column_of: Integers, targets: Integers) -> TestTask:
    rows = np.flatnonzero(np.isin(targets, task))
    return TestTask(
        columns=tuple(column_of[list(task)].tolist()),
        indices=torch.from_numpy(rows),
        targets=torch.from_numpy(column_of[targets[rows]]),
    )


def _labelled(
    scenario: Scenario,
    budget: LabelBudget,
    targets: Integers,
    tasks: Sequence[Sequence[int]],
    names: Sequence[str],
    seed: int,
) -> Integers:
    """Rows of the training images that have a label."""
    used = np.flatnonzero(np.isin(targets, [number for task in tasks for number in task]))
    budgets = budget.for_tasks(len(tasks))
    if scenario.labels is not None:
        return _frozen(Path(scenario.labels), budget, budgets, targets, used, tasks, names)
    if budget.per_task:
        return draw_per_task(budgets, targets, tasks, seed=seed, names=names)
    return used[draw(budget, targets[used], seed=seed, names=names)]


def _frozen(
    path: Path,
    budget: LabelBudget,
    budgets: Sequence[LabelBudget],
    targets: Integers,
    used: Integers,
    tasks: Sequence[Sequence[int]],
    names: Sequence[str],
) -> Integers:
    """The rows of a frozen list, checked against the scenario and the budget."""
    rows = read_list(path.expanduser(), len(targets))
    where = f"scenario.labels={path}"
    counts = np.bincount(targets[rows], minlength=len(names))
    sizes = np.bincount(targets[used], minlength=len(names))
    if stray := np.flatnonzero((counts > 0) & (sizes == 0)).tolist():
        line = int(np.flatnonzero(targets[rows] == stray[0])[0]) + 1
        problem = f"row {rows[line - 1]} is of class {names[stray[0]]!r}, which is not in use"
        raise InputError(f"{where} line {line}", problem, "is this the list of another scenario?")
    if bare := np.flatnonzero((counts == 0) & (sizes > 0)).tolist():
        named = ", ".join(repr(names[number]) for number in bare[:5])
        problem = f"gives no label to {len(bare)} classes: {named}"
        raise InputError(where, problem, "list at least one row of each class")
    if budget.per_task:
        wanted = sum(
            b.count(int(sizes[list(task)].sum())) if b.ratio else b.count(0) * len(task)
            for b, task in zip(budgets, tasks, strict=True)
        )
    else:
        wanted = budget.count(len(used)) * (1 if budget.ratio else int((sizes > 0).sum()))
    if wanted != len(rows):
        real = LabelBudget.parse(f"{len(rows)}/{len(used)}")
        problem = f"has {len(rows)} rows, label_ratio={budget} asks for {wanted}"
        raise InputError(where, problem, f"set label_ratio={real}, or give the list that fits")
    return rows


def _pool(scenario: Scenario, size: int, data: Data | None) -> Tensor | None:
    """Images of another folder, where the scenario takes its unlabelled images from there."""
    if scenario.unlabelled != "folder":
        return None
    if not scenario.unlabelled_root:
        problem = "is missing, and scenario.unlabelled=folder"
        raise InputError("scenario.unlabelled_root", problem, "give a folder of images")
    root = Path(scenario.unlabelled_root).expanduser()
    cache, workers = (data.cache, data.workers) if data else (None, 0)
    return torch.from_numpy(load_pool(root, size=size, cache=cache, workers=workers))


def _refuse_missing(
    order: Sequence[int], train: Integers, test: Integers, names: Sequence[str]
) -> None:
    """Raises where a class in use has no training or no test image."""
    for split, targets in (("training", train), ("test", test)):
        if not len(targets):
            raise InputError("data.root", f"the {split} split has no images", "add some")
        counts = np.bincount(targets, minlength=len(names))
        if missing := [repr(names[number]) for number in order if not counts[number]]:
            more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
            problem = f"there are no {split} images of {', '.join(missing[:5])}{more}"
            raise InputError("data.root", problem, "add some, or leave them out: scenario.classes")
