"""The user's own images: ``train/<class>/*`` and ``test/<class>/*``, any mixture of formats."""

import os
import stat
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from contsemi.data.imageset import ImageSet
from contsemi.data.sources.cache import Cached, cached, file_state, key
from contsemi.data.sources.decoding import Failure, decode_into
from contsemi.data.twins import twins
from contsemi.errors import InputError

__all__ = ["load", "load_pool", "shown"]

NAMED_PROBLEMS = 20
JUNK = {"thumbs.db", "desktop.ini", "__macosx", "@eadir"}  # besides everything that begins with "."
LAYOUT = "expected train/<class>/<images> and test/<class>/<images>"
MAKE_TEST = "make one: move about a fifth of each class from train/<class>/ to test/<class>/"


@dataclass(slots=True)
class _Files:
    """Image files of one split, in the order of the image set, and what is wrong with it."""

    paths: list[Path] = field(default_factory=list)
    states: list[tuple[int, ...]] = field(default_factory=list)
    targets: list[int] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    passed_over: list[str] = field(default_factory=list)

    @property
    def num_bytes(self) -> int:
        return sum(state[0] for state in self.states)


def load(
    root: Path, *, size: int | None, cache: str | None, workers: int
) -> tuple[ImageSet, ImageSet]:
    """Training and test images; decoded once, then opened from the cache.

    Classes are the folders of ``train/`` in alphabetical order. Hidden files and folders and those
    that systems leave behind (``Thumbs.db``, ``__MACOSX``) are passed over, which the remarks of
    the training images say, as they say of images that are there twice. Links are refused.
    ``val/`` is taken for the test images where there is no ``test/``.

    Args:
        root: the folder that holds ``train/`` and ``test/``.
        size: side in pixels; required.
        cache: folder of the cache; ``None`` for the user's.
        workers: decoding processes, 0 for one per core.

    Raises:
        InputError: one report of everything that is wrong: empty classes, classes that only the
            test folder has, links, files that are no images.
        StorageFailed: the cache cannot be written.
    """
    where = f"data.root={shown(root)}"
    if size is None:
        raise InputError("data.size", "is required for a folder of images", "give data.size=32")
    if not root.is_dir():
        raise InputError(where, "no such folder", LAYOUT)
    if not (root / "train").is_dir():
        raise InputError(where, "has no train/ folder", LAYOUT)
    test_root = next((root / name for name in ("test", "val") if (root / name).is_dir()), None)
    if test_root is None:
        raise InputError(where, "has no test/ folder", MAKE_TEST)
    classes = [entry.name for entry in _entries(root, root / "train", _Files()) if entry.is_dir()]
    if not classes:
        raise InputError(where, "train/ has no class folders", LAYOUT)
    splits = {place: _scan(root, place, classes) for place in (root / "train", test_root)}
    problems = [problem for files in splits.values() for problem in files.problems]
    opened = {}
    for place, files in splits.items():
        result = _decode(root, files, size=size, cache=cache, workers=workers, title=place.name)
        if isinstance(result, Cached):
            opened[place] = result
        else:
            problems += [f"{_relative(root, files.paths[n])}: {why}" for n, why in result]
    _report(where, problems)
    remarks = _remarks(root, opened, splits)
    train, test = (
        ImageSet.of(
            opened[place].images,
            np.asarray(files.targets, np.int64),
            classes=tuple(map(shown, classes)),
            name=shown(root.resolve().name),
            digest=opened[place].digest,
            remarks=remarks if place == root / "train" else (),
        )
        for place, files in splits.items()
    )
    return train, test


def _remarks(root: Path, opened: dict[Path, Cached], splits: dict[Path, _Files]) -> tuple[str, ...]:
    """What is odd with images that can be used."""
    train, test = splits.values()
    rows = [cached.rows for cached in opened.values()]
    names = [_relative(root, path) for path in train.paths]
    said = twins(rows[0], np.asarray(train.targets), rows[1], names)
    if hidden := train.passed_over + test.passed_over:
        more = ", ..." if len(hidden) > 5 else ""
        said.append(f"hidden files and folders passed over: {', '.join(hidden[:5])}{more}")
    return tuple(f"data.root={shown(root)}: {each}" for each in said)


