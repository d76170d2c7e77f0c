"""Fetching one file whose hash is known, by torchvision: all that the data room asks a network."""

import os
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, suppress
from http.client import HTTPException
from io import StringIO
from pathlib import Path

from contsemi.errors import InputError

TIMEOUT_SECONDS = 20


def download(url: str, folder: Path, *, md5: str, title: str) -> Path:
    """Fetches a file; it appears under its name only when it is whole and its MD5 is right.

    Args:
        url: an https address; its last part is the name of the file.
        folder: where to put it; made if it is missing.
        md5: the expected sum, hexadecimal.
        title: what is fetched, for errors.

    Raises:
        InputError: no network, no such file, another content, or the folder cannot be written.
    """
    from torchvision.datasets.utils import download_url  # heavy: only where something is fetched

    name = url.rsplit("/", 1)[-1]
    made = [each for each in (folder, *folder.parents) if not each.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".download-", dir=folder) as temporary:
            partial = Path(temporary) / name
            with _patient_and_quiet():
                download_url(url, temporary, name, md5)
            with partial.open("rb") as stream:
                os.fsync(stream.fileno())
            partial.replace(folder / name)
    # URLError, timeouts and HTTP errors are OSErrors; a wrong sum is a RuntimeError
    except (OSError, ValueError, RuntimeError, HTTPException) as error:
        with suppress(OSError):  # a folder that was made for nothing goes again
            for each in made:
                each.rmdir()
        reason = str(getattr(error, "reason", None) or error).rstrip(".")
        problem = f"holds no {title}, and the download failed ({reason})"
        fix = f"put {name} (MD5 {md5}) from {url} there, or give data.root=<folder that has it>"
        raise InputError(f"data.root={folder}", problem, fix) from error
    return folder / name


@contextmanager
def _patient_and_quiet() -> Iterator[None]:
    """An answer is waited for so long and no longer; the bar of progress is for terminals alone."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(TIMEOUT_SECONDS)
    try:
        with redirect_stderr(sys.stderr if sys.stderr.isatty() else StringIO()):
            yield
    finally:
        socket.setdefaulttimeout(before)
