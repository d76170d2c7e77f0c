"""Datasets in Hugging Face's parquet layout: a folder with ``train-*.parquet``, or a hub id."""

import importlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contsemi.config import Data
from contsemi.data.imageset import ImageSet, Named
from contsemi.data.names import OFFICIAL
from contsemi.data.sources.cache import Cached, decoded, file_state, key
from contsemi.data.sources.decode import EMPTY, Unreadable, brought_to, decode
from contsemi.data.sources.listing import named
from contsemi.data.sources.source import Check, Source, refuse_digits, root_of
from contsemi.data.twins import Rows, twins
from contsemi.errors import InputError, PackageMissing, first_of

PATTERNS = ("{0}.parquet", "{0}-*.parquet", "{0}/*.parquet", "*/{0}-*.parquet", "*/{0}/*.parquet")
SPLITS = {"train": ("train",), "test": ("test", "validation", "valid", "val")}
UNLABELLED = ("unlabelled", "unlabeled", "unsupervised")
_NUMBERS = re.compile(r"(dictionary<values=)?(u?int|(half_?)?float|double)")
IMAGES = ("img", "image")
LABELS = ("fine_label", "label", "labels")
FIX_BYTES = "write the encoded images into it: this project opens no path of a data file"
ROWS = 256  # rows that are read from a file at a time

_Labels = tuple[NDArray[np.int64], NDArray[np.int64] | None]


@dataclass(frozen=True, slots=True)
class _Columns:
    """Names of the columns of a file, and of its classes."""

    image: str
    label: str
    coarse: str | None
    classes: tuple[str, ...] | None
    coarse_classes: tuple[str, ...] | None


@dataclass(kw_only=True, eq=False)
class Parquet(Source):
    """A folder of parquet files, or the id of a dataset of the hub."""

    def load(self, data: Data, dataset: str, check: Check) -> tuple[ImageSet, ImageSet]:
        """See :func:`load`."""
        refuse_digits(data, dataset)
        root = root_of(data, dataset)
        if not root.is_dir():
            root = fetch(str(data.root), may_download=data.download)
        return load(
            root, dataset, size=data.size, cache=data.cache, workers=data.workers, check=check
        )


def find(root: Path, split: str) -> list[Path]:
    """The parquet files of ``train`` or ``test``, by name; empty if there are none."""
    return next((files for name in SPLITS[split] if (files := _files(root, name))), [])


def _files(root: Path, name: str) -> list[Path]:
    """The parquet files of a split of this name."""
    for pattern in PATTERNS:
        if files := sorted(p for p in root.glob(pattern.format(name)) if p.is_file()):
            if len({file.parent for file in files}) > 1:
                folders = ", ".join(sorted({file.parent.name for file in files}))
                problem = f"has {name} files in several folders ({folders})"
                raise InputError(f"data.root={root}", problem, "give one of them")
            return files
    return []


def load(
    root: Path,
    dataset: str,
    *,
    size: int | None,
    cache: str | None,
    workers: int,
    check: Check | None = None,
) -> tuple[ImageSet, ImageSet]:
    """Training and test images; decoded once, then opened from the cache.

    A training row whose label is missing or -1 is an image without a label, and so is every row of
    a split ``unlabelled``. A split whose labels are all withheld, or that has no such column, is
    not taken for the test images while another one has them.

    Args:
        root: the folder of the dataset.
        dataset: ``cifar10``, ``cifar100``, or ``folder`` for any other.
        size: side in pixels; ``None`` takes that of the first image for all.
        cache: folder of the cache; ``None`` for the user's.
        workers: decoding processes, 0 for one per core.
        check: is told the classes and labels before an image is decoded; may raise.

    Raises:
        InputError: pyarrow or files are missing, columns or labels are not as expected, another
            dataset, or images that cannot be read (one report).
        StorageFailed: the cache cannot be written.
    """
    where = f"data.root={root}"
    columns, files, labels, classes, said = _listed(root, dataset)
    if check is not None:
        check(*(Named(labels[split][0], classes) for split in files))
    first = next(_encoded(files["train"][:1], columns.image), b"")
    size = size or _own_size(files["train"][0], first)
    said += [remark for remark in (brought_to(first, size),) if remark]
    opened = {
        split: _decode(found, columns, labels[split][0], size, cache, workers)
        for split, found in files.items()
    }
    said += [remark for each in opened.values() for remark in each.remarks]
    sides = (Rows.numbered(split, opened[split].rows, labels[split][0]) for split in opened)
    said += twins(*sides)
    train, test = (
        ImageSet.of(
            opened[split].images,
            targets,
            classes=classes,
            name=dataset if dataset != "folder" else root.resolve().name,
            coarse=coarse,
            coarse_classes=columns.coarse_classes if coarse is not None else None,
            digest=opened[split].digest,
            remarks=tuple(f"{where}: {each}" for each in said) if split == "train" else (),
            place=root,
        )
        for split, (targets, coarse) in labels.items()
    )
    return train, test


