"""What lies in a folder of images: the files of each class, and what is odd, before one is decoded.

Nothing here opens a file but to look at the first bytes of one whose name is not an image's.
"""

import hashlib
import json
import os
import re
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from contsemi.data.classes import same_name
from contsemi.data.sources.cache import file_state
from contsemi.errors import InputError, first_of

JUNK = {
    "thumbs.db",
    "desktop.ini",
    "__macosx",
    "@eadir",
    "lost+found",
}  # besides everything that begins with "."
LAYOUT = "expected train/<class>/<images> and test/<class>/<images>, or <class>/<images>"
TESTS = ("test", "val", "valid", "validation")
UNLABELLED = ("unlabelled", "unlabeled")
TASK = re.compile(r"task[ _-]?0*([1-9][0-9]{0,5})")
SUFFIXES = {
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".dib"),
    *(".ppm", ".pgm", ".pbm", ".pnm", ".tif", ".tiff", ".gif"),
}
STARTS = (b"\xff\xd8\xff", b"\x89PNG", b"RIFF", b"BM", b"II*\0", b"MM\0*", b"GIF8")
NETPBM = re.compile(rb"P[1-6]\s")


@dataclass(slots=True)
class Files:
    """Image files of one split, in the order of the image set, and what is wrong with it.

    Attributes:
        paths, states, targets: of each image; a target of -1 has no label.
        arrives: number from 0 of the task that an image without a label belongs to; -1 for any.
        problems: what keeps the folder from being used.
        passed_over: files and folders that are none of its images.
    """

    paths: list[Path] = field(default_factory=list)
    states: list[tuple[int, ...]] = field(default_factory=list)
    targets: list[int] = field(default_factory=list)
    arrives: list[int] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    passed_over: list[str] = field(default_factory=list)

    @property
    def num_bytes(self) -> int:
        """Bytes of all files."""
        return sum(state[0] for state in self.states)

    def take(self, other: "Files", places: list[int]) -> None:
        """Appends some of the images of another list."""
        for place in places:
            self.paths.append(other.paths[place])
            self.states.append(other.states[place])
            self.targets.append(other.targets[place])
            self.arrives.append(other.arrives[place])


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder of images, listed.

    Attributes:
        classes: names of the classes, ascending.
        train, test: the files of the two splits.
        test_root: the folder of the test images; ``None`` where they were drawn.
        remarks: what its owner should know.
    """

    classes: tuple[str, ...]
    train: Files
    test: Files
    test_root: Path | None
    remarks: tuple[str, ...]


def listed(root: Path, *, test_share: float, least: int = 2) -> Folder:
    """Lists ``train/<class>/*`` and ``test/<class>/*``, or ``<class>/*`` alone.

    Without a folder of test images they are drawn: the images of each class with the least digests
    of their paths, so that the draw is the same on every machine, and an image keeps its side when
    others come. Of several folders of test images the first one with class folders is taken: where
    there are files alone, their labels are withheld. Classes whose names differ in Unicode form
    alone are one. A folder ``unlabelled`` beside the classes, or beside ``train``, holds images
    without a label; those in its folders ``task_1``, ``task_2``, ... come with that task. What else
    lies beside ``train`` is not read, which a remark says.

    Args:
        root: the folder.
        test_share: of the images of each class, where they are drawn.
        least: classes that it has to have.

    Raises:
        InputError: the layout is not this one. Smaller faults are in ``problems`` of the files.
    """
    where = f"data.root={shown(root)}"
    if not root.is_dir():
        raise InputError(where, "no such folder", LAYOUT)
    nested = (root / "train").is_dir()
    place = root / "train" if nested else root
    known = _class_folders(root, place, where, nested=nested)
    classes = tuple(sorted(known))
    if len(classes) < least:
        found = f"one class folder, {classes[0]}" if classes else "no class folders"
        inside = "train/ has" if nested else "has"
        wanted = "one class is" if least == 1 else "two classes are"
        raise InputError(where, f"{inside} {found}", f"at least {wanted} needed; {LAYOUT}")
    train = _scan(root, place, known)
    for folder in sorted({each for above in (place, root) for each in _unlabelled(above)}):
        if folder.name not in known:
            _collect_unlabelled(root, folder, train)
    test_root, remarks = _test_root(root, known) if nested else (None, [])
    remarks += _beside(root) if nested else []
    if test_root is not None:
        test = _scan(root, test_root, known)
        return Folder(classes, train, test, test_root, tuple(remarks))
    train, test, remark = _drawn(root, train, classes, test_share)
    return Folder(classes, train, test, None, (*remarks, remark))


def _test_root(root: Path, known: dict[str, list[Path]]) -> tuple[Path | None, list[str]]:
    """The folder of the test images, and what is to be said of the others."""
    found: Path | None = None
    withheld: list[str] = []
    idle: list[str] = []
    for name in TESTS:
        if not (root / name).is_dir():
            continue
        labelled = any(
            same_name(e.name) in known and _leads_to(e.is_dir) for e in _listed(root / name)
        )
        if labelled and found is None:
            found = root / name
        else:
            (idle if labelled else withheld).append(name)
    said = [f"{name}/ has no folder of a class: its labels are withheld" for name in withheld]
    return found, said + [f"{name}/ is not read" for name in idle]


def _beside(root: Path) -> list[str]:
    """What is to be said of folders beside ``train`` that nothing is taken from."""
    read = ("train", *TESTS)
    names = [
        f"{shown(each.name)}/"
        for each in _entries(root, root, Files())
        if each.name not in read and each.name.lower() not in UNLABELLED and _leads_to(each.is_dir)
    ]
    said = f"not read, as it does not lie in train/: {first_of(names, 5, ', ')}"
    return [said] if names else []


def _unlabelled(folder: Path) -> list[Path]:
    """The folders in it that are called so."""
    named = [each for each in _listed(folder) if each.name.lower() in UNLABELLED]
    return [folder / each.name for each in named if each.is_dir()]


def pool_files(root: Path) -> Files:
    """Every image in ``root`` and below it, sorted by path; none has a label."""
    files = Files()
    _collect(root, root, files, target=-1, deep=True)
    return files


def relative(root: Path, path: Path) -> str:
    """A path below the root, as it can be shown."""
    return shown(path.relative_to(root).as_posix())


def shown(name: str | Path) -> str:
    """A name as it can be printed and written anywhere; odd characters are escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(name))


def named(names: Sequence[object], where: str) -> tuple[str, ...]:
    """Names of classes that a file gives, in the form that folders are called in.

    Raises:
        InputError: one of them is no name.
    """
    for number, name in enumerate(names):
        if isinstance(name, bool) or not isinstance(name, str | int) or not str(name).strip():
            problem = f"class {number} is called {json.dumps(name)[:60]}, which is no name"
            raise InputError(where, problem, "name each class by a text in the file's features")
    return tuple(shown(same_name(str(name))) for name in names)


def _class_folders(root: Path, place: Path, where: str, *, nested: bool) -> dict[str, list[Path]]:
    """The folders of each class; those that differ in Unicode form alone are one class."""
    found: dict[str, list[Path]] = {}
    for entry in _entries(root, place, Files()):
        if entry.name.lower() in UNLABELLED and not any(
            (root / test / entry.name).is_dir() for test in TESTS
        ):
            continue  # no class: nothing is tested on it
        if not _leads_to(entry.is_dir):
            continue
        found.setdefault(same_name(entry.name), []).append(place / entry.name)
    if nested:
        return found
    for name, folders in found.items():
        if name.lower() in ("train", *TESTS):
            problem = f"has no train/ folder, but {shown(folders[0].name)}/"
            raise InputError(
                where, problem, f"rename it to {name.lower()}/" if name != name.lower() else LAYOUT
            )
    if not any(_is_class(each) for folders in found.values() for each in folders):
        raise InputError(where, "has no train/ folder", LAYOUT)
    return {name: own for name, own in found.items() if any(map(_may_be_class, own))}


def _may_be_class(folder: Path) -> bool:
    """Whether a folder beside those of classes is one, if need be one that cannot be used.

    An empty one is, and one whose images lie in folders of its own: both have a problem each.
    """
    if _is_class(folder):
        return True
    return not _entries(folder, folder, Files()) or bool(pool_files(folder).paths)


def _is_class(folder: Path) -> bool:
    """Whether a folder has files of its own; one that cannot be read may have, and is refused."""
    try:
        entries = _listed(folder)
    except OSError:
        return True
    return any(_leads_to(each.is_file) and not each.name.startswith(".") for each in entries)


def _scan(root: Path, place: Path, known: dict[str, list[Path]]) -> Files:
    """Files of one split, class by class in the order of their names, then by name."""
    files = Files()
    numbers = {name: number for number, name in enumerate(sorted(known))}
    folders: list[tuple[int, Path]] = []
    for entry in _entries(root, place, files):
        path = place / entry.name
        if not _leads_to(entry.is_dir):
            files.passed_over.append(relative(root, path))
        elif entry.is_symlink() and (fault := _led_outside(root, path)):
            files.problems.append(fault)
        elif (number := numbers.get(same_name(entry.name))) is not None:
            folders.append((number, path))
        elif entry.name.lower() not in UNLABELLED and place != root:
            files.problems.append(f"class {relative(root, path)} is not in train/")
    for number, path in sorted(folders):
        before = len(files.paths) + len(files.problems)
        _collect(root, path, files, target=number, deep=False)
        if len(files.paths) + len(files.problems) == before:
            files.problems.append(f"class {relative(root, path)} is empty")
    return files


def _collect_unlabelled(root: Path, folder: Path, files: Files) -> None:
    """Appends the images without a label, those of a task's folder with its number."""
    for entry in _entries(root, folder, files):
        path = folder / entry.name
        named = TASK.fullmatch(entry.name.lower())
        own = Files()
        if entry.is_dir() and not entry.is_symlink():
            _collect(root, path, own, target=-1, deep=True)
        else:
            _take(root, path, entry, own, target=-1)
        own.arrives = [int(named[1]) - 1 if named else -1] * len(own.paths)
        files.take(own, list(range(len(own.paths))))
        files.problems += own.problems
        files.passed_over += own.passed_over


def _collect(root: Path, folder: Path, files: Files, *, target: int, deep: bool) -> None:
    """Appends the regular files of ``folder``."""
    try:
        entries = _entries(root, folder, files)
    except OSError as error:
        files.problems.append(f"{relative(root, folder)} cannot be read ({error.strerror})")
        return
    for entry in entries:
        path = folder / entry.name
        if deep and entry.is_dir(follow_symlinks=False):
            _collect(root, path, files, target=target, deep=True)
        else:
            _take(root, path, entry, files, target=target)


def _take(root: Path, path: Path, entry: "os.DirEntry[str]", files: Files, *, target: int) -> None:
    """Appends one file, or says what it is instead."""
    if entry.is_symlink() and (fault := _led_outside(root, path)):
        files.problems.append(fault)
        return
    state = entry.stat()
    if stat.S_ISDIR(state.st_mode):
        where = "images lie directly in the folder of their class"
        files.problems.append(f"{relative(root, path)} is a folder, and {where}")
    elif not stat.S_ISREG(state.st_mode):
        files.problems.append(f"{relative(root, path)} is not a file")
    elif not looks_like_image(path):
        files.passed_over.append(relative(root, path))
    else:
        files.paths.append(path)
        files.states.append(file_state(state))
        files.targets.append(target)
        files.arrives.append(-1)


def _led_outside(root: Path, path: Path) -> str | None:
    """What is wrong with a link; ``None`` for one that stays below the root."""
    name = relative(root, path)
    try:
        real = path.resolve(strict=True)
    except (OSError, RuntimeError):
        return f"{name} is a link to nothing"
    if real.is_relative_to(root.resolve()):
        return None
    return f"{name} is a link out of the folder, and those are not followed: copy what it names"


def _leads_to(kind: Callable[[], bool]) -> bool:
    """Whether an entry is of a kind, or a link to such; a link in a circle is of none."""
    try:
        return kind()
    except OSError:
        return False


def looks_like_image(path: Path) -> bool:
    """Whether a regular file is called as images are, or begins as one."""
    if path.suffix.lower() in SUFFIXES:
        return True
    try:
        with path.open("rb") as stream:
            start = stream.read(16)
    except OSError:
        return True  # decoding says what is wrong
    return start.startswith(STARTS) or NETPBM.match(start) is not None


def _entries(root: Path, folder: Path, files: Files) -> list["os.DirEntry[str]"]:
    """What is in a folder, by name, without hidden entries and junk, which are noted."""
    found = []
    for entry in _listed(folder):
        if entry.name.startswith(".") or entry.name.lower() in JUNK:
            files.passed_over.append(relative(root, folder / entry.name))
        else:
            found.append(entry)
    return found


def _listed(folder: Path) -> list["os.DirEntry[str]"]:
    with os.scandir(folder) as entries:
        return sorted(entries, key=lambda entry: entry.name)


def _drawn(
    root: Path, files: Files, classes: tuple[str, ...], share: float
) -> tuple[Files, Files, str]:
    """The files divided into training and test images, and what was done."""
    test_places = set(_test_places(root, files, len(classes), share))
    train, test = Files(problems=files.problems, passed_over=files.passed_over), Files()
    order, whole = range(len(files.paths)), sum(target >= 0 for target in files.targets)
    train.take(files, [place for place in order if place not in test_places])
    test.take(files, [place for place in order if place in test_places])
    return (
        train,
        test,
        (
            f"has no test/ folder with classes: {len(test.paths)} of {whole} images, drawn from "
            f"each class, are the test images (data.test_share={share:g})"
        ),
    )


def _test_places(root: Path, files: Files, num_classes: int, share: float) -> Iterator[int]:
    """The images of each class with the least digests; a class of one image keeps it."""
    members: list[list[int]] = [[] for _ in range(num_classes)]
    for place, target in enumerate(files.targets):
        if target >= 0:
            members[target].append(place)
    for places in members:
        names = {p: files.paths[p].relative_to(root).as_posix().encode() for p in places}
        ranked = sorted(places, key=lambda p: hashlib.sha256(names[p]).digest())
        wanted = min(max(1, round(share * len(places))), len(places) - 1)
        yield from ranked[: max(wanted, 0)]
