"""Where each image of a data set of shards lies: found once, and kept in the cache.

All shards are read and all images decoded once, so that a damaged one is reported before training;
where ``make_shards`` has done that already its own index lies beside the shard, and the shard is
hashed alone. An index is a few dozen bytes an image, and a memory map: processes share it.
"""

import hashlib
import json
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contsemi.data.shards.layout import MANIFEST, Layout
from contsemi.data.shards.scan import Label, Rows, Scan, row_type, scan
from contsemi.data.sources.cache import default_folder, file_state, key
from contsemi.data.sources.decoding import progress
from contsemi.errors import InputError, first_of
from contsemi.storage.atomic import make_folder, storage, write_atomically
from contsemi.storage.digest import sha256_of
from contsemi.storage.readonce import parse_json, read_once

LARGEST_RECORD = 2**24  # bytes
LARGEST_INDEX = 2**34
NAMED = 20  # faults that one error names
FIX = "repair it or make it anew"


@dataclass(frozen=True, slots=True, eq=False)
class Index:
    """The images of one split.

    Attributes:
        shards: the files.
        rows: of :func:`~contsemi.data.shards.scan.row_type`, [N], memory-mapped.
        digest: SHA-256 of what is in it: the shards and the targets.
    """

    shards: tuple[Path, ...]
    rows: Rows
    digest: str

    def name(self, row: int) -> str:
        """The shard and the key of an image."""
        where = self.rows[row]
        return f"{self.shards[where['shard']].name}: {bytes(where['key']).decode()}"


@dataclass(frozen=True, slots=True, eq=False)
class Indexed:
    """A data set of shards.

    Attributes:
        splits: ``train`` and ``test``.
        classes: names of the classes, ``None`` where the shards have numbers alone.
        num_classes: as many as there are, or as the greatest number says.
        passed_over: some members that are neither images nor labels.
    """

    splits: dict[str, Index]
    classes: tuple[str, ...] | None
    num_classes: int
    passed_over: tuple[str, ...]


def index_of(layout: Layout, cache: str | None, workers: int) -> Indexed:
    """The index of all shards, from the cache or made anew.

    Args:
        layout: the shards.
        cache: folder of the cache; ``None`` for the user's.
        workers: threads, 0 for one per core.

    Raises:
        InputError: one report of everything that is wrong with the shards.
        StorageFailed: the cache cannot be written.
    """
    shards = [path for paths in layout.splits.values() for path in paths]
    states = [(path.name, file_state(path.stat())) for path in shards]
    entry = key("shards", str(layout.root.resolve()), states, layout.classes, sorted(layout.known))
    folder = (Path(cache).expanduser() if cache else default_folder()) / entry
    found = _open(folder, layout)
    if found is None:
        _make(folder, layout, shards, workers)
        found = _open(folder, layout)
    if found is None:
        problem = "the index was damaged while it was written"
        raise InputError(f"data.cache={folder.parent}", problem, "check the disk")
    return found


def _open(folder: Path, layout: Layout) -> Indexed | None:
    """The entry if it is whole, else ``None``."""
    try:
        record = parse_json(read_once(folder / "entry.json", LARGEST_RECORD))
        splits = {}
        for name, paths in layout.splits.items():
            file = folder / f"{name}.npy"
            if sha256_of(file) != record["files"][name]:
                return None
            rows = np.load(file, mmap_mode="r", allow_pickle=False)
            splits[name] = Index(tuple(paths), rows, str(record["digests"][name]))
        names = record["classes"]
        classes = None if names is None else tuple(map(str, names))
        number, passed_over = int(record["num_classes"]), tuple(map(str, record["passed_over"]))
        return Indexed(splits, classes, number, passed_over)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _make(folder: Path, layout: Layout, shards: Sequence[Path], workers: int) -> None:
    number = min(workers or os.cpu_count() or 1, len(shards))
    scans: list[Scan] = []
    with progress("reading shards", len(shards)) as advance, ThreadPoolExecutor(number) as pool:
        try:
            for each in pool.map(lambda path: _scanned(path, layout), shards):
                scans.append(each)
                advance(1)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    if faults := [f"{p.name}: {x}" for p, s in zip(shards, scans, strict=True) for x in s.faults]:
        count = f"{len(faults)} problem{'s' if len(faults) > 1 else ''}"
        raise InputError(layout.where, f"{count}: {first_of(faults, NAMED)}", FIX)
    by_split: dict[str, list[Scan]] = {}
    for name, paths in layout.splits.items():
        by_split[name], scans = scans[: len(paths)], scans[len(paths) :]
    classes, number = _classes(layout, by_split)
    record: dict[str, Any] = {"files": {}, "digests": {}, "classes": classes, "num_classes": number}
    found = [name for parts in by_split.values() for part in parts for name in part.passed_over]
    record["passed_over"] = found[:NAMED]
    with storage(folder):
        make_folder(folder)
    for name, parts in by_split.items():
        rows = _joined(parts, classes)
        content = BytesIO()
        np.save(content, rows, allow_pickle=False)
        write_atomically(folder / f"{name}.npy", content.getvalue())
        record["files"][name] = hashlib.sha256(content.getvalue()).hexdigest()
        digest = hashlib.sha256("".join(part.digest for part in parts).encode())
        digest.update(np.ascontiguousarray(rows["target"]).tobytes())
        record["digests"][name] = digest.hexdigest()
    write_atomically(folder / "entry.json", json.dumps(record).encode())


