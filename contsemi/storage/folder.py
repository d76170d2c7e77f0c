"""The output folder of a run: one run a folder, one process at a time, nothing lost."""

import errno
import fcntl
import os
import socket
import stat
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from contsemi.errors import InputError, StorageFailed
from contsemi.storage.atomic import make_folder, storage, sweep
from contsemi.storage.readonce import parse_json, read_once

__all__ = ["OutputFolder"]

_LOCK = "run.lock"
_LOOKS = 4  # for the name of its owner
_MANIFEST_BYTES = 1 << 28  # it lists the labelled images
# Not the user's choice of a folder is at fault, but the disk.
_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EIO)


class OutputFolder:
    """A locked output folder; use as a context manager.

    A folder in which nothing was written is removed again at the end.

    Args:
        path: the folder.
        config: the run's configuration, as plain values.
        patience: seconds to wait for a lock that another process holds.
        bound: from a configuration to those of its keys that a run is bound to.

    Raises:
        InputError: on entering: the folder is in use, holds another run or files of something
            else, or cannot be a folder.
        StorageFailed: on entering: the disk is full or broken.
    """

    def __init__(
        self,
        path: Path,
        config: Mapping[str, Any],
        patience: float = 0,
        *,
        bound: Callable[[Mapping[str, Any]], Mapping[str, Any]] = dict,
    ) -> None:
        self.path, self.config, self.patience, self.bound = path, config, patience, bound
        self._lock: int | None = None
        self._made: list[Path] = []
        self._saved: dict[str, Any] | None = None

    def __enter__(self) -> Self:
        try:
            self._refuse_foreign()
            self._made = make_folder(self.path)
            self._lock = self._locked()
            if self.config["resume"] == "auto":
                self._refuse_other_run()
            for folder in (self.path, self.path / "checkpoints", self.path / "answers"):
                sweep(folder)
        except (FileExistsError, NotADirectoryError) as error:
            self._release()
            raise self._error("is not a folder") from error
        except OSError as error:
            self._release()
            if error.errno in _DISK:
                with storage(self.path):
                    raise
            raise self._error(f"cannot be written ({error.strerror})") from error
        except BaseException:
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

    def _locked(self) -> int:
        """The lock; the system takes it back when its owner ends, however it ends."""
        path = self.path / _LOCK
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        deadline = time.monotonic() + self.patience
        while True:
            lock = os.open(path, flags, 0o666)
            try:
                if not stat.S_ISREG(os.fstat(lock).st_mode):
                    raise self._error(f"its {_LOCK} is not a regular file")
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                # Its owner may have removed it just now: then the next one is taken.
                with suppress(FileNotFoundError):
                    if os.path.samestat(os.fstat(lock), path.stat()):
                        os.ftruncate(lock, 0)
                        os.write(lock, _owner().encode())
                        return lock
            except BlockingIOError as error:
                owner = _said_owner(lock)
                os.close(lock)
                if time.monotonic() < deadline:
                    continue
                fix = "wait for it or give another output="
                raise self._error(f"in use by another run ({owner})", fix) from error
            except BaseException:
                os.close(lock)
                raise
            os.close(lock)

    def refuse_if_gone(self) -> None:
        """Raises where the folder was removed or renamed while the run went on.

        Raises:
            StorageFailed: it was; nothing is made anew in its place.
        """
        with suppress(OSError):
            if self._lock is None or os.path.samestat(
                os.fstat(self._lock), (self.path / _LOCK).stat()
            ):
                return
        raise StorageFailed(
            f"output={self.path}: was removed or renamed while the run went on; "
            "put it back, and the same command goes on from the last saved state"
        )

    def _refuse_other_run(self) -> None:
        """Another configuration's run is not gone on with."""
        anew = "give another output=, or start anew with resume=never"
        manifest = self.path / "manifest.json"
        if not manifest.exists():
            if (self.path / "results.json").exists() or (self.path / "checkpoints").exists():
                raise self._error("its manifest.json is missing", anew)
            return
        try:
            self._saved = parse_json(read_once(manifest, _MANIFEST_BYTES))
            differing = _differences(self.bound(self._saved["config"]), self.bound(self.config))
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
        with suppress(OSError):
            if [each.name for each in self.path.iterdir()] == [_LOCK]:
                (self.path / _LOCK).unlink()
                for folder in self._made:
                    folder.rmdir()
        os.close(lock)

    def _error(self, problem: str, fix: str = "give another output=") -> InputError:
        return InputError(f"output={self.path}", problem, fix)


def _owner() -> str:
    """Who holds the lock, for whoever finds it held."""
    began = time.strftime("%Y-%m-%d %H:%M:%S")
    return f"process {os.getpid()} on {socket.gethostname()} since {began}"


def _said_owner(lock: int) -> str:
    """Who holds the lock; one that took it just now may not have said its name yet.

    Until then the name of the one before stands there, whose process is gone.
    """
    owner = ""
    for _ in range(_LOOKS):
        time.sleep(0.2)
        owner = os.pread(lock, 200, 0).decode(errors="replace").strip()
        match owner.split():
            case ["process", number, "on", host, *_] if number.isdigit():
                if host != socket.gethostname() or _alive(int(number)):
                    break
    return owner


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        pass
    return True


def _differences(old: Any, new: Any, path: str = "") -> list[str]:
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        return [
            each
            for key in old.keys() | new.keys()
            for each in _differences(old.get(key), new.get(key), f"{path}.{key}".lstrip("."))
        ]
    return [] if old == new else [f"{path} ({_cut(old, new)} -> {_cut(new, old)})"]


def _cut(value: Any, other: Any) -> str:
    """A value in short, from a little before where it differs from the other one."""
    text, beside = str(value), str(other)
    if len(text) <= 40:
        return text
    same = len(os.path.commonprefix([text, beside]))
    start = max(0, min(same - 10, len(text) - 40))
    return f"{'...' * (start > 0)}{text[start : start + 40]}{'...' * (start + 40 < len(text))}"
