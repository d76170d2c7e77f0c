"""``answers/after_task_03.safetensors``: what was said of each test image, and where it lies.

From these files alone come confusion, accuracy per class, calibration and the map of embeddings;
they are read without torch, and anything else can be computed from them later.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save

from contsemi.metrics.answers import Answered
from contsemi.records.plain import to_json
from contsemi.records.written import as_written, read_written
from contsemi.storage.atomic import storage, write_atomically

FOLDER = "answers"
PATHS = "paths.json"
NAMES = tuple(field.name for field in fields(Answered))


def _path(folder: Path, task: int) -> Path:
    return folder / FOLDER / f"after_task_{task + 1:02d}.safetensors"


def write(folder: Path, answered: Answered, task: int) -> None:
    """Write the answers after a task.

    Args:
        folder: the output folder of the run.
        answered: the answers.
        task: from 0; files count from 1.
    """
    path = _path(folder, task)
    with storage(path.parent):
        path.parent.mkdir(exist_ok=True)
    arrays = {name: np.ascontiguousarray(getattr(answered, name)) for name in NAMES}
    write_atomically(path, save(arrays))


def read(path: Path) -> Answered:
    """Read what :func:`write` wrote.

    Raises:
        InputError: the file is missing or damaged.
    """
    with as_written(path):
        arrays = load_file(path)
        found = Answered(**{name: arrays[name] for name in NAMES})
        if len({len(arrays[name]) for name in NAMES[:6]}) > 1:
            raise ValueError("arrays of different lengths")
        return found


def read_all(folder: Path) -> dict[int, Answered]:
    """The answers after every task that left a file: task from 0 -> answers."""
    found = {
        int(match[1]) - 1: path
        for path in sorted((folder / FOLDER).glob("*.safetensors"))
        if (match := re.fullmatch(r"after_task_(\d+)", path.stem))
    }
    return {task: read(path) for task, path in sorted(found.items())}


def write_paths(folder: Path, paths: Sequence[str]) -> None:
    """Write the file of each test image, by its row in the dataset, to ``answers/paths.json``."""
    with storage(folder / FOLDER):
        (folder / FOLDER).mkdir(exist_ok=True)
    write_atomically(folder / FOLDER / PATHS, to_json(paths, indent=None))


def read_paths(folder: Path) -> list[str]:
    """What :func:`write_paths` wrote; nothing where the images are no files.

    Raises:
        InputError: the file is damaged.
    """
    return read_written(folder / FOLDER / PATHS, _paths, missing=[])


def _paths(text: str) -> list[str]:
    paths = json.loads(text)
    if not isinstance(paths, list) or not all(isinstance(each, str) for each in paths):
        raise ValueError("no list of names")
    return paths


def remove(folder: Path) -> None:
    """Forget the answers of an earlier run; files of others are not touched."""
    with storage(folder / FOLDER):
        for path in (folder / FOLDER).glob("after_task_*.safetensors"):
            path.unlink(missing_ok=True)
        (folder / FOLDER / PATHS).unlink(missing_ok=True)