def _scanned(path: Path, layout: Layout) -> Scan:
    """What is in a shard, from the index beside it where that is of this very file."""
    known = layout.known.get(path.name)
    if known is None:
        return scan(path)
    nothing: Rows = np.zeros(0, row_type(1))
    if sha256_of(path) != known.sha256:
        fault = f"is not the one that {MANIFEST} names: it was changed or damaged"
        return Scan(nothing, [], "", [fault], [])
    try:
        content = read_once(path.with_suffix(".npy"), LARGEST_INDEX)
        if hashlib.sha256(content).hexdigest() != known.index:
            return scan(path)
        rows = np.load(BytesIO(content), allow_pickle=False)
    except (OSError, ValueError):
        return scan(path)
    labels: list[Label] = [int(t) if t >= 0 else None for t in rows["target"]]
    return Scan(rows, labels, known.sha256, [], [])


def _classes(layout: Layout, by_split: dict[str, list[Scan]]) -> tuple[tuple[str, ...] | None, int]:
    """Names of the classes, if there are any, and their number."""
    places = [
        (label, part, row, name)
        for name, parts in by_split.items()
        for part in parts
        for row, label in enumerate(part.labels)
    ]

    def at(place: tuple[Label, Scan, int, str]) -> str:
        return f"{place[3]} image {bytes(place[1].rows['key'][place[2]]).decode()}"

    numbers = [p for p in places if isinstance(p[0], int) and p[0] >= 0]
    names = [p for p in places if isinstance(p[0], str)]
    if bare := [p for p in places if p[3] == "test" and (p[0] is None or p[0] == -1)]:
        raise InputError(layout.where, f"{at(bare[0])} has no class", "a test image needs one")
    if numbers and names:
        problem = f"{at(numbers[0])} has the number {numbers[0][0]}, {at(names[0])} the name "
        problem += repr(names[0][0])
        raise InputError(layout.where, problem, "write numbers alone, or names alone")
    if low := [p for p in places if isinstance(p[0], int) and p[0] < -1]:
        raise InputError(layout.where, f"{at(low[0])} has class {low[0][0]}", "count from 0")
    trained = {p[0] for p in places if p[3] == "train"} - {None, -1}
    if not trained:
        raise InputError(layout.where, "no train image has a class", "write KEY.cls beside KEY.jpg")
    known = layout.classes
    if known is None and names:
        known = tuple(sorted(str(name) for name in trained))
    if known is not None:
        fits = set(range(len(known))) | set(known)
        if odd := next((p for p in numbers + names if p[0] not in fits), None):
            problem = f"{at(odd)} is of class {odd[0]!r}, which is none of the {len(known)} known"
            raise InputError(layout.where, problem, "give the training images of that class")
        return known, len(known)
    greatest = max(numbers, key=lambda p: p[0])  # type: ignore[arg-type, return-value]
    assert isinstance(greatest[0], int)
    if greatest[0] > max(len(places), 1000):
        problem = f"{at(greatest)} has class {greatest[0]}: more classes than images"
        raise InputError(layout.where, problem, "number the classes from 0")
    return None, greatest[0] + 1


def _joined(parts: Sequence[Scan], classes: tuple[str, ...] | None) -> Rows:
    """The rows of all shards of a split, with their shard and their target."""
    number_of = {name: number for number, name in enumerate(classes or ())}
    longest = max(part.rows.dtype["key"].itemsize for part in parts)
    found = []
    for shard, part in enumerate(parts):
        rows: NDArray[np.void] = part.rows.astype(row_type(longest))
        rows["shard"] = shard
        rows["target"] = [
            number_of[x] if isinstance(x, str) else -1 if x is None else x for x in part.labels
        ]
        found.append(rows)
    return np.concatenate(found)
