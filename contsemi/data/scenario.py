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
from contsemi.data.imageset import ImageSet, Named
from contsemi.data.sources.folder import load_pool
from contsemi.data.twins import row_digests
from contsemi.errors import InputError
from contsemi.labels import LabelBudget, digest, read_list
from contsemi.labels.choices.choice import Choice
from contsemi.labels.choices.stratified import Stratified
from contsemi.seeding import generator
from contsemi.types import Experience

__all__ = ["Arrivals", "Stream", "TestTask", "build", "refuse_unfit"]

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
        remarks: what a user should know of the stream, one line each.
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
    remarks: tuple[str, ...] = ()


def refuse_unfit(
    scenario: Scenario,
    budget: LabelBudget,
    choice: Choice,
    seed: int,
    train: Named,
    test: Named,
) -> None:
    """Raises what :func:`build` would, as far as labels and names tell: no image is needed.

    Raises:
        InputError: the scenario, the budget or the label list do not fit the dataset.
    """
    _plan(scenario, budget, choice, seed, train, test)


def build(
    scenario: Scenario,
    budget: LabelBudget,
    train: ImageSet,
    test: ImageSet,
    seed: int,
    *,
    data: Data | None = None,
    choice: Choice | None = None,
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
        choice: which images get their label; ``None`` for a share of each class.

    Raises:
        InputError: the scenario, the budget or the label list do not fit the dataset.
    """
    tasks, labelled = _plan(scenario, budget, choice or Stratified(), seed, train.named, test.named)
    order = [number for task in tasks for number in task]
    test_targets = test.targets.numpy()
    column_of = _columns(order, len(train.classes))
    pool = _pool(scenario, test, data)
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
        remarks=() if pool is None else _shared_with_test(pool, test),
    )


def _plan(
    scenario: Scenario,
    budget: LabelBudget,
    choice: Choice,
    seed: int,
    train: Named,
    test: Named,
) -> tuple[list[list[int]], Integers]:
    """The class ids of each task, and the rows that have a label."""
    if train.classes != test.classes:
        raise InputError("data.root", "train and test differ in classes", "give one dataset")
    tasks = task_classes(scenario, train.classes, seed)
    order = [number for task in tasks for number in task]
    _refuse_missing(order, train.targets, test.targets, train.classes)
    label_seed = seed if scenario.label_seed is None else scenario.label_seed
    return tasks, _labelled(scenario, budget, choice, train, tasks, label_seed)


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
    strangers = _strangers(train, len(tasks), seed) if outside is None else None
    experiences, seen = [], 0
    for index, task in enumerate(tasks):
        start, seen = seen, seen + len(task)
        rows = labelled[np.isin(targets[labelled], task)]
        in_pool = order[:seen] if scenario.unlabelled == "seen" else task
        own = np.flatnonzero(np.isin(targets, in_pool)) if outside is None else outside
        if strangers is not None and len(strangers):
            known = strangers[:, 1] == index
            if scenario.unlabelled == "seen":
                known = strangers[:, 1] <= index
            own = np.sort(np.concatenate([own, strangers[known, 0]]))
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
                pool_columns=_in_pool(scenario, len(rows), start, seen),
                mixed_pool=scenario.unlabelled != "current"
                or not len(rows)
                or (strangers is not None and len(strangers) > 0),
            )
        )
    return experiences


def _in_pool(scenario: Scenario, labelled: int, start: int, seen: int) -> tuple[int, ...]:
    """Columns that a task's pool may be of: where no label names the task's, any seen so far."""
    narrow = scenario.unlabelled == "current" and labelled
    return tuple(range(start if narrow else 0, seen))


def _strangers(train: ImageSet, tasks: int, seed: int) -> Integers:
    """Rows of images without any label, and the task of each [n, 2].

    Those that name no task are dealt out, so that each comes once, as in a stream.
    """
    rows = np.flatnonzero(train.targets.numpy() < 0)
    if not len(rows):
        return np.zeros((0, 2), np.int64)
    arrives = np.full(len(rows), -1) if train.arrives is None else train.arrives.numpy()[rows]
    if arrives.max(initial=-1) >= tasks:
        problem = f"holds unlabelled images of task {arrives.max() + 1}, the stream has {tasks}"
        raise InputError("data.root", problem, "rename the folder task_<number>")
    free = np.flatnonzero(arrives < 0)
    order = torch.randperm(len(free), generator=generator(seed, "unlabelled images")).numpy()
    arrives = arrives.copy()
    arrives[free[order]] = np.arange(len(free)) % tasks
    return np.stack([rows, arrives], axis=1)


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
    choice: Choice,
    train: Named,
    tasks: Sequence[Sequence[int]],
    seed: int,
) -> Integers:
    """Rows of the training images that have a label."""
    targets, names = train.targets, train.classes
    used = np.flatnonzero(np.isin(targets, [number for task in tasks for number in task]))
    budgets = budget.for_tasks(len(tasks))
    if scenario.labels is not None:
        return _frozen(Path(scenario.labels), budget, budgets, train, used, tasks)
    if budget.per_task:
        chosen = []
        for own, classes in zip(budgets, tasks, strict=True):
            if own.none:
                continue
            rows = np.flatnonzero(np.isin(targets, classes))
            chosen.append(rows[choice.draw(own, targets[rows], seed=seed, names=names)])
        return np.concatenate(chosen)
    return used[choice.draw(budget, targets[used], seed=seed, names=names)]


def _frozen(
    path: Path,
    budget: LabelBudget,
    budgets: Sequence[LabelBudget],
    train: Named,
    used: Integers,
    tasks: Sequence[Sequence[int]],
) -> Integers:
    """The rows of a frozen list, checked against the scenario and the budget."""
    targets, names = train.targets, train.classes
    rows = read_list(path.expanduser(), len(targets), train.files)
    where = f"scenario.labels={path}"
    if len(withheld := np.flatnonzero(targets[rows] < 0)):
        problem = f"row {rows[withheld[0]]} has no label in the dataset"
        raise InputError(f"{where} line {withheld[0] + 1}", problem, "leave it out of the list")
    counts = np.bincount(targets[rows], minlength=len(names))
    sizes = np.bincount(targets[used], minlength=len(names))
    if stray := np.flatnonzero((counts > 0) & (sizes == 0)).tolist():
        line = int(np.flatnonzero(targets[rows] == stray[0])[0]) + 1
        problem = f"row {rows[line - 1]} is of class {names[stray[0]]!r}, which is not in use"
        raise InputError(f"{where} line {line}", problem, "is this the list of another scenario?")
    without = [number for b, task in zip(budgets, tasks, strict=True) if b.none for number in task]
    wants = (sizes > 0) & ~np.isin(np.arange(len(names)), without)
    if bare := np.flatnonzero((counts == 0) & wants).tolist():
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


def _pool(scenario: Scenario, test: ImageSet, data: Data | None) -> Tensor | None:
    """Images of another folder, where the scenario takes its unlabelled images from there."""
    if scenario.unlabelled != "folder":
        return None
    if not scenario.unlabelled_root:
        problem = "is missing, and scenario.unlabelled=folder"
        raise InputError("scenario.unlabelled_root", problem, "give a folder of images")
    root = Path(scenario.unlabelled_root).expanduser()
    if test.place is not None:
        ours, theirs = root.resolve(), test.place.resolve()
        if ours.is_relative_to(theirs) or theirs.is_relative_to(ours):
            problem = f"lies in, or holds, the test images ({theirs.name}/)"
            fix = "no test image may train: give a folder without them"
            raise InputError(f"scenario.unlabelled_root={root}", problem, fix)
    cache, workers = (data.cache, data.workers) if data else (None, 0)
    return torch.from_numpy(load_pool(root, size=test.size, cache=cache, workers=workers))


def _shared_with_test(pool: Tensor, test: ImageSet) -> tuple[str, ...]:
    """What is to be said where images of the pool are test images too."""
    shared = np.isin(row_digests(pool.numpy()), row_digests(test.images.numpy()))
    if not shared.any():
        return ()
    return (
        f"scenario.unlabelled_root: {int(shared.sum())} of {len(pool)} images are test images too",
    )


def _refuse_missing(
    order: Sequence[int], train: Integers, test: Integers, names: Sequence[str]
) -> None:
    """Raises where a class in use has no training or no test image."""
    for split, targets in (("training", train), ("test", test)):
        if not len(targets):
            raise InputError("data.root", f"the {split} split has no images", "add some")
        counts = np.bincount(targets[targets >= 0], minlength=len(names))
        if missing := [repr(names[number]) for number in order if not counts[number]]:
            more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
            problem = f"there are no {split} images of {', '.join(missing[:5])}{more}"
            raise InputError("data.root", problem, "add some, or leave them out: scenario.classes")
