"""The user's own images: class folders, with any mixture of formats in them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from contsemi.config import Data
from contsemi.data.imageset import ImageSet, Named
from contsemi.data.names import OFFICIAL
from contsemi.data.sources.cache import Cached, decoded, key
from contsemi.data.sources.decode import brought_to
from contsemi.data.sources.decoding import Failure
from contsemi.data.sources.listing import Files, listed, pool_files, relative, shown
from contsemi.data.sources.listing import Folder as Listed
from contsemi.data.sources.source import Check, Source, refuse_digits, root_of
from contsemi.data.twins import Rows, twins
from contsemi.errors import InputError, first_of

NAMED_PROBLEMS = 20


@dataclass(kw_only=True, eq=False)
class Folder(Source):
    """One folder a class."""

    def load(self, data: Data, dataset: str, check: Check) -> tuple[ImageSet, ImageSet]:
        """See :func:`load`."""
        refuse_digits(data, dataset)
        root = root_of(data, dataset)
        train, test = load(
            root,
            size=data.size,
            cache=data.cache,
            workers=data.workers,
            test_share=data.test_share,
            check=check,
        )
        _refuse_other_classes(train, dataset, root)
        return train, test


def _refuse_other_classes(train: ImageSet, dataset: str, root: Path) -> None:
    """Refuses a folder of another number of classes than the dataset's."""
    expected = len(OFFICIAL.get(dataset, train.classes))
    if len(train.classes) != expected:
        problem = f"holds {len(train.classes)} classes, {dataset} has {expected}"
        raise InputError(f"data.root={shown(root)}", problem, f"give {dataset}'s folder")


def load(
    root: Path,
    *,
    size: int | None,
    cache: str | None,
    workers: int,
    test_share: float = 0.2,
    check: Check | None = None,
    least: int = 2,
) -> tuple[ImageSet, ImageSet]:
    """Training and test images; decoded once, then opened from the cache.

    Classes are the folders of ``train/`` in alphabetical order; see
    :func:`~contsemi.data.sources.listing.listed` for the other layouts. Hidden files, those that
    systems leave behind (``Thumbs.db``, ``__MACOSX``) and those that are no images are passed
    over, which the remarks of the training images say, as they say of images that are there twice.

    Args:
        root: the folder.
        size: side in pixels; required.
        cache: folder of the cache; ``None`` for the user's.
        workers: decoding processes, 0 for one per core.
        test_share: of each class's images where there is no folder of test images.
        check: is told the classes and labels before an image is decoded; may raise.
        least: classes that the folder has to have.

    Raises:
        InputError: one report of everything that is wrong: empty classes, classes that only the
            test folder has, links out of the folder, files that are no images.
        StorageFailed: the cache cannot be written.
    """
    where = f"data.root={shown(root)}"
    if size is None:
        raise InputError("data.size", "is required for a folder of images", "give data.size=32")
    folder = listed(root, test_share=test_share, least=least)
    classes = tuple(map(shown, folder.classes))
    splits = {"train": folder.train, "test": folder.test}
    problems = [problem for files in splits.values() for problem in files.problems]
    twice = sorted({name for name in classes if classes.count(name) > 1})
    problems += [f"two classes would be called {name}" for name in twice]
    if check is not None and not problems:
        check(*(_named(root, files, classes) for files in splits.values()))
    opened, failed = _decoded(root, splits, size=size, cache=cache, workers=workers)
    _report(where, problems + failed)
    remarks = tuple(f"{where}: {each}" for each in _remarks(root, folder, opened, size) if each)
    train, test = (
        ImageSet.of(
            opened[name].images,
            np.asarray(files.targets, np.int64),
            classes=classes,
            name=shown(root.resolve().name),
            digest=opened[name].digest,
            remarks=remarks if name == "train" else (),
            files=tuple(relative(root, path) for path in files.paths),
            arrives=np.asarray(files.arrives, np.int64) if -1 in files.targets else None,
            place=folder.test_root if name == "test" else root,
        )
        for name, files in splits.items()
    )
    return train, test


