"""The output folder of a run: one run a folder, one process at a time, nothing lost."""

import fcntl
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from contsemi.errors import InputError

__all__ = ["OutputFolder"]

# Keys that may differ between the start of a run and its continuation: they do not change what
# is computed. Of the data it is the images that count, not the folder they lie in.
_FREE = ("output", "resume", "display", "checkpoint", "data")

_LOCK = "run.lock"


class OutputFolder:
    """A locked output folder; use as a context manager.

    A folder in which nothing was written is removed again at the end.

    Args:
        path: the folder.
        config: the run's configuration, as plain values.

    Raises:
        InputError: on entering: the folder is in use, holds another run or files of something
            else, or cannot be a folder.
    """

    def __init__(self, path: Path, config: Mapping[str, Any]) -> None:
        self.path, self.config = path, config
        self._lock: IO[str] | None = None
        self._made: list[Path] = []
        self._saved: dict[str, Any] | None = None

    def __enter__(self) -> Self:
        try:
            self._refuse_foreign()
            self._made = [each for each in (self.path, *self.path.parents) if not each.exists()]
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock = self._locked()
            if self.config["resume"] == "auto":
                self._refuse_other_run()
        except (FileExistsError, NotADirectoryError) as error:
            raise self._error("is not a folder") from error
        except OSError as error:
            raise self._error(f"cannot be written ({error.strerror})") from error
        except InputError:
            self._release()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._release()

    @property
    def finished(self) -> bool:
        """Whether the run in this folder is over."""
        return self._saved is not None and (self.path / "results.json").exists()

    def refuse_other_images(self, manifest: Mapping[str, Any]) -> None:
        """Raises where the run to go on with began with other images or labels.

        Raises:
            InputError: it did.
        """
        for key in ("dataset_digests", "label_digest"):
            if self._saved is not None and self._saved.get(key) != manifest[key]:
                raise InputError(
                    "data.root",
                    f"the run in {self.path} began with other images or labels",
                    "give those, another output=, or start anew with resume=never",
                )

    def _refuse_foreign(self) -> None:
        """A folder with files of others is not touched; a run leaves a lock from the beginning."""
        names = {each.name for each in self.path.iterdir()} if self.path.exists() else set()
        if names and not names & {_LOCK, "manifest.json"}:
            raise self._error(f"holds files of something else ({min(names)!r}, ...)")

    def _locked(self) -> IO[str]:
        path = self.path / _LOCK
        while True:
            lock = path.open("a+")
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                with lock:
                    lock.seek(0)
                    owner = lock.read().strip()
                fix = "wait for it or give another output="
                raise self._error(f"in use by another run ({owner})", fix) from error
            with suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(lock.fileno()), path.stat()):
                    break
            lock.close()  # its owner has just removed it: take the next one
        lock.truncate(0)
        lock.write(f"process {os.getpid()}")
        lock.flush()
        return lock

    def _refuse_other_run(self) -> None:
        """Another configuration's run is not gone on with."""
        anew = "give another output=, or start anew with resume=never"
        manifest = self.path / "manifest.json"
        if not manifest.exists():
            if (self.path / "results.json").exists() or (self.path / "checkpoints").exists():
                raise self._error("its manifest.json is missing", anew)
            return
        try:
            self._saved = json.loads(manifest.read_bytes())
            differing = _differences(_bound(self._saved["config"]), _bound(self.config))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise self._error("its manifest.json cannot be read", anew) from error
        if differing:
            changed = ", ".join(sorted(differing)[:3])
            raise self._error(f"holds a run with another {changed}", anew)

    def _release(self) -> None:
        """Gives the lock back, and the folder where nothing was written."""
        lock, self._lock = self._lock, None
        if lock is None:
            return
        with lock, suppress(OSError):
            if [each.name for each in self.path.iterdir()] == [_LOCK]:
                (self.path / _LOCK).unlink()
                for folder in self._made:
                    folder.rmdir()

    def _error(self, problem: str, fix: str = "give another output=") -> InputError:
        return InputError(f"output={self.path}", problem, fix)


def _bound(config: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in config.items() if key not in _FREE}


def _differences(old: Any, new: Any, path: str = "") -> list[str]:
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        return [
            each
            for key in old.keys() | new.keys()
            for each in _differences(old.get(key), new.get(key), f"{path}.{key}".lstrip("."))
        ]
    return [] if old == new else [f"{path} ({str(old)[:40]} -> {str(new)[:40]})"]
