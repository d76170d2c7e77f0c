"""Writes a data set as shards: each whole or not at all, the same bytes whenever it is written.

A shard is tar, ``KEY.jpg`` beside ``KEY.cls``; the encoded images are copied as they are. Beside
each shard lies its index, and ``shards.json`` names all of them: it is written last, so that a
folder that has it is finished. Until then ``making.json`` says which shards are.
"""

import hashlib
import itertools
import json
import os
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from contsemi.data.shards.layout import FORMAT, MANIFEST
from contsemi.data.shards.scan import row_of, row_type
from contsemi.data.shards.tape import BLOCK, header
from contsemi.data.sources.decode import Unreadable, format_of
from contsemi.data.sources.decoding import progress
from contsemi.data.sources.listing import shown
from contsemi.errors import InputError, first_of
from contsemi.storage.atomic import make_folder, storage, sweep, write_atomically
from contsemi.storage.readonce import parse_json, read_once

MAKING = "making.json"
LARGEST = 2**26  # bytes of both records
OURS = re.compile(r"(train|test)-\d{6}\.(tar|npy)")
NAMED = 20  # images that one error names


@dataclass(frozen=True, slots=True)
class Sample:
    """An image to be written.

    Attributes:
        name: by which errors call it.
        content: the encoded image, or the file that has it.
        target: its class id, -1 for none.
    """

    name: str
    content: bytes | Path
    target: int


@dataclass(frozen=True, slots=True)
class Split:
    """The images of ``train`` or ``test``.

    Attributes:
        count: how many there are.
        samples: they, in order.
    """

    count: int
    samples: Iterator[Sample]


def write_shards(
    folder: Path,
    splits: dict[str, Split],
    classes: Sequence[str],
    *,
    of: str,
    images: int,
    workers: int,
) -> int:
    """Writes shards, or goes on with writing them.

    Args:
        folder: to write to; new, empty, or holding what an earlier call has left.
        splits: ``train`` and ``test``.
        classes: names of the class ids.
        of: identifies what is written: an earlier call must have written the same.
        images: in a shard.
        workers: threads that decode each image once, 0 for one per core.

    Returns:
        Shards that were written by this call.

    Raises:
        InputError: the folder holds something else, or images do not decode (one report).
        StorageFailed: it cannot be written.
    """
    done = _begin(folder, of, images)
    if done is None:
        return 0
    written, faults = 0, []
    total = sum(-(-split.count // images) for split in splits.values())
    with (
        progress("writing shards", total) as advance,
        ThreadPoolExecutor(workers or os.cpu_count() or 1) as pool,
    ):
        for split, part in splits.items():
            for number, start in enumerate(range(0, part.count, images)):
                name = f"{split}-{number:06d}.tar"
                samples = list(itertools.islice(part.samples, min(images, part.count - start)))
                if name not in done:
                    found = list(pool.map(_row, samples, range(start, start + len(samples))))
                    faults += [each for each in found if isinstance(each, str)]
                    if not faults:
                        rows = [each for each in found if not isinstance(each, str)]
                        done[name] = _write(folder / name, samples, rows)
                        _record(folder / MAKING, of, images, (), done)
                        written += 1
                advance(1)
    if faults:
        problem = f"{len(faults)} images cannot be used: {first_of(faults, NAMED)}"
        raise InputError("images", problem, "repair or remove them, and go on by the same command")
    _record(folder / MANIFEST, of, images, classes, done)
    with storage(folder):
        (folder / MAKING).unlink()
    return written


def _begin(folder: Path, of: str, images: int) -> dict[str, dict[str, Any]] | None:
    """The shards that are there already; ``None`` if all are."""
    where = shown(folder)
    with storage(folder):
        make_folder(folder)
        sweep(folder)
        names = sorted(path.name for path in folder.iterdir())
    fix = "give a new folder"
    strange = [n for n in names if n not in (MAKING, MANIFEST) and not OURS.fullmatch(n)]
    if strange:
        raise InputError(where, f"holds {shown(strange[0])}, which is none of our shards", fix)
    record = next((name for name in (MANIFEST, MAKING) if name in names), None)
    if record is None:
        if names:
            raise InputError(where, f"holds {names[0]} and no {MAKING} that says what of", fix)
        _record(folder / MAKING, of, images, (), {})
        return {}
    try:
        content = parse_json(read_once(folder / record, LARGEST))
        same = (content["format"], content["of"], content["images"]) == (FORMAT, of, images)
        shards: dict[str, dict[str, Any]] = dict(content["shards"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{where}/{record}", "cannot be read", fix) from error
    if not same:
        problem = "holds the shards of other images, or with another number of images each"
        raise InputError(where, problem, fix)
    if missing := [n for n, each in shards.items() if not _whole(folder / n, each)]:
        if record == MANIFEST:
            problem = f"{missing[0]} is missing or has another size"
            raise InputError(where, problem, "delete the folder and make it anew")
        return {name: each for name, each in shards.items() if name not in missing}
    return None if record == MANIFEST else shards


def _whole(shard: Path, known: dict[str, Any]) -> bool:
    there = shard.is_file() and shard.with_suffix(".npy").is_file()
    return there and shard.stat().st_size == known["bytes"]


def _row(sample: Sample, number: int) -> tuple[object, ...] | str:
    """A row of the index, its offset not known yet; or what is wrong with the image."""
    try:
        return row_of(_content(sample), f"{number:08d}", sample.target)
    except Unreadable as error:
        return f"{sample.name}: {error}"
    except OSError as error:
        return f"{sample.name}: cannot be read ({error.strerror})"


def _content(sample: Sample) -> bytes:
    return sample.content.read_bytes() if isinstance(sample.content, Path) else sample.content


def _write(
    path: Path, samples: Sequence[Sample], rows: Sequence[tuple[object, ...]]
) -> dict[str, Any]:
    """Writes a shard and its index; returns what is recorded of them."""
    index = np.array(rows, row_type(8))
    tape = BytesIO()
    for row, sample in enumerate(samples):
        content, key = _content(sample), bytes(index[row]["key"]).decode()
        _append(tape, f"{key}.{format_of(content)}", content)
        index[row]["offset"] = tape.tell() - len(content) - -len(content) % BLOCK
        if sample.target >= 0:
            _append(tape, f"{key}.cls", str(sample.target).encode())
    tape.write(bytes(2 * BLOCK))
    beside = BytesIO()
    np.save(beside, index, allow_pickle=False)
    write_atomically(path.with_suffix(".npy"), beside.getvalue())
    write_atomically(path, tape.getvalue())
    return {
        "bytes": tape.tell(),
        "images": len(samples),
        "sha256": hashlib.sha256(tape.getbuffer()).hexdigest(),
        "index": hashlib.sha256(beside.getbuffer()).hexdigest(),
    }


def _append(tape: BytesIO, name: str, content: bytes) -> None:
    tape.write(header(name, len(content)))
    tape.write(content + bytes(-len(content) % BLOCK))


def _record(
    path: Path, of: str, images: int, classes: Sequence[str], shards: dict[str, dict[str, Any]]
) -> None:
    content = {"format": FORMAT, "of": of, "images": images, "classes": list(classes)}
    write_atomically(path, json.dumps(content | {"shards": shards}, indent=1).encode())
