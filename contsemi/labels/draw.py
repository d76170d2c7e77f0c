"""Which training images get their label.

The draw of a share is scikit-learn's stratified split, written out (``StratifiedShuffleSplit`` of
scikit-learn 1.x, BSD-3): same numbers from NumPy's frozen ``RandomState``, so it equals the lists
that NNCSL published, whatever scikit-learn is installed, and it also serves the shares that
scikit-learn refuses, such as 100%.
"""

import hashlib
import math
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from unicodedata import normalize

import numpy as np
from numpy.typing import NDArray

from contsemi.errors import InputError
from contsemi.labels.budget import KEY, LabelBudget

Integers = NDArray[np.int64]
LARGEST_LIST = 256 * 2**20  # bytes of a frozen list


def digest(rows: Integers) -> str:
    """SHA-256 of a set of image rows: of the sorted rows as little-endian int64."""
    return hashlib.sha256(np.sort(rows).astype("<i8").tobytes()).hexdigest()


def draw(budget: LabelBudget, targets: Integers, *, seed: int, names: Sequence[str]) -> Integers:
    """Positions of the images that get their label, in the order in which they were drawn.

    Args:
        budget: a share or a count per class.
        targets: int64 [N], the class id of each candidate image, in the order of the dataset.
        seed: seed of NumPy's ``RandomState``.
        names: name of each class id.

    Returns:
        int64 [n], distinct positions in ``targets``. For a share it is ``floor(ratio * N)`` of
        them, divided among the classes like scikit-learn's ``train_test_split(..., stratify=)``;
        for a count that count of every class. Both agree where the classes are of equal size.

    Raises:
        InputError: a class would get no label, or has fewer images than labels are asked for.
    """
    if budget.none:
        return np.zeros(0, np.int64)
    classes, inverse, sizes = np.unique(targets, return_inverse=True, return_counts=True)
    members = np.split(np.argsort(inverse, kind="stable"), np.cumsum(sizes)[:-1])
    random = np.random.RandomState(seed)  # with which the published lists were drawn
    if budget.ratio is not None:
        wanted = math.floor(budget.ratio * len(targets))
        if wanted == len(targets):
            counts = sizes
        else:
            counts = _apportion(sizes, wanted, random)
            _refuse_empty(budget.ratio, classes, sizes, counts, seed, names)
            _apportion(sizes - counts, len(targets) - wanted, random)  # the split's other side
    else:
        count = budget.count(0)
        _refuse_scarce(count, classes, sizes, names)
        counts = np.full(len(classes), count)
        if len(set(sizes.tolist())) == 1 and count < sizes[0]:
            # the draw of a share spends random numbers here: stay in step with it
            counts = _apportion(sizes, count * len(classes), random)
            _apportion(sizes - counts, len(targets) - count * len(classes), random)
    chosen = [
        rows[random.permutation(len(rows))[:number]]
        for rows, number in zip(members, counts, strict=True)
    ]
    return random.permutation(np.concatenate(chosen)).astype(np.int64)


def read_list(path: Path, num_images: int, files: Sequence[str] | None = None) -> Integers:
    """The rows of a frozen list, in the order of the file.

    Args:
        path: a text file, one row number or file name a line.
        num_images: rows of the training set.
        files: path of each image below the data set's folder, where images are files: a line may
            then be such a path, or an end of it that only one image has.

    Raises:
        InputError: no such file, or a line that is no row of the set, or a row given twice.
    """
    where, fix = f"scenario.labels={path}", "write one image row (an integer) a line"
    if files is not None:
        fix = "write one image row (an integer) or file name a line"
    try:
        if path.exists() and not (path.is_file() or path.is_dir()):
            raise InputError(where, "is not a regular file", fix)  # reading it might never end
        if path.stat().st_size > LARGEST_LIST:
            raise InputError(where, "is too large for a list of rows", fix)
        lines = path.read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a text file"
        raise InputError(where, f"cannot be read ({reason})", fix) from error
    if not lines:
        raise InputError(where, "is empty", fix)
    ends, forms = _ends(files or ()), _ends([_form(name) for name in files or ()])
    first: dict[int, int] = {}
    for number, line in enumerate(lines, start=1):
        at, text = f"{where} line {number}", line.strip()
        digits = text.removeprefix("-")
        if digits.isascii() and digits.isdigit() and len(digits) <= 18:
            row = int(text)
        elif files is None:
            raise InputError(at, f"{text[:40]!r} is not an integer", fix)
        else:
            row = _row_of(text, ends, forms, at)
        if not 0 <= row < num_images:
            problem = f"row {row} is out of range: the training set has rows 0 to {num_images - 1}"
            raise InputError(at, problem, "is this the list of another dataset?")
        if row in first:
            raise InputError(at, f"row {row} stands on line {first[row]} already", "remove it")
        first[row] = number
    rows: Integers = np.array(list(first), np.int64)
    return rows


