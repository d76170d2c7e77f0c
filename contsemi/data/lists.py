"""Lists of classes and images that a user brings: one line an experience."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from contsemi.config import Scenario
from contsemi.data.classes import resolve
from contsemi.errors import InputError

Integers = NDArray[np.int64]
CLASSES, LABELLED, UNLABELLED = "classes.txt", "labelled.txt", "unlabelled.txt"
LARGEST = 256 * 2**20  # bytes of a file


@dataclass(frozen=True, slots=True, eq=False)
class Lists:
    """What the files of a folder say.

    Attributes:
        classes: class ids of each experience; one that stood before returns.
        labelled: rows of the labelled images of each experience; ``None`` where no file says them.
        unlabelled: likewise of its pool, whatever class they are of.
    """

    classes: list[list[int]]
    labelled: list[Integers] | None
    unlabelled: list[Integers] | None


def read_lists(scenario: Scenario, targets: Integers, names: Sequence[str]) -> Lists | None:
    """The lists of ``scenario.lists``: a folder with ``classes.txt`` and, if wanted, the others.

    A line of ``classes.txt`` has class ids or names with commas between them; one of
    ``labelled.txt`` or ``unlabelled.txt`` the image rows of an experience with blanks or commas
    between them, nothing for none.

    Args:
        scenario: the description.
        targets: int64 [N], the class id of each training image.
        names: name of each class id.

    Raises:
        InputError: a file cannot be read, or names what the data set does not have.
    """
    if scenario.lists is None:
        return None
    folder = Path(scenario.lists).expanduser()
    where = f"scenario.lists={folder}"
    lines = _lines(folder / CLASSES)
    if lines is None:
        problem, fix = f"holds no {CLASSES}", "write the classes of each experience, one a line"
        raise InputError(where, problem, fix)
    classes = [
        resolve(_entries(line, names), names, f"{where}/{CLASSES} line {number}")
        for number, line in enumerate(lines, start=1)
    ]
    if empty := [number for number, line in enumerate(classes, start=1) if not line]:
        raise InputError(f"{where}/{CLASSES} line {empty[0]}", "is empty", "name a class")
    if scenario.tasks not in (None, len(classes)):
        problem = f"{scenario.tasks} tasks, but {CLASSES} has {len(classes)} lines"
        raise InputError("scenario.tasks", problem, "set scenario.tasks=null")
    labelled = _rows(folder / LABELLED, where, len(classes), len(targets))
    _refuse_strange(labelled, classes, targets, f"{where}/{LABELLED}")
    unlabelled = _rows(folder / UNLABELLED, where, len(classes), len(targets))
    if unlabelled is not None:
        _refuse_beside(scenario)
    return Lists(classes, labelled, unlabelled)


def _refuse_beside(scenario: Scenario) -> None:
    """Nothing else says what a pool is of where a file does."""
    beside = {
        "unlabelled": scenario.unlabelled != "current",
        "unlabelled_share": scenario.unlabelled_share < 1,
        "unlabelled_root": scenario.unlabelled_root is not None,
    }
    if given := [key for key, is_given in beside.items() if is_given]:
        problem = f"has no effect, as {UNLABELLED} of scenario.lists says which images come when"
        raise InputError(f"scenario.{given[0]}", problem, "leave one out")


def _lines(path: Path) -> list[str] | None:
    try:
        if not path.is_file():
            return None
        if path.stat().st_size > LARGEST:
            raise InputError(str(path), "is too large for a list", "write one line an experience")
        return path.read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a text file"
        raise InputError(str(path), f"cannot be read ({reason})", "write a text file") from error


def _entries(line: str, names: Sequence[str]) -> list[int | str]:
    words = [word.strip() for word in line.split(",") if word.strip()]
    return [int(word) if _is_row(word) and word not in names else word for word in words]


def _is_row(word: str) -> bool:
    return word.isascii() and word.isdigit() and len(word) <= 18


def _rows(path: Path, where: str, tasks: int, images: int) -> list[Integers] | None:
    """The rows of each line, checked one by one."""
    lines = _lines(path)
    if lines is None:
        return None
    if len(lines) != tasks:
        problem = f"has {len(lines)} lines, {CLASSES} has {tasks}"
        raise InputError(f"{where}/{path.name}", problem, "write one line an experience")
    found = []
    for number, line in enumerate(lines, start=1):
        at, words = f"{where}/{path.name} line {number}", line.replace(",", " ").split()
        if wrong := [word for word in words if not _is_row(word) or int(word) >= images]:
            problem = f"{wrong[0][:40]!r} is no image row: the training set has 0 to {images - 1}"
            raise InputError(at, problem, "is this the list of another dataset?")
        rows = np.array([int(word) for word in words], np.int64)
        if len(np.unique(rows)) < len(rows):
            raise InputError(at, "names an image twice", "name each image once")
        found.append(rows)
    return found


def _refuse_strange(
    labelled: Sequence[Integers] | None,
    classes: Sequence[Sequence[int]],
    targets: Integers,
    where: str,
) -> None:
    """Labelled images are of a class of their own line, and stand in one line alone."""
    together = np.concatenate(labelled or [np.zeros(0, np.int64)])
    if len(np.unique(together)) < len(together):
        raise InputError(where, "names an image in two lines", "an image is labelled once")
    for number, (rows, own) in enumerate(zip(labelled or (), classes, strict=False), start=1):
        if len(strange := rows[~np.isin(targets[rows], own)]):
            problem = f"row {strange[0]} is of no class of line {number} in {CLASSES}"
            raise InputError(f"{where} line {number}", problem, "add its class there")
