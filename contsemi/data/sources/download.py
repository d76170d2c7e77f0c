"""Fetching one file whose hash is known. The only place of the data room that uses the network."""

import hashlib
import os
import tempfile
import urllib.request
from contextlib import suppress
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from contsemi.errors import InputError

__all__ = ["download"]

TIMEOUT_SECONDS = 20
BLOCK = 2**18  # bytes


def download(url: str, folder: Path, *, md5: str, title: str) -> Path:
    """Fetches a file; it appears under its name only when it is whole and its MD5 is right.

    Args:
        url: an https address; its last part is the name of the file.
        folder: where to put it; made if it is missing.
        md5: the expected sum, hexadecimal.
        title: what is fetched, for the progress bar and for errors.

    Raises:
        InputError: no network, no such file, another content, or the folder cannot be written.
    """
    name = url.rsplit("/", 1)[-1]
    made = [each for each in (folder, *folder.parents) if not each.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".download-", dir=folder) as temporary:
            partial = Path(temporary) / name
            found = _fetch(url, partial, title)
            if found != md5:
                raise OSError(f"the file that came has MD5 {found}")
            partial.replace(folder / name)
    except (OSError, ValueError) as error:  # URLError, timeouts and HTTP errors are OSErrors
        with suppress(OSError):  # a folder that was made for nothing goes again
            for each in made:
                each.rmdir()
        reason = getattr(error, "reason", None) or error
        problem = f"holds no {title}, and the download failed ({reason})"
        fix = f"put {name} (MD5 {md5}) from {url} there, or give data.root=<folder that has it>"
        raise InputError(f"data.root={folder}", problem, fix) from error
    return folder / name


def _fetch(url: str, file: Path, title: str) -> str:
    """Streams ``url`` into ``file``; returns the MD5 of what came."""
    digest = hashlib.md5(usedforsecurity=False)
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    request = urllib.request.Request(url, headers={"User-Agent": "contsemi"})
    with (
        urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as answer,
        file.open("wb") as stream,
        Progress(
            *columns,
            TransferSpeedColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        ) as progress,
    ):
        size = int(answer.headers.get("Content-Length") or 0) or None
        task = progress.add_task(f"downloading {title}", total=size)
        while block := answer.read(BLOCK):
            digest.update(block)
            stream.write(block)
            progress.advance(task, len(block))
        stream.flush()
        os.fsync(stream.fileno())
    return digest.hexdigest()