def _listed(
    root: Path, dataset: str
) -> tuple[_Columns, dict[str, list[Path]], dict[str, _Labels], tuple[str, ...], list[str]]:
    """Columns, files, labels, class names, and what was passed over."""
    where = f"data.root={root}"
    train_files = find(root, "train")
    if not train_files:
        raise InputError(where, "has no train parquet files", "expected data/train-*.parquet in it")
    columns = _columns(train_files[0])
    files, labels = {"train": train_files}, {"train": _labels(train_files, columns)}
    files["test"], labels["test"], said = _test(root, columns, where)
    _refuse_odd(where, columns, labels)
    if beside := next((found for name in UNLABELLED if (found := _files(root, name))), []):
        files["train"] = train_files + beside
        labels["train"] = _with(labels["train"], _labels(beside, columns))
    classes = _classes(columns, labels["train"][0], dataset, where)
    _refuse_high(f"{where}: {columns.label}", labels, len(classes))
    return columns, files, labels, classes, said


def encoded_images(
    root: Path,
) -> tuple[tuple[str, ...], dict[str, tuple[list[Path], NDArray[np.int64], Iterator[bytes]]]]:
    """The images of a folder as they are: class names, and by split files, class ids and bytes.

    Raises:
        InputError: as :func:`load`; for the bytes, when they are taken.
    """
    columns, files, labels, classes, _ = _listed(root, "folder")
    splits = {
        split: (found, labels[split][0], _encoded(found, columns.image))
        for split, found in files.items()
    }
    return classes, splits


def _refuse_high(where: str, labels: dict[str, _Labels], classes: int) -> None:
    for split, (targets, _) in labels.items():
        if targets.max(initial=-1) >= classes:
            row = int(targets.argmax())
            problem = f"{split} row {row} has label {targets[row]} of {classes} classes"
            raise InputError(where, problem, "labels count from 0")


def _test(root: Path, columns: _Columns, where: str) -> tuple[list[Path], _Labels, list[str]]:
    """The first split for the test that has labels, its labels, and what was passed over."""
    withheld: list[str] = []
    for name in SPLITS["test"]:
        files = _files(root, name)
        if not files:
            continue
        labels = _labels(files, columns)
        if (labels[0] >= 0).any():
            said = [f"the labels of {each} are withheld: {name} is the test" for each in withheld]
            return files, labels, said
        withheld.append(name)
    if withheld:
        problem = f"the labels of {' and '.join(withheld)} are withheld (missing or -1)"
        raise InputError(where, problem, "a test split needs labels: add a validation split")
    raise InputError(where, "has no test parquet files", "expected data/test-*.parquet in it")


def _refuse_odd(where: str, columns: _Columns, labels: dict[str, _Labels]) -> None:
    """Raises for labels that no data set of so many rows can have."""
    for split, (targets, _) in labels.items():
        at = f"{where}: {columns.label}"
        known = targets[targets >= 0]
        if len(targets) == 0 or len(known) == 0:
            raise InputError(at, f"no {split} row has a label", "labels count from 0")
        if targets.min() < -1:
            row = int(targets.argmin())
            problem = f"{split} row {row} has label {targets[row]}"
            raise InputError(at, problem, "labels count from 0; -1 or none for a withheld one")
        if split == "test" and len(known) < len(targets):
            row = int(targets.argmin())
            raise InputError(at, f"test row {row} has no label", "remove the rows without one")
        if known.max() > max(len(labels["train"][0]), 1000):
            row = int(targets.argmax())
            problem = f"{split} row {row} has label {targets[row]}: more classes than rows"
            raise InputError(at, problem, "number the classes from 0")


