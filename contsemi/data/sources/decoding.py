"""Many images into one file, in parallel processes, with a progress bar on a terminal."""

import multiprocessing
import os
import signal
import sys
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import Protocol

import numpy as np
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)

from contsemi.data.sources.decode import Unreadable, decode
from contsemi.errors import InputError

CHUNK = 64  # images a process gets at a time,
CHUNK_BYTES = 2**26  # or fewer, where they are large
SMALL = 16 * 2**20  # bytes of files below which starting processes costs more than it saves

Item = Path | bytes
Failure = tuple[int, str]  # number of the image, what is wrong with it


def decode_into(
    file: Path,
    offset: int,
    items: Iterable[Item],
    *,
    total: int,
    size: int,
    num_bytes: int,
    workers: int,
    title: str,
) -> list[Failure]:
    """Decodes images and writes them one after another into an existing file.

    Args:
        file: the file to write into.
        offset: bytes before the first image.
        items: paths or encoded bytes of the images; taken a few chunks ahead only.
        total: how many there are.
        size: side of the decoded images in pixels.
        num_bytes: encoded bytes of all, to judge whether processes pay.
        workers: processes, 0 for one per core.
        title: what the progress bar says.

    Returns:
        The images that could not be read, in order; their place in the file stays empty.
    """
    length = max(1, min(CHUNK, CHUNK_BYTES // (3 * size * size)))
    workers = min(workers or os.cpu_count() or 1, -(-total // length))
    failures: list[Failure] = []
    with progress(title, total) as advance:
        if workers <= 1 or num_bytes < SMALL:
            for start, chunk in _chunks(items, length):
                failures += _decode_chunk(file, offset, start, chunk, size)
                advance(len(chunk))
            return failures
        # spawn, because forking after torch has started its threads can hang
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(workers, mp_context=context) as pool, _ended_by_an_error():
            pending: deque[tuple[int, int, Future[list[Failure]]]] = deque()
            for start, chunk in _chunks(items, length):
                with _apart():
                    job = pool.submit(_decode_chunk, file, offset, start, chunk, size)
                pending.append((start, len(chunk), job))
                if len(pending) > 4 * workers:
                    failures += _finish(*pending.popleft(), advance)
            while pending:
                failures += _finish(*pending.popleft(), advance)
    return failures


def _decode_chunk(
    file: Path, offset: int, start: int, items: Sequence[Item], size: int
) -> list[Failure]:
    """Decodes images ``start``, ``start + 1``, ... and writes them to their place."""
    failures: list[Failure] = []
    pixels = np.zeros((len(items), 3, size, size), np.uint8)
    for number, item in enumerate(items):
        try:
            pixels[number] = decode(item, size)
        except Unreadable as error:
            failures.append((start + number, str(error)))
    with file.open("r+b") as stream:
        stream.seek(offset + start * 3 * size * size)
        stream.write(pixels.data)
    return failures


def _chunks(items: Iterable[Item], length: int) -> Iterator[tuple[int, list[Item]]]:
    iterator, start = iter(items), 0
    while chunk := list(islice(iterator, length)):
        yield start, chunk
        start += len(chunk)


class _Advance(Protocol):
    def __call__(self, images: int) -> None: ...


def _finish(
    start: int, count: int, job: "Future[list[Failure]]", advance: _Advance
) -> list[Failure]:
    try:
        failures = job.result()
    except BrokenProcessPool as error:
        problem = f"a decoding process died at images {start} to {start + count - 1}"
        raise InputError("data.workers", problem, "set data.workers=1 to learn which") from error
    advance(count)
    return failures


@contextmanager
def _apart() -> Iterator[None]:
    """Keeps a process that is started from the user's script, and from Ctrl-C, its parent's affair.

    To import the script would import torch in every process, and run one without a main guard once
    more.
    """
    script = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        sys.modules["__main__"] = script
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _ended_by_an_error() -> Iterator[None]:
    """Ends the processes started inside where an error or a signal comes: nobody waits."""
    before = multiprocessing.active_children()
    try:
        yield
    except BaseException:
        for process in multiprocessing.active_children():
            if process not in before:
                process.terminate()
        raise


@contextmanager
def progress(title: str, total: int | None, *behind: ProgressColumn) -> Iterator[_Advance]:
    """A bar on a terminal; gives what moves it on by so many of ``total``, if that is known.

    Args:
        title: stands before the bar.
        total: images.
        behind: what stands behind the bar; how many of all, and the time left, if nothing else.
    """
    console = Console(stderr=True)
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        *(behind or (MofNCompleteColumn(), TimeRemainingColumn())),
        console=console,
        transient=True,
        disable=not console.is_terminal,
        # Lines go above the bar; those that a file or a pipe is to have must not go with them.
        redirect_stdout=sys.stdout.isatty(),
    ) as bar:
        task = bar.add_task(title, total=total)
        yield lambda images: bar.advance(task, images)