def load_pool(root: Path, *, size: int, cache: str | None, workers: int) -> NDArray[np.uint8]:
    """Images without labels: every image in ``root`` and below it, sorted by path.

    Returns:
        uint8 [M, 3, S, S], memory-mapped.

    Raises:
        InputError: no such folder, no image in it, links, or files that are no images.
        StorageFailed: the cache cannot be written.
    """
    where = f"scenario.unlabelled_root={shown(root)}"
    if not root.is_dir():
        raise InputError(where, "is no folder", "give a folder of images")
    files = _Files()
    _collect(root, root, files, target=0, deep=True)
    if not files.paths:
        _report(where, files.problems)
        raise InputError(where, "holds no images", "give a folder of images")
    result = _decode(root, files, size=size, cache=cache, workers=workers, title="unlabelled")
    if not isinstance(result, Cached):
        files.problems += [f"{_relative(root, files.paths[n])}: {why}" for n, why in result]
    _report(where, files.problems)
    assert isinstance(result, Cached)
    return result.images


def shown(name: str | Path) -> str:
    """A name as it can be printed and written anywhere; odd characters are escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(name))


def _scan(root: Path, place: Path, classes: list[str]) -> _Files:
    """Files of one split, class by class in the order of ``classes``, then by name."""
    files = _Files()
    known = {name: number for number, name in enumerate(classes)}
    for entry in _entries(root, place, files):
        relative = _relative(root, place / entry.name)
        if entry.is_symlink():
            files.problems.append(f"{relative} is a link")
        elif not entry.is_dir(follow_symlinks=False):
            files.problems.append(f"{relative} lies outside the class folders")
        elif entry.name not in known:
            files.problems.append(f"class {relative} is not in train/")
        else:
            before = len(files.paths) + len(files.problems)
            _collect(root, place / entry.name, files, target=known[entry.name], deep=False)
            if len(files.paths) + len(files.problems) == before:
                files.problems.append(f"class {relative} is empty")
    return files


def _collect(root: Path, folder: Path, files: _Files, *, target: int, deep: bool) -> None:
    """Appends the regular files of ``folder``; nothing else is ever opened."""
    try:
        entries = _entries(root, folder, files)
    except OSError as error:
        files.problems.append(f"{_relative(root, folder)} cannot be read ({error.strerror})")
        return
    for entry in entries:
        path = folder / entry.name
        state = entry.stat(follow_symlinks=False)
        if stat.S_ISREG(state.st_mode):
            files.paths.append(path)
            files.states.append(file_state(state))
            files.targets.append(target)
        elif deep and stat.S_ISDIR(state.st_mode):
            _collect(root, path, files, target=target, deep=True)
        else:
            kind = "a link" if stat.S_ISLNK(state.st_mode) else "not a file"
            files.problems.append(f"{_relative(root, path)} is {kind}")


def _entries(root: Path, folder: Path, files: _Files) -> list["os.DirEntry[str]"]:
    """What is in a folder, by name, without hidden entries and junk, which are noted."""
    found = []
    for entry in _listed(folder):
        if entry.name.startswith(".") or entry.name.lower() in JUNK:
            files.passed_over.append(_relative(root, folder / entry.name))
        else:
            found.append(entry)
    return found


def _listed(folder: Path) -> list["os.DirEntry[str]"]:
    with os.scandir(folder) as entries:
        return sorted(entries, key=lambda entry: entry.name)


def _decode(
    root: Path, files: _Files, *, size: int, cache: str | None, workers: int, title: str
) -> Cached | list[Failure]:
    if not files.paths:
        return []
    names = [path.relative_to(root).as_posix() for path in files.paths]
    states = list(zip(names, files.states, strict=True))

    def fill(file: Path, offset: int) -> list[Failure]:
        return decode_into(
            file,
            offset,
            files.paths,
            total=len(names),
            size=size,
            num_bytes=files.num_bytes,
            workers=workers,
            title=f"decoding {title}",
        )

    entry = key("folder", str(root.resolve()), size, states)
    return cached(cache, entry, np.asarray(files.targets, np.int64), size, fill)


def _relative(root: Path, path: Path) -> str:
    return shown(path.relative_to(root).as_posix())


def _report(where: str, problems: list[str]) -> None:
    if not problems:
        return
    count = f"{len(problems)} problem{'s' if len(problems) > 1 else ''}: "
    rest = len(problems) - NAMED_PROBLEMS
    more = f"; and {rest} more" if rest > 0 else ""
    named = "; ".join(problems[:NAMED_PROBLEMS])
    raise InputError(where, count + named + more, "repair or remove them")
