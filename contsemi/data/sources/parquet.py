"""Datasets in Hugging Face's parquet layout: a folder with ``train-*.parquet``, or a hub id."""

import importlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contsemi.data.imageset import ImageSet
from contsemi.data.names import OFFICIAL
from contsemi.data.sources.cache import Cached, cached, file_state, key
from contsemi.data.sources.decode import Unreadable, decode
from contsemi.data.sources.decoding import Failure, decode_into
from contsemi.errors import InputError

__all__ = ["fetch", "find", "load"]

PATTERNS = ("{0}.parquet", "{0}-*.parquet", "{0}/*.parquet", "*/{0}-*.parquet", "*/{0}/*.parquet")
SPLITS = {"train": ("train",), "test": ("test", "validation", "valid", "val")}
IMAGES = ("img", "image")
LABELS = ("fine_label", "label", "labels")
ROWS = 256  # rows that are read from a file at a time


@dataclass(frozen=True, slots=True)
class _Columns:
    """Names of the columns of a file, and of its classes."""

    image: str
    label: str
    coarse: str | None
    classes: tuple[str, ...] | None
    coarse_classes: tuple[str, ...] | None


def find(root: Path, split: str) -> list[Path]:
    """The parquet files of ``train`` or ``test``, by name; empty if there are none."""
    for name in SPLITS[split]:
        for pattern in PATTERNS:
            if files := sorted(p for p in root.glob(pattern.format(name)) if p.is_file()):
                if len({file.parent for file in files}) > 1:
                    folders = ", ".join(sorted({file.parent.name for file in files}))
                    problem = f"has {name} files in several folders ({folders})"
                    raise InputError(f"data.root={root}", problem, "give one of them")
                return files
    return []


def load(
    root: Path, dataset: str, *, size: int | None, cache: str | None, workers: int
) -> tuple[ImageSet, ImageSet]:
    """Training and test images; decoded once, then opened from the cache.

    Args:
        root: the folder of the dataset.
        dataset: ``cifar10``, ``cifar100``, or ``folder`` for any other.
        size: side in pixels; ``None`` takes that of the first image for all.
        cache: folder of the cache; ``None`` for the user's.
        workers: decoding processes, 0 for one per core.

    Raises:
        InputError: pyarrow or files are missing, columns or labels are not as expected, another
            dataset, or images that cannot be read (one report).
        StorageFailed: the cache cannot be written.
    """
    where = f"data.root={root}"
    files = {split: find(root, split) for split in SPLITS}
    for split, found in files.items():
        if not found:
            problem = f"has no {split} parquet files"
            raise InputError(where, problem, f"expected data/{split}-*.parquet in it")
    columns = _columns(files["train"][0])
    labels = {split: _labels(found, columns) for split, found in files.items()}
    classes = _classes(columns, labels["train"][0], dataset, where)
    for split, (targets, _) in labels.items():
        if len(targets) == 0 or not 0 <= targets.min() <= targets.max() < len(classes):
            problem = f"the {split} labels are not all within the {len(classes)} classes"
            raise InputError(f"{where}: {columns.label}", problem, "rows need a label from 0 on")
    size = size or _own_size(files["train"][0], columns)
    opened = {
        split: _decode(found, columns, labels[split][0], size, cache, workers)
        for split, found in files.items()
    }
    train, test = (
        ImageSet.of(
            opened[split].images,
            targets,
            classes=classes,
            name=dataset if dataset != "folder" else root.resolve().name,
            coarse=coarse,
            coarse_classes=columns.coarse_classes if coarse is not None else None,
            digest=opened[split].digest,
        )
        for split, (targets, coarse) in labels.items()
    )
    return train, test


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
        raise InputError(where, problem, "pip install contsemi[hub]") from error
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
        raise InputError(
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
    label = next((name for name in LABELS if "int" in types.get(name, "")), None)
    if image is None or label is None:
        problem = f"has no {'images' if image is None else 'labels'}: its columns are "
        fix = "expected img or image, and fine_label or label (integers)"
        raise InputError(str(file), problem + ", ".join(types), fix)
    coarse = "coarse_label" if "int" in types.get("coarse_label", "") else None
    names = {column: _names(schema.metadata, column) for column in (label, coarse) if column}
    return _Columns(image, label, coarse, names[label], names.get(coarse or ""))


def _names(metadata: dict[bytes, bytes] | None, column: str) -> tuple[str, ...] | None:
    """Class names of a column as the datasets library records them."""
    try:
        features = json.loads((metadata or {})[b"huggingface"])["info"]["features"]
        names = features[column]["names"]
    except (KeyError, ValueError, TypeError):
        return None
    return tuple(map(str, names)) if isinstance(names, list) and names else None


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


def _labels(
    files: list[Path], columns: _Columns
) -> tuple[NDArray[np.int64], NDArray[np.int64] | None]:
    wanted = [columns.label] + ([columns.coarse] if columns.coarse else [])
    parts: list[list[NDArray[np.int64]]] = []
    for file in files:
        try:
            table = _parquet(file).read(columns=wanted)
            if any(table[name].null_count for name in wanted):
                raise ValueError("a row has no label")
            parts.append([table[name].to_numpy().astype(np.int64) for name in wanted])
        except (OSError, ValueError, KeyError) as error:
            reason = " ".join(str(error).split())[:80]
            problem = f"its labels cannot be read ({reason})"
            raise InputError(str(file), problem, f"expected columns {', '.join(wanted)}") from error
    together = [np.concatenate(column) for column in zip(*parts, strict=True)]
    return together[0], together[1] if columns.coarse else None


def _encoded(files: list[Path], column: str) -> Iterator[bytes]:
    """Bytes of every image, in order; empty where a row has none."""
    for file in files:
        opened = _parquet(file)
        try:
            for batch in opened.iter_batches(batch_size=ROWS, columns=[column]):
                for row in batch.column(0).to_pylist():
                    yield (row["bytes"] if isinstance(row, dict) else row) or b""
        except (OSError, ValueError, KeyError) as error:
            reason = " ".join(str(error).split())[:80]
            problem = f"its images cannot be read ({reason})"
            raise InputError(str(file), problem, "fetch it anew") from error


def _own_size(file: Path, columns: _Columns) -> int:
    first = next(_encoded([file], columns.image), b"")
    try:
        return int(decode(first, None).shape[-1])
    except Unreadable as error:
        raise InputError(str(file), f"the first image: {error}", "repair it") from error


def _decode(
    files: list[Path],
    columns: _Columns,
    targets: NDArray[np.int64],
    size: int,
    cache: str | None,
    workers: int,
) -> Cached:
    states = [(file.name, file_state(file.stat())) for file in files]
    entry = key("parquet", str(files[0].parent.resolve()), size, columns.image, states)

    def fill(file: Path, offset: int) -> list[Failure]:
        return decode_into(
            file,
            offset,
            _encoded(files, columns.image),
            total=len(targets),
            size=size,
            num_bytes=sum(state[0] for _, state in states),
            workers=workers,
            title=f"decoding {files[0].name}",
        )

    result = cached(cache, entry, targets, size, fill)
    if isinstance(result, Cached):
        return result
    named = "; ".join(f"row {number}: {why}" for number, why in result[:20])
    more = f"; and {len(result) - 20} more" if len(result) > 20 else ""
    problem = f"{len(result)} images cannot be read: {named}{more}"
    raise InputError(f"{files[0].parent}/{files[0].name}", problem, "repair or remove the rows")
