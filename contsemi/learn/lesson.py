"""The photos of one lesson: which have a label, and which are left for a test."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from contsemi.config import Config
from contsemi.data.alike import alike
from contsemi.data.imageset import Named
from contsemi.data.sources import folder as folders
from contsemi.data.sources.listing import pool_files, relative, shown
from contsemi.data.sources.source import Check
from contsemi.errors import InputError
from contsemi.labels import LabelBudget
from contsemi.labels.choices.choice import Choice
from contsemi.learn.apart import Past, digests
from contsemi.living.label_list import given_classes, refuse_tests
from contsemi.stores.store import array_of
from contsemi.types import Experience

Room = Callable[[int, int], None]
HELD = 20  # test photos of each class that are kept, to see later what was forgotten


@dataclass(frozen=True, slots=True, eq=False)
class Lesson:
    """What a task is made of.

    Attributes:
        images: uint8 [N, 3, S, S].
        experience: the task.
        classes: names of all classes seen, with those that are new at the end.
        own: names of the classes of these photos.
        test: uint8 [M, 3, S, S], photos that nothing is learned from, and their columns [M].
        digest: SHA-256 of pixels and classes; empty where only a list has labels.
        remarks: what their owner should know.
    """

    images: Tensor
    experience: Experience
    classes: tuple[str, ...]
    own: tuple[str, ...]
    test: tuple[Tensor, Tensor]
    digest: str
    remarks: tuple[str, ...]


def opened(
    photos: Path,
    config: Config,
    known: tuple[str, ...],
    past: Past,
    *,
    index: int,
    labels: Path | None,
    room: Room,
) -> Lesson:
    """Reads the photos of a lesson.

    Args:
        photos: a folder with a folder a class, and ``unlabelled/`` beside them; or any folder of
            photos with a list of labels: ``file,class`` a line.
        config: of the model.
        known: classes that it knows already, in the order of their columns.
        past: the photos of earlier lessons: what was tested on is not learned from, and the
            reverse.
        index: number of the lesson, from 0.
        labels: the list; ``None`` for a folder a class.
        room: is told, before one is decoded, how many photos there are, and of how many of them
            pixels are kept in memory; may raise.

    Raises:
        InputError: there are no such photos, or the list does not fit them.
    """
    if labels is not None:
        return _by_list(photos, labels, config, known, past, index, room)
    data = config.data
    train, test = folders.load(
        photos,
        size=data.size,
        cache=data.cache,
        workers=data.workers,
        test_share=data.test_share,
        least=1,
        check=_check(config, room),
    )
    images, targets = array_of(train.images), train.targets.numpy()
    free = past.free(images)
    if not free.all():
        images, targets = images[free], targets[free.numpy()]
    _refuse_empty(photos, train.classes, targets)
    classes, columns = _columns(train.classes, known)
    rows = _drawn(config, targets, train.classes)
    tests = array_of(test.images)
    unseen = ~torch.isin(digests(tests), past.with_learned(images).learned)
    met = _met_before(past, images, free, unseen)
    return Lesson(
        images=images,
        experience=_experience(
            index, columns, known, classes, rows, columns[targets[rows]], len(images)
        ),
        classes=classes,
        own=train.classes,
        test=(tests[unseen], torch.from_numpy(columns[test.targets.numpy()])[unseen]),
        digest=train.digest,
        remarks=(*train.remarks, *_look_alike(classes, known), *met),
    )


def _check(config: Config, room: Room) -> Check:
    def check(train: Named, test: Named) -> None:
        kept = len(_drawn(config, train.targets, train.classes))
        room(len(train.targets), kept + int(np.bincount(test.targets).clip(max=HELD).sum()))

    return check


def _drawn(config: Config, targets: NDArray[np.int64], names: tuple[str, ...]) -> NDArray[np.int64]:
    """The photos that get their label."""
    named = np.flatnonzero(targets >= 0)
    seed = config.seed if config.scenario.label_seed is None else config.scenario.label_seed
    budget, choice = LabelBudget.parse(config.label_ratio), Choice.named(config.labels)
    return named[choice.drawn(budget, targets[named], seed=seed, names=names)]


def _met_before(past: Past, images: Tensor, free: Tensor, unseen: Tensor) -> list[str]:
    """What is to be said of photos that an earlier lesson had, on this side or on the other."""
    said = []
    if again := int(torch.isin(digests(images), past.learned).sum()):
        problem = f"{again} photos were learned from in an earlier lesson: they count once more"
        said.append(f"{problem}, as what this one says; --undo takes this lesson back")
    if tested := int((~free).sum()):
        said.append(f"{tested} photos are tested on since an earlier lesson: not learned from")
    if learned := int((~unseen).sum()):
        said.append(f"{learned} test photos were learned from, now or earlier: not tested on")
    return said


def _refuse_empty(photos: Path, classes: tuple[str, ...], targets: NDArray[np.int64]) -> None:
    counts = np.bincount(targets[targets >= 0], minlength=len(classes))
    if (bare := np.flatnonzero(counts == 0)).size:
        problem = f"has no photo of {classes[bare[0]]!r} to learn from"
        raise InputError(shown(photos), problem, "add some, or remove its folder")


def _by_list(
    photos: Path,
    labels: Path,
    config: Config,
    known: tuple[str, ...],
    past: Past,
    index: int,
    room: Room,
) -> Lesson:
    names = [relative(photos, path) for path in pool_files(photos).paths]
    classes_of = given_classes(photos, labels)
    refuse_tests(photos)
    room(len(names), len(classes_of))
    data = config.data
    assert data.size is not None
    images = torch.from_numpy(
        folders.load_pool(photos, size=data.size, cache=data.cache, workers=data.workers, key="")
    )
    place = {name: row for row, name in enumerate(names)}
    given = {place[file]: name for file, name in classes_of.items()}
    free = past.free(images)
    if not free.all():
        left = {row: new for new, row in enumerate(free.nonzero()[:, 0].tolist())}
        given = {left[row]: name for row, name in given.items() if free[row]}
        images = images[free]
    if not given:
        problem = "labels only photos that earlier lessons test on"
        raise InputError(shown(labels), problem, "label others")
    own = tuple(sorted(set(given.values())))
    classes, columns = _columns(own, known)
    rows = np.array(sorted(given), np.int64)
    found = columns[[own.index(given[row]) for row in rows.tolist()]]
    none = torch.zeros(0, 3, data.size, data.size, dtype=torch.uint8)
    return Lesson(
        images=images,
        experience=_experience(index, columns, known, classes, rows, found, len(images)),
        classes=classes,
        own=own,
        test=(none, torch.empty(0, dtype=torch.int64)),
        digest="",
        remarks=(
            f"{len(rows)} of {len(images)} photos have a label in {shown(labels.name)}",
            *_look_alike(classes, known),
            *_met_before(past, images, free, torch.ones(0, dtype=torch.bool)),
        ),
    )


def _columns(
    own: tuple[str, ...], known: tuple[str, ...]
) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """All classes, the new ones behind, and the column of each of these photos' classes."""
    classes = (*known, *(name for name in own if name not in known))
    return classes, np.array([classes.index(name) for name in own], np.int64)


def _look_alike(classes: tuple[str, ...], known: tuple[str, ...]) -> list[str]:
    return alike(classes, "take this lesson back, and rename the folder", known=len(known))


def _experience(
    index: int,
    columns: NDArray[np.int64],
    known: tuple[str, ...],
    classes: tuple[str, ...],
    rows: NDArray[np.int64],
    labels: NDArray[np.int64],
    photos: int,
) -> Experience:
    chosen = sorted(columns.tolist())
    return Experience(
        index=index,
        columns=tuple(chosen),
        num_old=len(known),
        num_seen=len(classes),
        labelled=torch.from_numpy(rows),
        labels=torch.from_numpy(np.asarray(labels, np.int64)),
        unlabelled=torch.arange(photos),
        class_names=tuple(classes[column] for column in chosen),
    )
