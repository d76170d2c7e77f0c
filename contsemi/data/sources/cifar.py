"""CIFAR-10 and CIFAR-100 in the layout that torchvision uses, unpacked or as the archive.

Every file is read once, its official MD5 is checked, and the very bytes that were checked are
parsed; the archive is never unpacked to disk. The pickles in them pass an unpickler that knows
nothing but NumPy arrays.
"""

import hashlib
import io
import pickle
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from contsemi.data.imageset import ImageSet, Named
from contsemi.data.sources.decode import resize
from contsemi.data.sources.download import download
from contsemi.data.sources.source import Check
from contsemi.errors import InputError

LARGEST_FILE = 2**29  # bytes


@dataclass(frozen=True, slots=True)
class Layout:
    """Names and MD5 sums of one dataset's files."""

    title: str
    folder: str
    archive: str
    archive_md5: str
    train: dict[str, str]
    test: dict[str, str]
    meta: dict[str, str]
    labels: str
    names: str
    coarse: str | None = None
    coarse_names: str | None = None
    others: tuple[str, ...] = ()  # folders and archives of versions that are not read

    @property
    def url(self) -> str:
        """Where the archive comes from."""
        return f"https://www.cs.toronto.edu/~kriz/{self.archive}"

    @property
    def remedy(self) -> str:
        """How to get the data by hand."""
        return f"{self.archive} (MD5 {self.archive_md5}) from {self.url}"


LAYOUTS = {
    "cifar10": Layout(
        title="CIFAR-10",
        folder="cifar-10-batches-py",
        archive="cifar-10-python.tar.gz",
        archive_md5="c58f30108f718f92721af3b95e74349a",
        train={
            "data_batch_1": "c99cafc152244af753f735de768cd75f",
            "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
            "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
            "data_batch_4": "634d18415352ddfa80567beed471001a",
            "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
        },
        test={"test_batch": "40351d587109b95175f43aff81a1287e"},
        meta={"batches.meta": "5ff9c542aee3614f3951f8cda6e48888"},
        labels="labels",
        names="label_names",
        others=(
            "cifar-10-batches-bin",
            "cifar-10-binary.tar.gz",
            "cifar-10-batches-mat",
            "cifar-10-matlab.tar.gz",
        ),
    ),
    "cifar100": Layout(
        title="CIFAR-100",
        folder="cifar-100-python",
        archive="cifar-100-python.tar.gz",
        archive_md5="eb9058c3a382ffc7106e4002c42a8d85",
        train={"train": "16019d7e3df5f24257cddd939b257f8d"},
        test={"test": "f0ef6b0ae62326f3e7ffdfab6717acfc"},
        meta={"meta": "7973b15100ade9c7d40fb424638fde48"},
        labels="fine_labels",
        names="fine_label_names",
        coarse="coarse_labels",
        coarse_names="coarse_label_names",
        others=(
            "cifar-100-binary",
            "cifar-100-binary.tar.gz",
            "cifar-100-matlab",
            "cifar-100-matlab.tar.gz",
        ),
    ),
}


def find(root: Path, layout: Layout) -> Path | None:
    """The unpacked folder or the archive of ``layout`` in ``root``, which may be that folder."""
    for candidate in (root / layout.folder, root):
        if candidate.name == layout.folder and candidate.is_dir():
            return candidate
    archive = root / layout.archive
    return archive if archive.is_file() else None


def load(
    root: Path, dataset: str, *, size: int | None, may_download: bool, check: Check | None = None
) -> tuple[ImageSet, ImageSet]:
    """Training and test images.

    Args:
        root: the folder that holds the unpacked folder or the archive.
        dataset: ``cifar10`` or ``cifar100``.
        size: side in pixels; ``None`` keeps 32.
        may_download: whether to fetch the archive if neither is there.
        check: is told the classes and labels before an image is resized; may raise.

    Raises:
        InputError: files are missing, differ from the official ones, or cannot be fetched.
    """
    layout = LAYOUTS[dataset]
    place = find(root, layout)
    if place is None:
        refuse_other_versions(root, dataset)
        if not may_download:
            fix = f"put {layout.remedy} there, or set data.download=true"
            raise InputError(f"data.root={root}", f"holds no {layout.title}", fix)
        place = download(layout.url, root, md5=layout.archive_md5, title=layout.title)
    files = _read(place, layout)
    classes = _names(files, layout, layout.names)
    coarse_classes = _names(files, layout, layout.coarse_names) if layout.coarse_names else None
    train, test = (
        _split(files, tuple(names), layout, len(classes)) for names in (layout.train, layout.test)
    )
    if check is not None:
        check(*(Named(targets, classes) for _, targets, _ in (train, test)))
    first, second = (
        ImageSet.of(
            resize(images, size),
            targets,
            classes=classes,
            name=dataset,
            coarse=coarse,
            coarse_classes=coarse_classes,
        )
        for images, targets, coarse in (train, test)
    )
    return first, second


