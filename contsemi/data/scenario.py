"""A scenario and a label budget over a dataset -> the stream that training and evaluation get."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from contsemi.config import Data, Scenario
from contsemi.data.coarse import coarse_classes, coarse_rows, refuse_without_coarse
from contsemi.data.concatenated import concatenated
from contsemi.data.imageset import ImageSet
from contsemi.data.masks import whole
from contsemi.data.plan import Plan, plan
from contsemi.data.pools import beside_the_list, kinds_of, pools, wants_foreign
from contsemi.data.sources import digits
from contsemi.data.sources.folder import load_pool
from contsemi.data.twins import Digests, row_digests
from contsemi.errors import InputError
from contsemi.labels import LabelBudget, digest
from contsemi.labels.choices.choice import Choice
from contsemi.labels.choices.stratified import Stratified
from contsemi.stores.choosing import plain
from contsemi.stores.store import Images, array_of
from contsemi.types import Experience

Integers = NDArray[np.int64]
_COMPARED = 4096  # test images whose pixels are in memory at a time
DIGITS = "digits"  # scenario.unlabelled_root for the bundled images


@dataclass(frozen=True, slots=True, eq=False)
class TestSet:
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
        images: uint8 [N, 3, S, S], or their store: what the experiences' rows point into, the
            training images and after them those of another folder, where the scenario has one.
        test: the test images of each task.
        class_order: dataset class id of each column.
        class_names: class name of each column.
        label_indices: int64 [n], all labelled rows, in the order of the draw or of the list; none
            where they are chosen before each task.
        label_digest: SHA-256 of the sorted ``label_indices``.
        novel: dataset class ids that never get a label, which have no column.
        remarks: what a user should know of the stream, one line each.
        outside_digest: SHA-256 of what neither the data set nor the configuration decides: lists
            that a user brings, and images of another folder; empty where there is neither.
        facts: of each task how many images come of each class and of each unlabelled kind; for
            records alone.
        test_files: the file of each test image, by row; none where images are no files.
    """

    name: str
    experiences: list[Experience]
    images: Images
    test: list[TestSet]
    class_order: tuple[int, ...]
    class_names: tuple[str, ...]
    label_indices: Integers
    label_digest: str
    novel: tuple[int, ...] = ()
    remarks: tuple[str, ...] = ()
    outside_digest: str = ""
    facts: list[dict[str, Any]] = field(default_factory=list)
    test_files: tuple[str, ...] = ()


