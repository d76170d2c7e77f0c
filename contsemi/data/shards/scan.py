"""What lies in one shard: where each image begins, how large it is, what it is of."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from contsemi.data.shards.picture import looked_at
from contsemi.data.shards.tape import Damaged, Member, Tape
from contsemi.data.sources.decode import Unreadable

IMAGES = ("jpg", "jpeg", "png", "webp", "bmp", "ppm", "tif", "tiff")
LABEL = "cls"
FIELDS = ("cls", "label", "class", "class_name")  # of KEY.json, the first that is there
LONGEST = 200  # bytes of a key
LARGEST_LABEL = 1 << 20  # bytes of KEY.cls and KEY.json

Rows = NDArray[np.void]
Label = int | str | None


@dataclass(slots=True)
class Scan:
    """One shard.

    Attributes:
        rows: of :func:`row_type`, [n], its images; ``target`` is -1 yet.
        labels: what each image is of, as it stands there: a number, a name, or nothing.
        digest: SHA-256 of the file.
        faults: what keeps it from being used.
        passed_over: names of some members that are neither images nor labels.
    """

    rows: Rows
    labels: list[Label]
    digest: str
    faults: list[str]
    passed_over: list[str]


@dataclass(slots=True)
class _Sample:
    """What has been found of one key."""

    key: str
    image: Member | None = None
    label: Label = None
    labelled_by: str = ""


def row_type(longest: int) -> np.dtype[np.void]:
    """The columns of an index.

    Args:
        longest: most bytes of a key.
    """
    columns = [
        *(("shard", "<i4"), ("offset", "<i8"), ("length", "<i4"), ("height", "<i4")),
        *(("width", "<i4"), ("fast", "?"), ("digest", "<u8"), ("target", "<i8")),
        ("key", f"S{max(1, longest)}"),
    ]
    return np.dtype(columns)


def digest_of(content: bytes) -> int:
    """A 64-bit digest of an encoded image."""
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "little")


def scan(path: Path) -> Scan:
    """Reads a shard once, and decodes every image of it once."""
    found: list[tuple[object, ...]] = []
    labels: list[Label] = []
    faults: list[str] = []
    passed_over: list[str] = []
    tape = Tape(path)
    keys: set[str] = set()

    def close(sample: _Sample | None) -> None:
        if sample is None or (fault := _fault(sample, keys)) is None:
            if sample is not None and sample.image is not None:
                _append(sample, found, labels, faults)
            return
        faults.append(f"{sample.key}: {fault}")

    sample: _Sample | None = None
    try:
        for member in tape.members():
            key, kind = _split(member.name)
            if kind not in (*IMAGES, LABEL, "json"):
                passed_over.append(member.name)
                continue
            if sample is None or sample.key != key:
                close(sample)
                sample = _Sample(key)
            if (fault := _take(sample, member, kind)) is not None:
                faults.append(f"{member.name}: {fault}")
        close(sample)
    except Damaged as error:
        faults.append(str(error))
    except OSError as error:
        faults.append(f"cannot be read ({error.strerror or error})")
    if not found and not faults:
        faults.append("holds no images")
    kind_of_row = row_type(max((len(row[-1]) for row in found), default=1))  # type: ignore[arg-type]
    return Scan(np.array(found, kind_of_row), labels, tape.digest, faults, passed_over)


def _split(name: str) -> tuple[str, str]:
    """The key and the kind of a member: its path up to the first dot of its name, and the rest."""
    path = PurePosixPath(name)
    stem, _, kind = path.name.partition(".")
    return str(path.with_name(stem)) if stem else str(path), kind.lower() if stem else ""


def _take(sample: _Sample, member: Member, kind: str) -> str | None:
    """Adds a member to its sample; returns what is wrong with it."""
    if kind in IMAGES:
        if sample.image is not None:
            return "a second image of the same key"
        sample.image = member
        return None
    if len(member.content) > LARGEST_LABEL:
        return "too long for a label"
    try:
        text = member.content.decode()
        label = _number(text.strip()) if kind == LABEL else _of_json(text)
    except (UnicodeDecodeError, ValueError, RecursionError):
        return "cannot be read as a label"
    if label is None or (kind == "json" and sample.labelled_by == LABEL):
        return None
    sample.label, sample.labelled_by = label, kind
    return None


def _number(text: str) -> int | str | None:
    """A class as text: its number, or its name."""
    plain = text.isascii() and text.removeprefix("-").isdigit() and len(text) < 12
    return int(text) if plain else text or None


def _of_json(text: str) -> Label:
    content = json.loads(text)
    if not isinstance(content, dict):
        raise ValueError("no object")
    label = next((content[name] for name in FIELDS if content.get(name) is not None), None)
    if label is not None and (isinstance(label, bool) or not isinstance(label, int | str)):
        raise ValueError("no label")
    if isinstance(label, str) and isinstance(_number(label.strip()), int):
        raise ValueError("a number as text")
    return label


def _fault(sample: _Sample, keys: set[str]) -> str | None:
    if sample.image is None:
        return "a label without an image"
    if sample.key in keys:
        return "comes twice: the members of a key have to follow each other"
    keys.add(sample.key)
    if len(sample.key.encode()) > LONGEST:
        return f"the key has more than {LONGEST} bytes"
    return None


def _append(
    sample: _Sample, found: list[tuple[object, ...]], labels: list[Label], faults: list[str]
) -> None:
    assert sample.image is not None
    content = sample.image.content
    try:
        found.append(row_of(content, sample.key, offset=sample.image.offset))
    except Unreadable as error:
        faults.append(f"{sample.image.name}: {error}")
        return
    labels.append(sample.label)


def row_of(content: bytes, key: str, target: int = -1, offset: int = 0) -> tuple[object, ...]:
    """A row of the index, as :func:`row_type` has it; the image is decoded once.

    Raises:
        Unreadable: it does not decode.
    """
    place = (0, offset, len(content), *looked_at(content))
    return (*place, digest_of(content), target, key.encode())
