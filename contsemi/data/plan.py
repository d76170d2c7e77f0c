"""Which image has its label: what is known of a stream before an image is decoded."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from contsemi.config import Scenario
from contsemi.data.classes import same_name
from contsemi.data.coming import Coming, coming
from contsemi.data.imageset import Named
from contsemi.data.lists import Lists, read_lists
from contsemi.errors import InputError, first_of
from contsemi.labels import LabelBudget, read_list
from contsemi.labels.choices.choice import Choice

Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """A stream as labels and names tell it.

    Attributes:
        coming: which class and image comes when.
        labelled: rows of the labelled images, in the order of the draw or of the list; none where
            they are chosen before each task.
        most: labels that may be bought for each task, where they are chosen before it.
        lists: what a user's files say.
    """

    coming: Coming
    labelled: Integers
    most: tuple[int, ...]
    lists: Lists | None

    def labelled_before(self, task: int) -> Integers:
        """Rows of the labelled images that come before a task."""
        return self.labelled[self.coming.arrives[self.labelled] < task]


def plan(
    scenario: Scenario,
    budget: LabelBudget,
    choice: Choice,
    seed: int,
    train: Named,
    test: Named,
    given: Integers | None = None,
) -> Plan:
    """Deals images out to tasks and draws the labels, as far as no network is asked.

    Args:
        scenario: the description.
        budget: how many labels there are.
        choice: which images get them.
        seed: the run's, where the scenario has no ``label_seed``.
        train: training images.
        test: test images.
        given: int64 [n], rows that have their label where they are drawn already.

    Raises:
        InputError: the scenario, the budget or the label list do not fit the dataset.
    """
    if train.classes != test.classes:
        raise InputError("data.root", "train and test differ in classes", "give one dataset")
    if twins := [name for name, n in Counter(map(same_name, train.classes)).items() if n > 1]:
        problem = f"two classes are called {twins[0][:60]!r}"
        raise InputError("data.root", problem, "give each class a name of its own")
    lists = read_lists(scenario, train.targets, train.classes)
    found = coming(scenario, train.targets, train.classes, seed, lists)
    _refuse_missing(found.order, train.targets, test.targets, train.classes)
    label_seed = seed if scenario.label_seed is None else scenario.label_seed
    most, labelled = _most(budget, found, train.targets), np.zeros(0, np.int64)
    if given is not None:
        labelled = given
    elif lists is not None and lists.labelled is not None:
        _refuse_other_rows(scenario.lists or "", lists)
        labelled = np.concatenate(lists.labelled)
        if len(novel := labelled[~found.may_be_labelled(train.targets)[labelled]]):
            problem = f"labels row {novel[0]}, whose class never gets a label"
            raise InputError(f"scenario.lists={scenario.lists}", problem, "set scenario.novel=0")
        _refuse_count("scenario.lists", labelled, budget, found, train.targets)
    elif scenario.labels is not None:
        labelled = _frozen(Path(scenario.labels), budget, found, train)
    elif not choice.asks_network:
        labelled = _drawn(budget, choice, found, train, label_seed)
    return Plan(found, labelled, most, lists)


def _drawn(budget: LabelBudget, choice: Choice, found: Coming, train: Named, seed: int) -> Integers:
    """Rows drawn over the whole stream, or over each task where the budget is one for each."""
    targets, names = train.targets, train.classes
    open_to_labels = found.may_be_labelled(targets)
    if not budget.per_task:
        used = np.flatnonzero(open_to_labels)
        return used[choice.drawn(budget, targets[used], seed=seed, names=names)]
    chosen = []
    for task, own in enumerate(budget.for_tasks(len(found.first))):
        if own.none:
            continue
        rows = np.flatnonzero(open_to_labels & (found.arrives == task))
        chosen.append(rows[choice.drawn(own, targets[rows], seed=seed, names=names)])
    return np.concatenate(chosen)


def _most(budget: LabelBudget, found: Coming, targets: Integers) -> tuple[int, ...]:
    """Labels of each task: a share of its images, or a number for each class that is new in it."""
    open_to_labels, most = found.may_be_labelled(targets), []
    for task, own in enumerate(budget.for_tasks(len(found.first))):
        if own.ratio is not None:
            most.append(own.count(int((open_to_labels & (found.arrives == task)).sum())))
        else:
            classes = found.known(task) if budget.per_task else found.first[task]
            most.append(own.count(0) * len(classes))
    return tuple(most)


def _frozen(path: Path, budget: LabelBudget, found: Coming, train: Named) -> Integers:
    """The rows of a frozen list, checked against the scenario and the budget."""
    targets, names = train.targets, train.classes
    rows = read_list(path.expanduser(), len(targets), train.files)
    where = f"scenario.labels={path}"
    if len(withheld := np.flatnonzero(targets[rows] < 0)):
        problem = f"row {rows[withheld[0]]} has no label in the dataset"
        raise InputError(f"{where} line {withheld[0] + 1}", problem, "leave it out of the list")
    allowed = found.may_be_labelled(targets)
    if len(stray := np.flatnonzero(~allowed[rows])):
        row = rows[stray[0]]
        novel = "never gets a label" if found.arrives[row] >= 0 else "is not in use"
        problem = f"row {row} is of class {names[targets[row]]!r}, which {novel}"
        fix = "is this the list of another scenario?"
        raise InputError(f"{where} line {stray[0] + 1}", problem, fix)
    _refuse_count(where, rows, budget, found, targets)
    return rows


def _refuse_count(
    where: str, rows: Integers, budget: LabelBudget, found: Coming, targets: Integers
) -> None:
    """Refuses a list of another length than the budget, rounded once or in each task.

    Where each task has a budget of its own, each task's part of the list has to have its length.
    """
    allowed, given = found.may_be_labelled(targets), len(rows)
    most, images = _most(budget, found, targets), int(allowed.sum())
    if budget.per_task:
        own = np.bincount(found.arrives[rows], minlength=len(most))
        if own.tolist() != list(most):
            come = np.bincount(found.arrives[allowed], minlength=len(most))
            real = ",".join(f"{n}/{m}" if n else "0" for n, m in zip(own, come, strict=True))
            task = next(t for t, n in enumerate(own) if n != most[t])
            asked = f"label_ratio={budget} asks for {most[task]}"
            problem = f"has {own[task]} rows of task {task + 1}, {asked}"
            fix = f"set label_ratio=[{real}], or give the list that fits"
            raise InputError(where, problem, fix)
        return
    whole = sum(most) if budget.ratio is None else budget.count(images)
    if given not in (sum(most), whole):
        real = str(LabelBudget.parse(f"{given}/{images}")) if given else "[...]"
        problem = f"has {given} rows, label_ratio={budget} asks for {whole}"
        raise InputError(where, problem, f"set label_ratio={real}, or give the list that fits")


def _refuse_other_rows(folder: str, lists: Lists) -> None:
    if not any(len(rows) for rows in lists.labelled or ()):
        fix = "name the labelled images of one experience at least"
        raise InputError(f"scenario.lists={folder}", "labels no image", fix)


def _refuse_missing(
    order: Sequence[int], train: Integers, test: Integers, names: Sequence[str]
) -> None:
    """Raises where a class in use has no training or no test image."""
    for split, targets in (("training", train), ("test", test)):
        if not len(targets):
            raise InputError("data.root", f"the {split} split has no images", "add some")
        counts = np.bincount(targets[targets >= 0], minlength=len(names))
        if missing := [repr(names[number]) for number in order if not counts[number]]:
            problem = f"there are no {split} images of {first_of(missing, 5, ', ')}"
            raise InputError("data.root", problem, "add some, or leave them out: scenario.classes")