def build(
    scenario: Scenario,
    budget: LabelBudget,
    train: ImageSet,
    test: ImageSet,
    seed: int,
    *,
    data: Data | None = None,
    choice: Choice | None = None,
    coarse_ratio: float = 0.0,
    tested: ImageSet | None = None,
    labelled: Integers | None = None,
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
        coarse_ratio: share of the images without a label whose coarse label is known.
        tested: further images that must not train: the real test, where ``test`` is held out.
        labelled: int64 [n], rows that have their label where they are drawn already.

    Raises:
        InputError: the scenario, the budget or the label list do not fit the dataset.
    """
    made = plan(scenario, budget, choice or Stratified(), seed, train.named, test.named, labelled)
    refuse_without_coarse(coarse_ratio, train)
    order, column_of = made.coming.order, _columns(made.coming.order, len(train.classes))
    kept_apart = [test] if tested is None else [test, tested]
    foreign, pixels, remarks = _without_tested(_foreign(scenario, kept_apart, data), kept_apart)
    images = _with_foreign(train.images, foreign, data)
    outside = None if foreign is None else np.arange(len(train), len(images))
    found = pools(scenario, made, outside, train, seed)
    first = slice(scenario.first_tasks)
    experiences = [
        _with_coarse(each, made, train, coarse_ratio, seed)
        for each in _experiences(made, found, column_of, train, _is_narrow(scenario))[first]
    ]
    rows = made.labelled_before(len(experiences))
    return Stream(
        name=scenario.name,
        experiences=experiences,
        images=images,
        test=_test_tasks(made, column_of, test.targets.numpy())[first],
        class_order=tuple(order),
        class_names=tuple(train.classes[number] for number in order),
        label_indices=rows,
        label_digest=digest(rows),
        novel=tuple(made.coming.novel),
        remarks=(*remarks, *beside_the_list(made, found[first], train.targets.numpy())),
        outside_digest=_outside_digest(scenario, made, found, pixels),
        facts=[_facts(made, pool, train, task) for task, pool in enumerate(found[first])],
        test_files=_files(train.place, test),
    )


def _outside_digest(
    scenario: Scenario, made: Plan, found: Sequence[Integers], pixels: Digests
) -> str:
    if scenario.lists is None and not len(pixels):
        return ""
    classes = repr((made.coming.first, made.coming.present))
    rows = [pool.astype("<i8").tobytes() + b"\n" for pool in found]
    return hashlib.sha256(b"".join([classes.encode(), *rows, pixels.tobytes()])).hexdigest()


def _files(root: Path | None, split: ImageSet) -> tuple[str, ...]:
    if root is None or split.files is None:
        return ()
    return tuple(str(root.absolute() / file) for file in split.files)


def _with_foreign(images: Images, foreign: Tensor | None, data: Data | None) -> Images:
    """Training images, and behind them foreign ones, which have no masks of their own."""
    cache = None if data is None else data.cache
    if foreign is None:
        return images
    masked = isinstance(images, Tensor) and images.shape[1] == 4
    return concatenated(images, whole(foreign) if masked else foreign, cache)


def _columns(order: Sequence[int], num_classes: int) -> Integers:
    """Column of each class id, -1 for classes that have none."""
    columns = np.full(num_classes, -1, np.int64)
    columns[list(order)] = np.arange(len(order))
    return columns


def _experiences(
    made: Plan, found: Sequence[Integers], column_of: Integers, train: ImageSet, narrow: bool
) -> list[Experience]:
    """The tasks as training may see them.

    Args:
        made: which image comes when, and which has its label.
        found: rows of the pool of each task.
        column_of: of each class id.
        train: the training images.
        narrow: whether a task's pool has images of the task's classes alone.
    """
    targets, names, order = train.targets.numpy(), train.classes, made.coming.order
    known, (above, num_coarse) = train.coarse, coarse_classes(order, train)
    experiences, seen = [], 0
    for index, pool in enumerate(found):
        rows = made.labelled[made.coming.arrives[made.labelled] == index]
        columns = tuple(sorted(column_of[made.coming.known(index)].tolist()))
        start, seen = seen, max(seen, *(column + 1 for column in columns), 0)
        sure = narrow and (len(rows) or made.most[index]) and not made.coming.novel
        experiences.append(
            Experience(
                index=index,
                columns=columns,
                num_old=start,
                num_seen=seen,
                labelled=torch.from_numpy(rows),
                labels=torch.from_numpy(column_of[targets[rows]]),
                unlabelled=torch.from_numpy(pool),
                class_names=tuple(names[order[column]] for column in columns),
                coarse=torch.full((len(rows),), -1) if known is None else known[rows],
                coarse_of=above[:seen],
                num_coarse=num_coarse,
                pool_columns=columns if sure else tuple(range(seen)),
                mixed_pool=not sure or bool((targets[pool[pool < len(targets)]] < 0).any()),
            )
        )
    return experiences


def _with_coarse(
    experience: Experience, made: Plan, train: ImageSet, share: float, seed: int
) -> Experience:
    """A task with the coarse labels that are bought; where fine ones are chosen later, none yet."""
    rows, coarse = made.labelled, train.coarse
    if not share or coarse is None or not len(rows):
        return experience
    offered = made.coming.offered(experience.index, train.targets.numpy())
    own = torch.from_numpy(coarse_rows(share, offered, rows, train.targets, seed, experience.index))
    return replace(experience, coarse_only=own, coarse_only_labels=coarse[own])


def _is_narrow(scenario: Scenario) -> bool:
    """Whether pools have images of their task's classes alone, so that labels name them."""
    return scenario.unlabelled == "current" and scenario.lists is None


def _facts(made: Plan, pool: Integers, train: ImageSet, task: int) -> dict[str, Any]:
    """How many images of each class come in a task: columns first, then novel classes."""
    targets = train.targets.numpy()
    classes = [*made.coming.order, *made.coming.novel]
    come = np.flatnonzero(made.coming.arrives == task)
    if made.lists is not None and made.lists.unlabelled is not None:  # then no others come
        come = np.union1d(pool, made.labelled[made.coming.arrives[made.labelled] == task])
        come = come[targets[come] >= 0]
    counts = np.bincount(targets[come], minlength=max(classes) + 1)
    return {
        "images": counts[classes].tolist(),
        "novel": [train.classes[number] for number in made.coming.novel],
        "kinds": kinds_of(pool, made, targets, task),
    }


def _test_tasks(made: Plan, column_of: Integers, targets: Integers) -> list[TestSet]:
    """Each class is tested with the task that it comes first in.

    A task without a new class is tested on those that return in it.
    """
    found = []
    for task, new in enumerate(made.coming.first):
        classes = new or made.coming.known(task)
        rows = np.flatnonzero(np.isin(targets, classes))
        found.append(
            TestSet(
                columns=tuple(column_of[classes].tolist()),
                indices=torch.from_numpy(rows),
                targets=torch.from_numpy(column_of[targets[rows]]),
            )
        )
    return found


def _foreign(
    scenario: Scenario, kept_apart: Sequence[ImageSet], data: Data | None
) -> Tensor | None:
    """Images of another folder, where the scenario takes unlabelled images from there."""
    if not wants_foreign(scenario):
        return None
    if not scenario.unlabelled_root:
        if isinstance(scenario.unlabelled, dict):
            return None  # those of classes that are not in use
        problem = "is missing, and scenario.unlabelled=folder"
        raise InputError("scenario.unlabelled_root", problem, "give a folder of images")
    if scenario.unlabelled_root == DIGITS:
        return array_of(digits.load(kept_apart[0].size)[0].images)
    root = Path(scenario.unlabelled_root).expanduser()
    for place in {each.place for each in kept_apart if each.place is not None}:
        ours, theirs = root.resolve(), place.resolve()
        if ours.is_relative_to(theirs) or theirs.is_relative_to(ours):
            problem = f"lies in, or holds, the test images ({theirs.name}/)"
            fix = "no test image may train: give a folder without them"
            raise InputError(f"scenario.unlabelled_root={root}", problem, fix)
    cache, workers = (data.cache, data.workers) if data else (None, 0)
    return torch.from_numpy(load_pool(root, size=kept_apart[0].size, cache=cache, workers=workers))


def _without_tested(
    pool: Tensor | None, kept_apart: Sequence[ImageSet]
) -> tuple[Tensor | None, Digests, tuple[str, ...]]:
    """Foreign images but those that are test images too, their digests, and what is to be said."""
    if pool is None:
        return None, np.zeros(0, np.uint64), ()
    tested = []
    for test in kept_apart:
        store = plain(test.images, torch.device("cpu"))
        rows = torch.split(torch.arange(len(test)), _COMPARED)
        tested += [row_digests(store.take(each).numpy()) for each in rows]
    digests = row_digests(pool.numpy())
    shared = np.isin(digests, np.concatenate(tested))
    if not shared.any():
        return pool, digests, ()
    problem = f"{int(shared.sum())} of {len(pool)} images are test images too"
    if shared.all():
        raise InputError(
            "scenario.unlabelled_root", problem, "no test image may train: give others"
        )
    said = (f"scenario.unlabelled_root: {problem}; left out",)
    return pool[torch.from_numpy(~shared)], digests[~shared], said
