"""Coarse labels: what is known of the classes above, and which images have theirs alone."""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import torch
import yaml  # type: ignore[import-untyped,unused-ignore]
from numpy.typing import NDArray
from torch import Tensor

from contsemi.data.classes import same_name
from contsemi.data.imageset import ImageSet
from contsemi.errors import InputError
from contsemi.records.plain import from_yaml
from contsemi.seeding import generator

LARGEST = 1 << 20  # bytes of a file
Integers = NDArray[np.int64]


def coarse_classes(order: Sequence[int], train: ImageSet) -> tuple[Tensor, int]:
    """The coarse class of each column, -1 for a class of several or of none, and their number."""
    above = torch.full((len(order),), -1)
    if train.coarse is None:
        return above, 0
    for column, number in enumerate(order):
        found = train.coarse[train.targets == number]
        if (found == found[:1]).all():
            above[column] = found[0]
    named = train.coarse_classes
    return above, int(train.coarse.max()) + 1 if named is None else len(named)


def coarse_rows(
    share: float, offered: Integers, labelled: Integers, targets: Tensor, seed: int, task: int
) -> Integers:
    """Rows of a task whose coarse label is bought: the same share of each fine class.

    Args:
        share: of the images without a fine label, in [0, 1].
        offered: rows of the task's images of classes that have labels.
        labelled: rows with a fine label, which are left out.
        targets: int64 [N], true class ids.
        seed: of the draw.
        task: from 0.

    Returns:
        int64, ascending.
    """
    free = offered[~np.isin(offered, labelled)]
    classes, chosen = targets.numpy()[free], [np.zeros(0, np.int64)]
    for number in np.unique(classes).tolist() if share else []:
        rows = free[classes == number]
        draw = generator(seed, "coarse labels", task, number)
        order = torch.randperm(len(rows), generator=draw).numpy()
        chosen.append(rows[order[: math.floor(share * len(rows) + 0.5)]])
    return np.sort(np.concatenate(chosen))


def refuse_without_coarse(share: float, train: ImageSet) -> None:
    """Raises where coarse labels are asked for of images that have none.

    Raises:
        InputError: they are.
    """
    if share and train.coarse is None:
        problem = f"{train.name} has no coarse classes"
        raise InputError("coarse_ratio", problem, "set coarse_ratio=0, or name scenario.hierarchy")


def with_hierarchy(train: ImageSet, file: str | None) -> ImageSet:
    """The images with the coarse classes of a file in place of their own.

    Args:
        train: images of training.
        file: YAML such as ``{animals: [cat, dog], things: [car]}``, every class in one of them;
            ``None`` changes nothing.

    Raises:
        InputError: it cannot be read, or does not name each class once.
    """
    if file is None:
        return train
    above = _read(Path(file).expanduser())
    found: dict[str, int] = {}
    for number, (name, classes) in enumerate(above.items()):
        for each in map(same_name, map(str, classes)):
            if each in found:
                _refuse(file, f"names the class {each} twice", "leave one out")
            if each not in train.classes:
                _refuse(file, f"{name}: no class is called {each}", "mend the name")
            found[each] = number
    if missing := [each for each in train.classes if each not in found]:
        _refuse(file, f"the class {missing[0]} has no coarse class", "add it to one of them")
    of_class = torch.tensor([found[each] for each in train.classes])
    coarse = torch.where(train.targets < 0, -1, of_class[train.targets])
    text = f"{train.digest} {sorted(found.items())}"
    return replace(
        train,
        coarse=coarse,
        coarse_classes=tuple(above),
        digest=hashlib.sha256(text.encode()).hexdigest(),
    )


def _read(path: Path) -> dict[str, list[Any]]:
    fix = "write coarse: [class, class] a line"
    try:
        if path.exists() and not path.is_file():
            _refuse(str(path), "is not a regular file", fix)  # a pipe would be waited for
        if path.stat().st_size > LARGEST:
            _refuse(str(path), f"has more than {LARGEST} bytes", fix)
        content = from_yaml(path.read_text("utf-8-sig"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        reason = str(error).strip().splitlines() or ["nested too deep"]
        _refuse(str(path), f"cannot be read ({reason[0]})", fix)
    names = content.values() if isinstance(content, dict) else [None]
    said = [each for n in names if isinstance(n, list) for each in n]
    if odd := [each for each in said if isinstance(each, bool | None)]:
        word = "true or yes" if odd[0] else "null or ~" if odd[0] is None else "false or no"
        _refuse(str(path), f"has {word}, which YAML does not read as a name", "quote it")
    fine = all(isinstance(n, list) for n in names) and all(isinstance(c, str | int) for c in said)
    if not content or not fine:
        _refuse(str(path), "is no list of classes for each coarse class", fix)
    return {str(name): classes for name, classes in content.items()}


def _refuse(file: str, problem: str, fix: str) -> NoReturn:
    raise InputError(f"scenario.hierarchy={file}", problem, fix)
