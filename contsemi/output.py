"""The output folder of a run: one run a folder, one process at a time, nothing lost."""

import fcntl
import hashlib
import json
import os
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from contsemi.errors import InputError, StorageFailed

__all__ = ["OutputFolder"]

# Keys that may differ between the start of a run and its continuation: they do not change what
# is computed.
_FREE = ("output", "resume", "display", "checkpoint", "data")


class OutputFolder:
    """A locked output folder; use as a context manager.

    Args:
        path: the folder.
        config: the run's configuration, as plain values.

    Raises:
        InputError: the folder is in use, holds another run, or cannot be a folder.
    """

    def __init__(self, path: Path, config: dict[str, Any]) -> None:
        self.path = path
        self.config = config
        self._lock: IO[str] | None = None

    def __enter__(self) -> Self:
        fresh = not self.path.exists()
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock = (self.path / "run.lock").open("a+")
        except (FileExistsError, NotADirectoryError) as error:
            raise InputError(
                f"output={self.path}", "is not a folder", "give another output="
            ) from error
        except OSError as error:
            raise InputError(
                f"output={self.path}",
                f"cannot be written ({error.strerror})",
                "give another output=",
            ) from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._lock.seek(0)
            owner = self._lock.read().strip()
            raise InputError(
                f"output={self.path}",
                f"in use by another run ({owner})",
                "wait for it or give another output=",
            ) from error
        if not fresh:
            self._refuse_foreign()
        self._lock.truncate(0)
        self._lock.write(f"process {os.getpid()}")
        self._lock.flush()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._lock is not None:
            self._lock.close()

    def _refuse_foreign(self) -> None:
        """A folder with files of others, or with another configuration's run, is not touched."""
        names = {each.name for each in self.path.iterdir()} - {"run.lock"}
        if not names or self.config["resume"] == "never":
            return
        if not (self.path / "manifest.json").exists():
            raise InputError(
                f"output={self.path}",
                f"holds files of something else ({min(names)!r}, ...)",
                "give another output=",
            )
        try:
            saved = json.loads((self.path / "manifest.json").read_bytes())["config"]
        except (OSError, ValueError, KeyError) as error:
            raise InputError(
                f"output={self.path}",
                "its manifest.json cannot be read",
                "give another output=, or start anew with resume=never",
            ) from error
        changed = sorted(_differences(_bound(saved), _bound(self.config)))
        if changed:
            raise InputError(
                f"output={self.path}",
                f"holds a run with another {', '.join(changed[:3])}",
                "give another output=, or start anew with resume=never",
            )

    @property
    def finished(self) -> bool:
        """Whether the run in this folder is over."""
        return self.config["resume"] == "auto" and (self.path / "results.json").exists()


def _bound(config: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in config.items() if key not in _FREE}


def _differences(old: Any, new: Any, path: str = "") -> list[str]:
    if isinstance(old, dict) and isinstance(new, dict):
        return [
            each
            for key in old.keys() | new.keys()
            for each in _differences(old.get(key), new.get(key), f"{path}.{key}".lstrip("."))
        ]
    return [] if old == new else [f"{path} ({str(old)[:40]} -> {str(new)[:40]})"]


def fingerprint(config: dict[str, Any]) -> str:
    """SHA-256 of everything that decides what a run computes."""
    text = json.dumps(_bound(config), sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def available_bytes(path: Path) -> int:
    """Free bytes where the folder lies.

    Raises:
        StorageFailed: the file system does not answer.
    """
    try:
        status = os.statvfs(path)
    except OSError as error:
        raise StorageFailed(f"{path}: {error.strerror}") from error
    return status.f_bavail * status.f_frsize
