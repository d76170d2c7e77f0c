"""Which shards a folder has, before one is opened."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from contsemi.data.sources.listing import shown
from contsemi.errors import InputError
from contsemi.storage.readonce import parse_json, read_once

MANIFEST = "shards.json"
LARGEST = 2**26  # bytes of it
FORMAT = 1
LAYOUT = "expected train-000000.tar, train-000001.tar, ... and test-000000.tar, ..."
SPLITS = {"train": ("train",), "test": ("test", "validation", "valid", "val")}
PATTERNS = ("{0}-*.tar", "{0}.tar", "{0}/*.tar")
NUMBER = re.compile(r"(\d+)(?=\.tar$)")


@dataclass(frozen=True, slots=True)
class Known:
    """What a manifest says of a shard: SHA-256 of it, and of the index beside it."""

    sha256: str
    index: str


@dataclass(frozen=True, slots=True)
class Layout:
    """A folder of shards.

    Attributes:
        root: the folder.
        splits: the files of ``train`` and ``test``.
        classes: the class names that the manifest gives, ``None`` without one.
        known: what the manifest says of each shard, by its name.
    """

    root: Path
    splits: dict[str, list[Path]]
    classes: tuple[str, ...] | None
    known: dict[str, Known]

    @property
    def where(self) -> str:
        """The key that errors name."""
        return f"data.root={shown(self.root)}"


def layout_of(root: Path) -> Layout:
    """The shards of a folder, of our own making or anybody's.

    Raises:
        InputError: there are none, or one is missing: of those in the manifest, or a number
            between others.
    """
    where = f"data.root={shown(root)}"
    if not root.is_dir():
        raise InputError(where, "no such folder", LAYOUT)
    splits = {name: _files(root, names) for name, names in SPLITS.items()}
    classes, known = _manifest(root, where)
    present = {path.name for paths in splits.values() for path in paths}
    if missing := sorted(set(known) - present):
        problem = f"{missing[0]} is missing, which {MANIFEST} names"
        raise InputError(where, problem, "bring it back, or make the shards anew")
    if known and (foreign := sorted(present - set(known))):
        problem = f"{foreign[0]} is none of the shards that {MANIFEST} names"
        raise InputError(where, problem, "move it away")
    for name, paths in splits.items():
        if not paths:
            raise InputError(where, f"has no {name} shards", LAYOUT)
        _refuse_gaps(where, paths)
    return Layout(root, splits, classes, known)


def _files(root: Path, names: tuple[str, ...]) -> list[Path]:
    for name in names:
        for pattern in PATTERNS:
            if found := sorted(path for path in root.glob(pattern.format(name)) if path.is_file()):
                return found
    return []


def _refuse_gaps(where: str, paths: list[Path]) -> None:
    numbers = [int(found[1]) for path in paths if (found := NUMBER.search(path.name))]
    if len(numbers) != len(paths):
        return
    for before, path, number in zip(sorted(numbers), paths[1:], sorted(numbers)[1:], strict=False):
        if number != before + 1:
            name = NUMBER.sub(str(before + 1).zfill(6), path.name)
            raise InputError(
                where, f"{name} is missing", "bring it back, or number the others anew"
            )


def _manifest(root: Path, where: str) -> tuple[tuple[str, ...] | None, dict[str, Known]]:
    if not (root / MANIFEST).exists():
        return None, {}
    try:
        content: Any = parse_json(read_once(root / MANIFEST, LARGEST))
        if content["format"] != FORMAT:
            raise ValueError(f"format {content['format']}, expected {FORMAT}")
        shards = content["shards"].items()
        known = {str(name): Known(str(of["sha256"]), str(of["index"])) for name, of in shards}
        return tuple(map(str, content["classes"])), known
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        reason = " ".join(str(error).split())[:80]
        problem = f"{MANIFEST} cannot be read ({reason})"
        raise InputError(where, problem, "bring it back, or make the shards anew") from error
