"""Takes labels away from the user's own Avalanche benchmark."""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from contsemi import labels
from contsemi.data.arrivals import Arrivals
from contsemi.errors import InputError
from contsemi.strategies.decode import decode
from contsemi.strategies.doors import stream_of, whole
from contsemi.strategies.naming import Classes, name_classes, task_labels
from contsemi.strategies.streams import ImageRows, assemble
from contsemi.types import Experience


def semi_supervised(
    benchmark: Any,
    *,
    label_ratio: object,
    seed: int = 0,
    size: int | None = None,
    classes: Classes = "auto",
) -> Any:
    """The user's benchmark with few of its labels.

    Every image is decoded once, in the ``eval`` transform group; labels are drawn over the whole
    train stream, as in contsemi's own scenarios. What comes back has nothing of the benchmark
    that was given but pixels, the labels that were drawn, and the labels of the test stream.

    Args:
        benchmark: any Avalanche benchmark with ``train_stream`` and ``test_stream`` whose items
            begin with an image (PIL, uint8, or floating in [0, 1]; grey or RGB) and a class id.
        label_ratio: ``"0.8%"``, ``0.008``, ``"4/class"``, or a list of these, one per experience.
        seed: seed of the draw of labels.
        size: side to resize images to; ``None`` keeps their own, which must then be one for all.
        classes: ``"id"``: a class id names a class wherever it comes; ``"task"``: the task label
            and the id together do (the place in the stream, where task labels do not differ), and
            classes get new ids in order of arrival; ``"auto"``: as the benchmark says of itself.

    Returns:
        A benchmark for :class:`~contsemi.strategies.SemiSupervisedStrategy`, with the streams
        ``train``, ``unlabeled`` and ``test``, and with ``n_classes``, ``n_classes_per_exp`` and
        ``original_classes``: for each class id the task and the id that were given, ``None`` where
        ids are those that were given. Task labels are always those that were given.

    Raises:
        InputError: an argument or an item cannot be used as it is, nothing says which class an id
            names, or the labels do not suffice.
    """
    budget = labels.LabelBudget.parse(label_ratio)
    here = "semi_supervised(benchmark)"
    _check(benchmark, here, seed, size)
    train, test = (stream_of(benchmark, name, here) for name in ("train_stream", "test_stream"))
    images, ids = decode([e.dataset for e in train], size, "train_stream")
    test_images, test_ids = decode([e.dataset for e in test], size, "test_stream")
    if images.shape[1:] != test_images.shape[1:]:
        sides = [f"{x.shape[-1]} x {x.shape[-1]}" for x in (test_images, images)]
        problem = f"images are {sides[0]}, those of train_stream {sides[1]}"
        raise InputError("test_stream", problem, "pass size=, the side to resize all images to")
    tasks, test_tasks = task_labels(train), task_labels(test)
    both = None if tasks is None or test_tasks is None else (tasks, test_tasks)
    named = name_classes(benchmark, ids, test_ids, both, classes)
    _warn_of_untrained(named.train, named.test)
    class_ids, experiences = _experiences(named.train, _draw(budget, named.train, seed))
    tests, row = [], 0
    for position, each in enumerate(named.test):
        labels_of = both[1][position] if both else [0] * len(each)
        tests.append(_test_rows(row, each, labels_of))
        row += len(each)
    flat = torch.tensor([label for task in both[0] for label in task]) if both else None
    return assemble(
        images, experiences, class_ids, test_images, tests, flat, original=named.original
    )


def _draw(budget: labels.LabelBudget, targets: list[list[int]], seed: int) -> list[Tensor]:
    """The rows of each experience that keep their label, in the order of the draw."""
    everything = np.concatenate([np.asarray(ids, dtype=np.int64) for ids in targets])
    names = [str(class_id) for class_id in range(int(everything.max()) + 1)]
    ends = np.cumsum([len(ids) for ids in targets])
    starts = ends - [len(ids) for ids in targets]
    bounds = list(zip(starts, ends, strict=True))
    if budget.per_task:
        parts = zip(budget.for_tasks(len(targets)), bounds, strict=True)
        drawn = [a + labels.draw(b, everything[a:z], seed=seed, names=names) for b, (a, z) in parts]
    else:
        rows = labels.draw(budget, everything, seed=seed, names=names)
        drawn = [rows[(a <= rows) & (rows < z)] for a, z in bounds]
    return [torch.from_numpy(rows) for rows in drawn]


def _experiences(
    targets: list[list[int]], drawn: list[Tensor]
) -> tuple[list[int], list[Experience]]:
    """The class id of each column, in order of arrival, and the tasks."""
    arrivals, experiences, row = Arrivals(), [], 0
    for ids, labelled in zip(targets, drawn, strict=True):
        known = torch.tensor(ids)
        pool = torch.arange(row, row + len(ids))
        experiences.append(arrivals.add(labelled, known[labelled - row], pool, torch.unique(known)))
        row += len(ids)
    return arrivals.class_order, experiences


def _test_rows(start: int, ids: Sequence[int], tasks: Sequence[int]) -> ImageRows:
    rows = torch.arange(start, start + len(ids))
    return ImageRows(rows, torch.tensor(ids), torch.tensor(tasks))


def _check(benchmark: Any, here: str, seed: Any, size: Any) -> None:
    whole(seed, "semi_supervised(seed)", 0)
    if size is not None:
        whole(size, "semi_supervised(size)", 1, 4096)
    if hasattr(benchmark, "unlabeled_stream"):
        problem = "has few labels already, and its images without one would be lost"
        raise InputError(here, problem, "give the benchmark that it was made of")


def _warn_of_untrained(train: Sequence[Sequence[int]], test: Sequence[Sequence[int]]) -> None:
    """Says that test images are of classes that are never learned, which lowers every accuracy."""
    trained = {each for ids in train for each in ids}
    others = [each for ids in test for each in ids if each not in trained]
    if others:
        names = " ".join(map(str, sorted(set(others))[:10]))
        warnings.warn(
            f"{len(others)} images of test_stream are of classes that no experience trains "
            f"({names}): each of them counts as wrong",
            stacklevel=3,
        )