def fetch(dataset_id: str, *, may_download: bool) -> Path:
    """The local folder of a dataset of the Hugging Face hub, fetched if it is not there yet.

    Raises:
        InputError: huggingface_hub is not installed, or the dataset cannot be had.
    """
    where = f"data.root={dataset_id}"
    try:
        hub: Any = importlib.import_module("huggingface_hub")
    except ImportError as error:
        problem = "is no folder here, and huggingface_hub is not installed to fetch it"
        raise PackageMissing(where, problem, "pip install contsemi[hub]") from error
    try:
        folder = hub.snapshot_download(
            repo_id=dataset_id,
            repo_type="dataset",
            allow_patterns=["*.parquet"],
            local_files_only=not may_download,
        )
    except Exception as error:  # the hub's client raises many kinds
        reason = " ".join(str(error).split())[:120]
        problem = f"is no folder here, and cannot be had from the Hugging Face hub ({reason})"
        fix = "give a folder" if may_download else "give a folder, or set data.download=true"
        raise InputError(where, problem, fix) from error
    return Path(str(folder))


def _parquet(file: Path) -> Any:
    """An open parquet file."""
    try:
        parquet: Any = importlib.import_module("pyarrow.parquet")
    except ImportError as error:
        problem = "pyarrow is not installed to read parquet files"
        raise PackageMissing(
            f"data.root={file.parent}", problem, "pip install contsemi[hub]"
        ) from error
    try:
        return parquet.ParquetFile(file)
    except (OSError, ValueError) as error:  # pyarrow's errors are of these kinds
        reason = " ".join(str(error).split())[:80]
        raise InputError(str(file), f"is no parquet file ({reason})", "fetch it anew") from error


def _columns(file: Path) -> _Columns:
    schema = _parquet(file).schema_arrow
    types = {name: str(kind) for name, kind in zip(schema.names, schema.types, strict=True)}
    image = next((name for name in IMAGES if name in types), None)
    image = image or next((n for n, kind in types.items() if kind.startswith("struct<bytes")), None)
    label = next((name for name in LABELS if _NUMBERS.match(types.get(name, ""))), None)
    if image is None or label is None:
        problem = f"has no {'images' if image is None else 'labels'}: its columns are "
        fix = "expected img or image, and fine_label or label (integers)"
        raise InputError(str(file), problem + ", ".join(types), fix)
    coarse = "coarse_label" if _NUMBERS.match(types.get("coarse_label", "")) else None
    names = {c: _names(schema.metadata, c, f"{file}: {c}") for c in (label, coarse) if c}
    return _Columns(image, label, coarse, names[label], names.get(coarse or ""))


def _names(of: dict[bytes, bytes] | None, column: str, where: str) -> tuple[str, ...] | None:
    """Class names of a column as the datasets library records them; as folders are called."""
    try:
        features = json.loads((of or {})[b"huggingface"])["info"]["features"]
        names = features[column]["names"]
    except (KeyError, ValueError, TypeError):
        return None
    return named(names, where) if isinstance(names, list) and names else None


def _classes(
    columns: _Columns, targets: NDArray[np.int64], dataset: str, where: str
) -> tuple[str, ...]:
    """Names of all classes, from the file, or the official ones, or ``class_0``, ..."""
    official = OFFICIAL.get(dataset)
    count = len(columns.classes) if columns.classes else int(targets.max(initial=-1)) + 1
    if official and count != len(official):
        other = next((name for name, names in OFFICIAL.items() if len(names) == count), None)
        found = f"{count} classes" + (f": this looks like {other}" if other else "")
        problem = f"holds {found}, the scenario needs {dataset} with {len(official)} classes"
        raise InputError(where, problem, f"give the folder of {dataset}")
    return columns.classes or official or tuple(f"class_{n}" for n in range(count))


