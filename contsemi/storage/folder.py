"""The output folder of a run: one run a folder, one process at a time, nothing lost."""

import errno
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

from contsemi.errors import InputError, StorageFailed
from contsemi.storage.atomic import make_folder, storage, sweep
from contsemi.storage.differences import differences
from contsemi.storage.lock import FolderLock, InUse
from contsemi.storage.readonce import parse_json, read_once

_LOCK = "run.lock"
_OWN_FOLDERS = ("checkpoints", "answers")
_FACTS = {"versions", "config", "label_digest", "dataset_digests"}  # that every manifest has
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
            else, or cannot be a folder. A folder is ours if its lock or its manifest says so.
        StorageFailed: on entering: the disk is full or broken.
    """

    def __init__(
        self,
        path: Path,
        config: Mapping[str, Any],
        patience: float = 0,
        bound: Callable[[Mapping[str, Any]], Mapping[str, Any]] = dict,
    ) -> None:
        self.path, self.config, self.bound = path, config, bound
        self._lock = FolderLock(path / _LOCK, patience)
        self._made: list[Path] = []
        self._saved: dict[str, Any] | None = None

    def __enter__(self) -> Self:
        try:
            self._refuse_foreign()
            self._made = make_folder(self.path)
            self._lock.acquire()
            if self.config["resume"] == "auto":
                self._refuse_other_run()
            for folder in (self.path, *(self.path / name for name in _OWN_FOLDERS)):
                sweep(folder)
        except InUse as error:
            fix = "wait for it or give another output="
            raise self._error(f"in use by another run ({error})", fix) from error
        except (FileExistsError, NotADirectoryError) as error:
            self._lock.release(self._made)
            raise self._error("is not a folder") from error
        except OSError as error:
            self._lock.release(self._made)
            if error.errno in _DISK:
                with storage(self.path):
                    raise
            raise self._error(f"cannot be written ({error.strerror})") from error
        except BaseException:
            self._lock.release(self._made)
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._lock.release(self._made)

    @property
    def finished(self) -> bool:
        """Whether the run in this folder is over."""
        return self._saved is not None and (self.path / "results.json").exists()

    def made_with(self, *keys: str) -> list[str]:
        """Those of some keys that had another value when the run in this folder was begun."""
        saved = self._saved["config"] if self._saved is not None else self.config
        return [f"{k}={saved.get(k)}" for k in keys if saved.get(k) != self.config.get(k)]

    def refuse_other_images(self, manifest: Mapping[str, Any]) -> None:
        """Raises where the run to go on with began with other images, lists or labels.

        Raises:
            InputError: it did.
        """
        for key in ("dataset_digests", "label_digest"):
            if self._saved is not None and self._saved.get(key) != manifest[key]:
                raise InputError(
                    "data.root",
                    f"the run in {self.path} began with other images, lists or labels",
                    "give those, another output=, or start anew with resume=never",
                )

    def _refuse_foreign(self) -> None:
        """A folder with files of others is not touched, whatever their names are."""
        names = {each.name for each in self.path.iterdir()} if self.path.exists() else set()
        if names and not self._is_ours(names):
            raise self._error(f"holds files of something else ({min(names)!r}, ...)")
        for name in names & {*_OWN_FOLDERS}:
            if (self.path / name).is_symlink():
                raise self._error(f"its {name} is a link to somewhere else")

    def _is_ours(self, names: set[str]) -> bool:
        """Whether the lock names a run that has had it, or else the manifest is one of a run.

        A run has said its name in the lock before it writes anything else.
        """
        if self._lock.owned(new=names == {_LOCK}):
            return True
        try:
            found = parse_json(read_once(self.path / "manifest.json", _MANIFEST_BYTES))
            return found.keys() >= _FACTS and "contsemi" in found["versions"]
        except (OSError, ValueError, AttributeError, TypeError):
            return False

    def refuse_if_gone(self) -> None:
        """Raises where the folder was removed or renamed while the run went on.

        Raises:
            StorageFailed: it was; nothing is made anew in its place.
        """
        if self._lock.gone:
            raise StorageFailed(
                f"output={self.path}: was removed or renamed while the run went on, or taken by "
                "another; put it back, and the same command goes on from the last saved state"
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
            saved = parse_json(read_once(manifest, _MANIFEST_BYTES))
            differing = differences(self.bound(saved["config"]), self.bound(self.config))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise self._error("its manifest.json cannot be read", anew) from error
        self._saved = saved
        if differing:
            first = sorted(differing, key=lambda each: (each.partition(" ")[0].count("."), each))
            changed = ", ".join(first[:3])
            raise self._error(f"holds a run with another {changed}", anew)

    def _error(self, problem: str, fix: str = "give another output=") -> InputError:
        return InputError(f"output={self.path}", problem, fix)
