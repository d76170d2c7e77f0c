"""A list of labels, ``file,class`` a line: beside the photos as ``labels.csv``, or anywhere."""

import csv
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from contsemi.data.classes import same_name
from contsemi.data.sources.listing import TESTS, pool_files, relative, shown
from contsemi.errors import InputError

LABELS = "labels.csv"
LARGEST = 256 * 2**20  # bytes of a list


def list_of(photos: Path, labels: Path | None) -> Path | None:
    """The list that says which photos have a label: the one that is given, or that lies there."""
    own = photos / LABELS
    return own if labels is None and own.is_file() else labels


def refuse_unnamed(photos: Path, labels: Path | None) -> None:
    """Refuses photos of which nothing says what they are.

    Args:
        photos: a folder.
        labels: of :func:`list_of`.

    Raises:
        InputError: there is no list, and no folder that could be a class.
    """
    if labels is None and not any(each.is_dir() for each in photos.iterdir()):
        problem = f"has no folder of a class and no {LABELS}"
        fix = f"put its photos into a folder a class, save {LABELS} into it, or give labels=FILE"
        raise InputError(shown(photos), problem, fix)


def labels_beside(photos: Path) -> dict[str, str]:
    """What the list that lies in a folder says, as :func:`given_classes`; nothing without one."""
    labels = list_of(photos, None)
    return given_classes(photos, labels) if labels else {}


def refuse_tests(photos: Path) -> None:
    """Refuses a folder in which photos to test on would be learned from with the others.

    A list knows of no sides: each photo in the folder and below it is learned from.

    Raises:
        InputError: it has a folder ``train`` and one of test photos beside it.
    """
    tests = [name for name in TESTS if (photos / name).is_dir()]
    if tests and (photos / "train").is_dir():
        problem = f"has train/ and {tests[0]}/, and with a list photos of both are learned from"
        raise InputError(shown(photos), problem, "name its train/, with a list of its own")


def given_classes(photos: Path, labels: Path) -> dict[str, str]:
    """The class of each photo that a list names, by its path below the folder.

    Args:
        photos: the folder.
        labels: the list.

    Raises:
        InputError: the list cannot be read, is none, or does not fit the photos.
    """
    counts = Counter(relative(photos, path) for path in pool_files(photos).paths)
    if alike := [name for name, count in counts.items() if count > 1]:  # odd characters escaped
        problem = f"holds {counts[alike[0]]} photos that a list would call {alike[0]}"
        raise InputError(shown(photos), problem, "rename one of them")
    forms: dict[str, list[str]] = {}
    for name in counts:
        forms.setdefault(same_name(name), []).append(name)
    given: dict[str, str] = {}
    for number, written, name in _lines(labels):
        where, file = f"{shown(labels)} line {number}", written.removeprefix("./")
        if file not in counts and len(alike := forms.get(same_name(file), [])) == 1:
            (file,) = alike  # typed in another Unicode form than it is stored in
        if file not in counts:
            problem = f"names {shown(file)}, which is no photo in {shown(photos)}"
            raise InputError(where, problem, "leave it out")
        if given.setdefault(file, name) != name:
            problem = f"calls {shown(file)} {name}, and a line above {given[file]}"
            raise InputError(where, problem, "leave one out")
    return given


def _lines(labels: Path) -> Iterator[tuple[int, str, str]]:
    """Number, file and class of each line; a first line ``file,class`` is none.

    One by one: of a list of any length no more is kept than the photos it names. A class is named
    as it can be shown: one line in each answer.
    """
    empty = True
    for place, (number, line) in enumerate(_read(labels)):
        if place == 0 and [word.strip().lower() for word in line] == ["file", "class"]:
            continue
        if len(line) != 2 or not line[1].strip():
            problem = f"expected file,class, got {shown(','.join(line))[:60]}"
            raise InputError(f"{shown(labels)} line {number}", problem, "mend it")
        empty = False
        yield number, line[0], shown(same_name(line[1].strip()))
    if empty:
        raise InputError(shown(labels), "holds no label", "write lines of file,class")


def _read(labels: Path) -> Iterator[tuple[int, list[str]]]:
    try:
        if labels.exists() and not labels.is_file():
            raise csv.Error("not a regular file")  # a pipe would be waited for
        if labels.stat().st_size > LARGEST:
            raise csv.Error(f"more than {LARGEST >> 20} MiB")
        with labels.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file)
            yield from ((reader.line_num, line) for line in reader if line)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or error
        problem = f"cannot be read ({reason})"
        raise InputError(shown(labels), problem, "write lines of file,class") from None