def _decoded(
    root: Path, splits: Mapping[str, Files], *, size: int, cache: str | None, workers: int
) -> tuple[dict[str, Cached], list[str]]:
    """The splits that could be read, and what is wrong with the others."""
    opened, problems = {}, []
    for name, files in splits.items():
        result = _decode(root, files, size=size, cache=cache, workers=workers, title=name)
        if isinstance(result, Cached):
            opened[name] = result
        else:
            problems += [f"{relative(root, files.paths[n])}: {why}" for n, why in result]
    return opened, problems


def _remarks(root: Path, folder: Listed, opened: dict[str, Cached], size: int) -> list[str]:
    said = [*folder.remarks, brought_to(folder.train.paths[0], size)]
    said += [remark for each in opened.values() for remark in each.remarks]
    sides = {"train": folder.train, "test": folder.test}
    said += twins(*(_rows(root, files, opened[name]) for name, files in sides.items()))
    return said + _over(folder.train.passed_over + folder.test.passed_over)


def _rows(root: Path, files: Files, opened: Cached) -> Rows:
    names = [relative(root, path) for path in files.paths]
    return Rows(opened.rows, np.asarray(files.targets, np.int64), names)


def _named(root: Path, files: Files, classes: tuple[str, ...]) -> Named:
    names = tuple(relative(root, path) for path in files.paths)
    return Named(np.asarray(files.targets, np.int64), classes, names)


def _over(passed_over: list[str]) -> list[str]:
    if not passed_over:
        return []
    more = ", ..." if len(passed_over) > 5 else ""
    count = f"{len(passed_over)} file{'s' if len(passed_over) > 1 else ''} or folders"
    return [f"{count} passed over that are no images: {', '.join(passed_over[:5])}{more}"]


def load_pool(
    root: Path,
    *,
    size: int,
    cache: str | None,
    workers: int,
    key: str = "scenario.unlabelled_root=",
) -> NDArray[np.uint8]:
    """Images without labels: every image in ``root`` and below it, sorted by path.

    Args:
        root: the folder.
        size: side in pixels.
        cache: folder of the cache; ``None`` for the user's.
        workers: decoding processes, 0 for one per core.
        key: by which the folder was given, with its equals sign.

    Returns:
        uint8 [M, 3, S, S], memory-mapped.

    Raises:
        InputError: no such folder, no image in it, links out of it, or files that are no images.
        StorageFailed: the cache cannot be written.
    """
    where = f"{key}{shown(root)}"
    if not root.is_dir():
        raise InputError(where, "is no folder", "give a folder of images")
    files = pool_files(root)
    if not files.paths:
        _report(where, files.problems)
        raise InputError(where, "holds no images", "give a folder of images")
    result = _decode(root, files, size=size, cache=cache, workers=workers, title="unlabelled")
    if not isinstance(result, Cached):
        files.problems += [f"{relative(root, files.paths[n])}: {why}" for n, why in result]
    _report(where, files.problems)
    assert isinstance(result, Cached)
    return result.images


def _decode(
    root: Path, files: Files, *, size: int, cache: str | None, workers: int, title: str
) -> Cached | list[Failure]:
    if not files.paths:
        return Cached(np.zeros((0, 3, size, size), np.uint8), np.zeros(0, np.uint64), key("none"))
    names = [path.relative_to(root).as_posix() for path in files.paths]
    states = list(zip(names, files.states, strict=True))

    return decoded(
        cache,
        key("folder", str(root.resolve()), size, states),
        np.asarray(files.targets, np.int64),
        files.paths,
        size=size,
        num_bytes=files.num_bytes,
        workers=workers,
        title=f"decoding {title}",
    )


def _report(where: str, problems: list[str]) -> None:
    if not problems:
        return
    count = f"{len(problems)} problem{'s' if len(problems) > 1 else ''}: "
    raise InputError(where, count + first_of(problems, NAMED_PROBLEMS), "repair or remove them")