def refuse_other_versions(root: Path, dataset: str) -> None:
    """Raises if ``root`` holds the other CIFAR, or the binary or MATLAB version of this one."""
    layout = LAYOUTS[dataset]
    for name, other in LAYOUTS.items():
        if other is not layout and find(root, other):
            problem = f"holds {other.title}, the scenario needs {layout.title}"
            fix = f"give a scenario of {name}, or put {layout.remedy} there"
            raise InputError(f"data.root={root}", problem, fix)
    for name in layout.others:
        if (root / name).exists() or root.name == name:
            problem = f"{name} is not the python version of {layout.title}"
            raise InputError(f"data.root={root}", problem, f"put {layout.remedy} there")


def _read(place: Path, layout: Layout) -> dict[str, bytes]:
    """The bytes of every file of the dataset, checked."""
    sums = {**layout.train, **layout.test, **layout.meta}
    if place.is_dir():
        files = {name: _bytes(place / name, layout) for name in sums}
    else:
        packed = _bytes(place, layout)
        _check(place, packed, layout.archive_md5, layout)
        files = {}
        try:
            with tarfile.open(fileobj=io.BytesIO(packed), mode="r:gz") as archive:
                for name in sums:
                    member = archive.extractfile(f"{layout.folder}/{name}")
                    files[name] = member.read(LARGEST_FILE) if member else b""
        except Exception as error:  # damaged archives raise anything, too
            problem = f"is no archive of {layout.title}"
            raise InputError(str(place), problem, f"get {layout.remedy}") from error
    for name, md5 in sums.items():
        _check(place / name, files[name], md5, layout)
    return files


def _bytes(file: Path, layout: Layout) -> bytes:
    try:
        if not file.is_file():
            raise FileNotFoundError(2, "no such file")
        with file.open("rb") as stream:
            return stream.read(LARGEST_FILE)
    except OSError as error:
        problem = f"cannot be read ({error.strerror})"
        raise InputError(str(file), problem, f"get {layout.remedy}") from error


def _check(file: Path, content: bytes, md5: str, layout: Layout) -> None:
    found = hashlib.md5(content, usedforsecurity=False).hexdigest()
    if found != md5:
        problem = f"is not the file of {layout.title}: MD5 {found}, expected {md5}"
        raise InputError(str(file), problem, f"get {layout.remedy}")


class _ArraysOnly(pickle.Unpickler):
    """Builds NumPy arrays and Python's plain containers, nothing else."""

    _allowed: ClassVar[dict[tuple[str, str], Any]] = {
        ("numpy", "ndarray"): np.ndarray,
        ("numpy", "dtype"): np.dtype,
    }

    def find_class(self, module: str, name: str) -> Any:
        if name == "_reconstruct" and module in (
            "numpy.core.multiarray",
            "numpy._core.multiarray",
        ):
            return np.zeros(0).__reduce__()[0]
        try:
            return self._allowed[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"{module}.{name} is not allowed") from None


def unpickle(content: bytes) -> object:
    """Parses a batch file; no code but NumPy's array constructor can run.

    Raises:
        pickle.UnpicklingError: it names anything else.
    """
    return _ArraysOnly(io.BytesIO(content), encoding="latin1").load()


def _parse(files: dict[str, bytes], name: str) -> dict[str, Any]:
    try:
        content = unpickle(files[name])
        if not isinstance(content, dict):
            raise TypeError("not a dictionary")
        return content
    except Exception as error:  # damaged pickles raise anything
        problem = f"cannot be parsed ({' '.join(str(error).split())[:80]})"
        raise InputError(f"data.root: {name}", problem, "get the official file") from error


def _names(files: dict[str, bytes], layout: Layout, key: str) -> tuple[str, ...]:
    (name,) = layout.meta
    try:
        return tuple(map(str, _parse(files, name)[key]))
    except (KeyError, TypeError) as error:
        problem = f"holds no list of {key}"
        raise InputError(f"data.root: {name}", problem, f"get {layout.remedy}") from error


def _split(
    files: dict[str, bytes], names: tuple[str, ...], layout: Layout, classes: int
) -> tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.int64] | None]:
    """Images [N, 3, 32, 32], class ids, and coarse ones where there are such."""
    batches = [_parse(files, name) for name in names]
    try:
        pixels = np.concatenate([np.asarray(b["data"], np.uint8) for b in batches])
        images = pixels.reshape(-1, 3, 32, 32)
        targets = np.concatenate([np.asarray(b[layout.labels], np.int64) for b in batches])
        coarse = None
        if layout.coarse:
            coarse = np.concatenate([np.asarray(b[layout.coarse], np.int64) for b in batches])
        if len(images) != len(targets) or not 0 <= targets.min() <= targets.max() < classes:
            raise ValueError("images and labels do not fit")
    except (KeyError, ValueError, TypeError) as error:
        problem = f"is no batch of {layout.title} ({error})"
        raise InputError(f"data.root: {names[0]}", problem, f"get {layout.remedy}") from error
    return images, targets, coarse