def _ends(files: Sequence[str]) -> dict[str, list[int]]:
    """The rows that each end of a path, from a slash on, names."""
    found: dict[str, list[int]] = {}
    for row, name in enumerate(files):
        parts = name.split("/")
        for start in range(len(parts)):
            found.setdefault("/".join(parts[start:]), []).append(row)
    return found


def _form(name: str) -> str:
    """What is typed, and what a disk stores, may differ in Unicode form."""
    return normalize("NFC", name)


def _row_of(name: str, ends: dict[str, list[int]], forms: dict[str, list[int]], at: str) -> int:
    plain = name.removeprefix("./").replace("\\", "/")
    rows = ends.get(plain) or forms.get(_form(plain), [])  # to the letter first
    if len(rows) == 1:
        return rows[0]
    if not rows:
        raise InputError(at, f"no training image is called {name[:80]!r}", "give its path")
    problem = f"{len(rows)} training images are called {name[:80]!r}"
    raise InputError(at, problem, "give the path from the class folder on")


def _apportion(sizes: Integers, total: int, random: np.random.RandomState) -> Integers:
    """Divides ``total`` among classes by size; largest remainders first, ties at random."""
    if total == 0:  # sizes may sum to 0 then
        return np.zeros_like(sizes)
    shares = sizes / sizes.sum() * total
    counts = np.floor(shares)
    missing = int(total - counts.sum())
    remainders = shares - counts
    for value in np.unique(remainders)[::-1]:
        if missing <= 0:
            break
        (tied,) = np.where(remainders == value)
        lucky = random.choice(tied, size=min(len(tied), missing), replace=False)
        counts[lucky] += 1
        missing -= len(lucky)
    result: Integers = counts.astype(np.int64)
    return result


def _refuse_empty(
    ratio: Fraction,
    classes: Integers,
    sizes: Integers,
    counts: Integers,
    seed: int,
    names: Sequence[str],
) -> None:
    """Raises where a class is left without a label, and says which share would do."""
    empty = np.flatnonzero(counts == 0)
    if not len(empty):
        return
    worst, budget = int(empty[0]), LabelBudget(ratio=ratio)
    got = float(ratio * int(sizes[worst]))
    others = len(empty) - 1
    more = f" (and {others} more class{'es get' if others > 1 else ' gets'} none)" if others else ""
    images, name = int(sizes[worst]), names[int(classes[worst])]
    problem = f"{budget} of {images} images in class {name!r} is {got:.3g} labels{more}"
    usable = LabelBudget(ratio=_smallest_usable(sizes, seed))
    raise InputError(KEY, problem, f"smallest usable ratio is {usable}, or use 1/class")


def _smallest_usable(sizes: Integers, seed: int) -> Fraction:
    """The least share, in round percents, from which on every class gets a label."""

    def usable(total: int) -> bool:
        random = np.random.RandomState(seed)
        return bool(_apportion(sizes, total, random).min() > 0)

    images = int(sizes.sum())
    total = math.ceil(images / int(sizes.min()))  # every share is at least one label here
    while total > len(sizes) and usable(total - 1):
        total -= 1
    for digits in range(2, 12):
        ratio = Fraction(math.ceil(Fraction(total, images) * 10**digits), 10**digits)
        if math.floor(ratio * images) == total:
            return ratio
    return Fraction(total, images)


def _refuse_scarce(count: int, classes: Integers, sizes: Integers, names: Sequence[str]) -> None:
    if (scarce := int(sizes.argmin())) >= 0 and sizes[scarce] < count:
        problem = f"class {names[int(classes[scarce])]!r} has {sizes[scarce]} images, not {count}"
        raise InputError(KEY, problem, f"give at most {sizes[scarce]}/class")
