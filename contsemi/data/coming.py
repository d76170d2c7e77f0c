"""Which class, and which image of it, comes in which task of a stream."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from contsemi.config import Scenario
from contsemi.data.classes import resolve, task_classes
from contsemi.data.lists import Lists
from contsemi.errors import InputError

Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Coming:
    """The way of a data set through the tasks; each image comes in one of them.

    Attributes:
        first: class ids that come first in each task, in the order of their columns; those of
            ``novel`` are not among them.
        present: class ids of each task's own images: new ones, such as return, and such as come
            early or late over a blurred border.
        novel: ids of the classes that never get a label; they have no column and are not tested.
        arrives: int64 [N], the task of each training image, -1 where its class is not in use.
    """

    first: list[list[int]]
    present: list[list[int]]
    novel: tuple[int, ...]
    arrives: Integers

    @property
    def order(self) -> list[int]:
        """The class id of each column."""
        return [number for task in self.first for number in task]

    def known(self, task: int) -> list[int]:
        """Ids of the classes of a task that have columns, in the order of these."""
        return [number for number in self.order if number in self.present[task]]

    def offered(self, task: int, targets: Integers) -> Integers:
        """Rows of a task's own images whose class ever gets a label, ascending."""
        return np.flatnonzero(self.may_be_labelled(targets) & (self.arrives == task))

    def may_be_labelled(self, targets: Integers) -> NDArray[np.bool_]:
        """Whether each training image [N] comes at all, with a class that has labels."""
        return (self.arrives >= 0) & ~np.isin(targets, self.novel)


def coming(
    scenario: Scenario,
    targets: Integers,
    names: Sequence[str],
    seed: int,
    lists: Lists | None = None,
) -> Coming:
    """Deals the images of a data set out to the tasks.

    Args:
        scenario: its classes, and what it says of recurrence, novel classes and borders.
        targets: int64 [N], the class id of each training image; negative for none.
        names: name of each class id.
        seed: the run's, used where the scenario has no ``order_seed``.
        lists: what a user's files say, in place of the scenario's own classes.

    Raises:
        InputError: these do not make a stream.
    """
    own_seed = seed if scenario.order_seed is None else scenario.order_seed
    tasks, returns = _tasks(scenario, names, own_seed, lists)
    novel = _novel(scenario.novel, tasks, own_seed)
    arrives = np.full(len(targets), -1)
    for task, classes in enumerate(tasks):
        for number in classes:
            later = [t for t in range(task + 1, len(tasks)) if number in returns[t]]
            _deal(arrives, np.flatnonzero(targets == number), [task, *later], number, own_seed)
    if scenario.blur:
        _blur(arrives, targets, len(tasks), scenario.blur, own_seed)
    if lists is not None:
        for task, rows in enumerate(lists.labelled or ()):
            arrives[rows] = task
    found = [set(targets[arrives == task].tolist()) for task in range(len(tasks))]
    return Coming(
        first=[[number for number in task if number not in novel] for task in tasks],
        present=[sorted(each) for each in found],
        novel=novel,
        arrives=arrives,
    )


def _tasks(
    scenario: Scenario, names: Sequence[str], seed: int, lists: Lists | None
) -> tuple[list[list[int]], list[list[int]]]:
    """Class ids that come first in each task, and those that return in it."""
    if lists is None:
        tasks = task_classes(scenario, names, seed)
        return tasks, _returns(scenario, tasks, names, seed)
    tasks, returns, seen = [], [], set[int]()
    for classes in lists.classes:
        tasks.append([number for number in classes if number not in seen])
        returns.append([number for number in classes if number in seen])
        seen |= set(classes)
    return tasks, returns


def _returns(
    scenario: Scenario, tasks: Sequence[Sequence[int]], names: Sequence[str], seed: int
) -> list[list[int]]:
    """Class ids that come again in each task."""
    key, given = "scenario.recurrence", scenario.recurrence
    if isinstance(given, list):
        if len(given) != len(tasks):
            fix = "give one list for each task, [] for none"
            raise InputError(key, f"{len(given)} lists for {len(tasks)} tasks", fix)
        found = [resolve(entries, names, f"{key}[{task}]") for task, entries in enumerate(given)]
        for task, classes in enumerate(found):
            earlier = [number for each in tasks[:task] for number in each]
            if new := [names[number] for number in classes if number not in earlier]:
                problem = f"class {new[0]!r} has not come before task {task + 1}"
                raise InputError(f"{key}[{task}]", problem, "name classes of earlier tasks")
        return found
    if not given:
        return [[] for _ in tasks]
    import torch  # not before it is needed: a wrong scenario is answered at once

    from contsemi.seeding import generator

    again = []
    for task in range(len(tasks)):
        earlier = sorted(number for each in tasks[:task] for number in each)
        drawn = torch.rand(len(earlier), generator=generator(seed, "recurrence", task)) < given
        again.append([earlier[place] for place in drawn.nonzero()[:, 0].tolist()])
    return again


def _novel(share: float, tasks: Sequence[Sequence[int]], seed: int) -> tuple[int, ...]:
    """Ids of the classes without any label; of each task's new classes one at least has labels."""
    left = {number: task for task, classes in enumerate(tasks) for number in classes}
    wanted = round(share * len(left))
    if not wanted:
        return ()
    import torch

    from contsemi.seeding import generator

    numbers, known = sorted(left), [len(classes) for classes in tasks]
    novel: list[int] = []
    for place in torch.randperm(len(numbers), generator=generator(seed, "novel")).tolist():
        number = numbers[place]
        if len(novel) < wanted and known[left[number]] > 1:
            known[left[number]] -= 1
            novel.append(number)
    if len(novel) < wanted or len(left) - wanted < 2:
        most = len(left) - max(2, sum(bool(classes) for classes in tasks))
        problem = f"{wanted} of {len(left)} classes without labels leave a task without a class"
        raise InputError("scenario.novel", problem, f"give at most {most / len(left):.3g}")
    return tuple(sorted(novel))


def _deal(arrives: Integers, rows: Integers, times: Sequence[int], number: int, seed: int) -> None:
    """Divides the images of a class evenly over the tasks that it comes in."""
    if len(times) == 1:
        arrives[rows] = times[0]
        return
    shuffled = rows[_permuted(len(rows), seed, "returns", number)]
    for task, part in zip(times, np.array_split(shuffled, len(times)), strict=True):
        arrives[part] = task


def _blur(arrives: Integers, targets: Integers, tasks: int, share: float, seed: int) -> None:
    """Half of the share comes a task early, half a task late; most of a class stays."""
    before = arrives.copy()
    for task in range(tasks):
        for number in np.unique(targets[before == task]).tolist():
            rows = np.flatnonzero((before == task) & (targets == number))
            moved = math.ceil(share / 2 * len(rows))
            if len(rows) <= 2 * moved:
                continue
            shuffled = rows[_permuted(len(rows), seed, "blur", task, number)]
            if task:
                arrives[shuffled[:moved]] = task - 1
            if task + 1 < tasks:
                arrives[shuffled[moved : 2 * moved]] = task + 1


def _permuted(count: int, seed: int, *purpose: str | int) -> Integers:
    import torch

    from contsemi.seeding import generator

    order: Integers = torch.randperm(count, generator=generator(seed, *purpose)).numpy()
    return order