def _labels(files: list[Path], columns: _Columns) -> _Labels:
    wanted = [columns.label] + ([columns.coarse] if columns.coarse else [])
    parts: list[list[NDArray[np.int64]]] = []
    for file in files:
        try:
            opened = _parquet(file)
            there = [name for name in wanted if name in opened.schema_arrow.names]
            table, rows = opened.read(columns=there), opened.metadata.num_rows
            parts.append(
                [
                    _numbers(table[name], f"{file}: {name}") if name in there else np.full(rows, -1)
                    for name in wanted
                ]
            )
        except (OSError, ValueError, KeyError) as error:
            reason = " ".join(str(error).split())[:80]
            problem = f"its labels cannot be read ({reason})"
            raise InputError(str(file), problem, f"expected columns {', '.join(wanted)}") from error
    together = [np.concatenate(column) for column in zip(*parts, strict=True)]
    return together[0], together[1] if columns.coarse else None


def _numbers(column: Any, where: str) -> NDArray[np.int64]:
    """Class numbers, -1 for none; pandas writes whole numbers with a gap as fractions."""
    whole = "int" in str(column.type)  # unsigned ones hold no -1
    values = (column.cast("int64") if whole else column).fill_null(-1).to_numpy()
    if values.dtype.kind == "f":
        values = np.where(np.isnan(values), -1, values)
        if len(odd := np.flatnonzero(values != np.round(values))):
            problem = f"row {odd[0]} has label {values[odd[0]]:g}"
            raise InputError(where, problem, "write whole numbers, -1 or none for a withheld one")
    found: NDArray[np.int64] = values.astype(np.int64)
    return found


def _with(own: _Labels, beside: _Labels) -> _Labels:
    """Labels and behind them those of images whose classes are not to be known."""
    hidden = np.full(len(beside[0]), -1)
    coarse = None if own[1] is None else np.concatenate([own[1], hidden])
    return np.concatenate([own[0], hidden]), coarse


def _encoded(files: list[Path], column: str) -> Iterator[bytes]:
    """Bytes of every image, in order; empty where a row has none."""
    for file in files:
        opened = _parquet(file)
        try:
            for batch in opened.iter_batches(batch_size=ROWS, columns=[column]):
                for row in batch.column(0).to_pylist():
                    content = row["bytes"] if isinstance(row, dict) else row
                    if not isinstance(content, bytes | None):  # text is no path for us to open
                        kind = "text" if isinstance(content, str) else type(content).__name__
                        raise InputError(
                            f"{file}: {column}", f"holds {kind}, expected bytes", FIX_BYTES
                        )
                    yield content or b""
        except (OSError, ValueError, KeyError) as error:
            reason = " ".join(str(error).split())[:80]
            problem = f"its images cannot be read ({reason})"
            raise InputError(str(file), problem, "fetch it anew") from error


def _own_size(file: Path, first: bytes) -> int:
    try:
        return int(decode(first, None).shape[-1])
    except Unreadable as error:
        fix = "repair it" if first else FIX_BYTES
        raise InputError(str(file), f"the first image: {error}", fix) from error


def _decode(
    files: list[Path],
    columns: _Columns,
    targets: NDArray[np.int64],
    size: int,
    cache: str | None,
    workers: int,
) -> Cached:
    states = [(file.name, file_state(file.stat())) for file in files]
    result = decoded(
        cache,
        key("parquet", str(files[0].parent.resolve()), size, columns.image, states),
        targets,
        _encoded(files, columns.image),
        size=size,
        num_bytes=sum(state[0] for _, state in states),
        workers=workers,
        title=f"decoding {files[0].name}",
    )
    if isinstance(result, Cached):
        return result
    named = first_of([f"row {number}: {why}" for number, why in result], 20)
    problem = f"{len(result)} images cannot be read: {named}"
    # The datasets library may have kept paths alone.
    lost = all(why == EMPTY for _, why in result)
    fix = FIX_BYTES if lost else "repair or remove the rows"
    raise InputError(f"{files[0].parent}/{files[0].name}", problem, fix)
