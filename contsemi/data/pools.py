"""The unlabelled images of each task, and of which kinds they are."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from contsemi.config import Scenario
from contsemi.data.imageset import ImageSet
from contsemi.data.lists import LABELLED, UNLABELLED
from contsemi.data.plan import Plan
from contsemi.errors import InputError
from contsemi.seeding import generator

Integers = NDArray[np.int64]

KINDS = ("current", "past", "future", "novel", "foreign")
"""What an unlabelled image may be: of a class of the task, of an earlier or a later one, of a class
that never gets a label, or of none of the stream's."""


def wants_foreign(scenario: Scenario) -> bool:
    """Whether the pool takes images of another folder, or of classes that are not in use."""
    given = scenario.unlabelled
    return given == "folder" or (isinstance(given, dict) and given.get("foreign", 0) > 0)


def pools(
    scenario: Scenario, made: Plan, outside: Integers | None, train: ImageSet, seed: int
) -> list[Integers]:
    """Rows of the unlabelled images of each task, ascending.

    Args:
        scenario: the description.
        made: which image comes when.
        outside: rows of images of another folder; ``None`` where there is none.
        train: the training images.
        seed: the run's.

    Raises:
        InputError: images of a kind are asked for, and there are none.
    """
    tasks = len(made.coming.first)
    if made.lists is not None and made.lists.unlabelled is not None:
        return [np.sort(rows) for rows in made.lists.unlabelled]
    words = isinstance(scenario.unlabelled, str)
    strangers = _strangers(train, tasks, seed) if outside is None or not words else None
    if not words:
        return [_mixed(scenario, made, outside, strangers, train, seed, t) for t in range(tasks)]
    found = []
    for task in range(tasks):
        own = outside
        if own is None:
            own = _arrived(made.coming.arrives, strangers, task, scenario.unlabelled == "seen")
        if scenario.unlabelled_share < 1:
            most = math.ceil(scenario.unlabelled_share * len(own))
            own = _drawn(own, most, generator(seed, "unlabelled share", task))
        found.append(own)
    return found


def kinds_of(pool: Integers, made: Plan, targets: Integers, task: int) -> dict[str, int]:
    """How many images of a task's pool are of each kind; the evaluator's side alone knows it.

    Args:
        pool: rows; those beyond ``targets`` are of another folder.
        made: which image comes when.
        targets: int64 [N], the class id of each training image, -1 for images without one, which
            count as the task's own.
        task: from 0.
    """
    own = pool[pool < len(targets)]
    arrives, labels = made.coming.arrives[own], targets[own]
    novel = np.isin(labels, made.coming.novel)
    unknown = labels < 0
    current = np.isin(labels, made.coming.present[task]) | unknown
    foreign = (arrives < 0) & ~unknown
    rest = ~(novel | current | foreign)
    counts = (
        current & ~novel,
        rest & (arrives < task),
        rest & (arrives > task),
        novel,
        foreign,
    )
    found = {kind: int(mask.sum()) for kind, mask in zip(KINDS, counts, strict=True)}
    found["foreign"] += len(pool) - len(own)
    return found


def beside_the_list(made: Plan, found: Sequence[Integers], targets: Integers) -> tuple[str, ...]:
    """What is to be said where a user lists the pools alone, and labels are of other images, too.

    Args:
        made: which image comes when, and which has its label.
        found: rows of the pool of each task.
        targets: int64 [N], the class id of each training image.
    """
    lists = made.lists
    if lists is None or lists.unlabelled is None or lists.labelled is not None:
        return ()
    rows, are = made.labelled, "are labelled"
    if not len(rows):  # a network chooses them before each task
        rows, are = np.flatnonzero(made.coming.may_be_labelled(targets)), "may be labelled"
    own = [rows[made.coming.arrives[rows] == task] for task in range(len(found))]
    beside = sum(int((~np.isin(*each)).sum()) for each in zip(own, found, strict=True))
    if not beside:
        return ()
    said = f"{beside} images {are} that {UNLABELLED} does not have in the line of their experience"
    why = f"without {LABELLED} labels are of all images of its classes"
    return (f"scenario.lists: {said}: {why}",)


def _mixed(
    scenario: Scenario,
    made: Plan,
    outside: Integers | None,
    strangers: Integers | None,
    train: ImageSet,
    seed: int,
    task: int,
) -> Integers:
    """A pool of shares: as large as the task's own images, smaller where a kind has too few."""
    assert isinstance(scenario.unlabelled, dict)
    arrives, targets = made.coming.arrives, train.targets.numpy()
    unused = np.flatnonzero((arrives < 0) & (targets >= 0))
    kinds: Mapping[str, Integers] = {
        "current": _arrived(arrives, strangers, task, seen=False),
        "past": np.flatnonzero((arrives >= 0) & (arrives < task)),
        "future": np.flatnonzero(arrives > task),
        "foreign": unused if outside is None else outside,
    }
    size = scenario.unlabelled_share * len(kinds["current"])
    found = []
    for kind, share in scenario.unlabelled.items():
        rows = kinds[kind]
        if kind == "foreign" and share and not len(rows):
            problem = "asks for foreign images, and every class is in use"
            fix = "name a folder of them: scenario.unlabelled_root, or fewer scenario.classes"
            raise InputError("scenario.unlabelled", problem, fix)
        draw = generator(seed, "unlabelled share", kind, task)
        found.append(_drawn(rows, round(share * size), draw))
    pool = np.sort(np.concatenate(found))
    if not len(pool):
        problem = f"leaves task {task + 1} without an unlabelled image"
        raise InputError("scenario.unlabelled", problem, "give a share of current images")
    return pool


def _arrived(arrives: Integers, strangers: Integers | None, task: int, seen: bool) -> Integers:
    """Rows that come in a task, or up to it; with those that have no class."""
    own = np.flatnonzero((arrives >= 0) & (arrives <= task) if seen else arrives == task)
    if strangers is None or not len(strangers):
        return own
    come = strangers[:, 1] <= task if seen else strangers[:, 1] == task
    return np.sort(np.concatenate([own, strangers[come, 0]]))


def _drawn(rows: Integers, most: int, draw: torch.Generator) -> Integers:
    return np.sort(rows[torch.randperm(len(rows), generator=draw)[:most].numpy()])


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
