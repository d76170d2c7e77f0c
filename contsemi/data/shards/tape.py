"""Tar files as they are streamed: members one after another, each block checked and hashed.

Python's own reader ends without a word at a damaged header; this one says where.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

BLOCK = 512
LARGEST = 2**28  # bytes of a member
NAME, SIZE, SUM, KIND = slice(0, 100), slice(124, 136), slice(148, 156), slice(156, 157)
MAGIC, PREFIX = slice(257, 262), slice(345, 500)
FILE, LONG_NAME, EXTENDED, GLOBAL, FOLDER = b"0\0", b"L", b"x", b"g", b"5"


class Damaged(Exception):
    """The file is no tar file, or ends too early; the message says what and where."""


@dataclass(frozen=True, slots=True)
class Member:
    """A file in a tar file.

    Attributes:
        name: its path.
        offset: where its content begins.
        content: all of it.
    """

    name: str
    offset: int
    content: bytes


class Tape:
    """Reads a tar file once, from its begin to its end.

    Args:
        path: the file.

    Attributes:
        digest: SHA-256 of the whole file, when all members were read.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.digest = path, ""
        self._hash = hashlib.sha256()
        self._place = 0

    def members(self) -> Iterator[Member]:
        """Every file in it, in order; folders are left out.

        Raises:
            Damaged: see there. Links and devices are refused, too: they lead out of the file.
            OSError: it cannot be read.
        """
        with self.path.open("rb") as stream:
            name = ""  # from a header of its own, for the member behind it
            while (block := self._block(stream)) is not None:
                at = self._place - BLOCK
                kind, size = block[KIND], _size(block, at)
                content, offset = self._read(stream, size, at), self._place
                offset -= -(-size // BLOCK) * BLOCK
                if kind == EXTENDED:
                    name = _extended(content, at) or name
                elif kind == LONG_NAME:
                    name = _text(content.rstrip(b"\0"), at)
                elif kind in FILE:
                    yield Member(name or _name(block, at), offset, content)
                    name = ""
                elif kind not in (GLOBAL, FOLDER):
                    raise Damaged(f"{_name(block, at)!r} is no file but a link or a device")
            while rest := stream.read(1 << 20):
                self._hash.update(rest)
        self.digest = self._hash.hexdigest()

    def _block(self, stream: BinaryIO) -> bytes | None:
        """The next header; ``None`` at the end."""
        block = self._take(stream, BLOCK)
        if len(block) < BLOCK:
            raise Damaged(f"ends at byte {self._place} without an end mark: it was cut off")
        if not any(block):
            return None
        if _checksum(block) != _octal(block[SUM], self._place - BLOCK):
            at = self._place - BLOCK
            what = "is no tar file" if at == 0 else f"has a damaged header at byte {at}"
            raise Damaged(what)
        return block

    def _read(self, stream: BinaryIO, size: int, at: int) -> bytes:
        content = self._take(stream, -(-size // BLOCK) * BLOCK)
        if len(content) < size:
            raise Damaged(
                f"ends inside of {size} bytes that begin behind byte {at}: it was cut off"
            )
        return content[:size]

    def _take(self, stream: BinaryIO, count: int) -> bytes:
        content = stream.read(count)
        self._hash.update(content)
        self._place += len(content)
        return content


def header(name: str, size: int) -> bytes:
    """The header of a file, with nothing of who wrote it when: the same content, the same bytes.

    Args:
        name: of at most 100 bytes.
        size: bytes of its content.
    """
    block = bytearray(BLOCK)
    block[NAME] = name.encode().ljust(100, b"\0")
    block[100:108] = b"0000644\0"
    block[108:116] = block[116:124] = b"0000000\0"
    block[SIZE], block[136:148] = b"%011o\0" % size, b"%011o\0" % 0
    block[KIND], block[257:265] = b"0", b"ustar\00000"
    block[SUM] = b"%06o\0 " % _checksum(block)
    return bytes(block)


def _checksum(block: bytes | bytearray) -> int:
    return sum(block) - sum(block[SUM]) + 8 * ord(" ")


def _octal(field: bytes, at: int) -> int:
    try:
        return int(field.strip(b" \0") or b"0", 8)
    except ValueError:
        raise Damaged(
            "is no tar file" if at == 0 else f"has a damaged header at byte {at}"
        ) from None


def _size(block: bytes, at: int) -> int:
    field = block[SIZE]
    size = int.from_bytes(field[1:], "big") if field[0] & 128 else _octal(field, at)
    if size > LARGEST:
        raise Damaged(f"{_name(block, at)!r} has {size} bytes, more than {LARGEST}")
    return size


def _name(block: bytes, at: int) -> str:
    name = block[NAME].rstrip(b"\0")
    prefix = block[PREFIX].split(b"\0")[0] if block[MAGIC] == b"ustar" else b""
    return _text(prefix + b"/" + name if prefix else name, at)


def _extended(content: bytes, at: int) -> str:
    """The path in an extended header: ``LENGTH path=NAME`` and a new line."""
    while content:
        length, _, _ = content.partition(b" ")
        if not length.isdigit() or not 0 < int(length) <= len(content):
            raise Damaged(f"has a damaged header at byte {at}")
        field, content = content[len(length) + 1 : int(length) - 1], content[int(length) :]
        key, _, value = field.partition(b"=")
        if key == b"path":
            return _text(value, at)
        if key == b"size":
            raise Damaged(f"has a member of more than 8 GiB behind byte {at}")
    return ""


def _text(name: bytes, at: int) -> str:
    try:
        return name.decode()
    except UnicodeDecodeError:
        raise Damaged(f"has a name at byte {at} that is not UTF-8") from None
