"""One process at a time on a model."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from contsemi.data.sources.listing import shown
from contsemi.errors import InputError
from contsemi.storage.atomic import make_folder, storage, sweep
from contsemi.storage.lock import FolderLock, InUse

_LOCK = "model.lock"


def _is_ours(lock: FolderLock, folder: Path, names: set[str]) -> bool:
    """Whether the lock, by what is in it, is that of a model; one just made has nothing in it.

    A copy of a model may lack it.
    """
    manifest = folder / "generations" / "MANIFEST.json"
    if _LOCK not in names and manifest.is_file():
        return True
    return lock.owned(new=names == {_LOCK} or manifest.is_file())


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Holds a model's folder, which is made if it is not there.

    The system takes the lock back when its owner ends, however it ends. A folder in which nothing
    was written is removed again.

    Raises:
        InputError: another process holds it, or the folder holds something else than a model.
        StorageFailed: the disk is full, or the folder cannot be written.
    """
    where = shown(folder)
    if folder.exists() and not folder.is_dir():
        raise InputError(where, "is not a folder", "name another")
    names = {each.name for each in folder.iterdir()} if folder.is_dir() else set()
    lock = FolderLock(folder / _LOCK)
    if names and not _is_ours(lock, folder, names):
        if {"manifest.json", "config.yaml"} <= names:
            problem = "holds a run, and lessons are for models of their own"
            raise InputError(where, problem, "name a folder of its own")
        problem = f"holds files of something else ({shown(min(names))}, ...)"
        raise InputError(where, problem, "name a folder of its own")
    with storage(folder):
        made = make_folder(folder)
        try:
            lock.acquire()
        except InUse as error:
            problem = f"another process is teaching it ({error})"
            raise InputError(where, problem, "wait until that is over") from None
    try:
        for each in (folder, folder / "generations"):
            sweep(each)
        yield
    finally:
        lock.release(made)
