"""What a benchmark file says: which runs there are, and where they lie."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped,unused-ignore]

from contsemi.errors import InputError
from contsemi.records.measured import GROUPS
from contsemi.records.plain import from_yaml

KEYS = ("shared", "labels", "seeds", "methods")
MORE = ("reference", "orders", "columns", "measure")

Place = tuple[str, ...]
"""Keys of ``results.json``, from the outermost in; a file has them with dots between."""

OF_RESULTS = ("class_incremental", "task_incremental", "while_training", "predictors", *GROUPS)

ACCURACY: Place = ("class_incremental", "average_accuracy")


@dataclass(frozen=True, slots=True)
class Job:
    """One run: its place in the benchmark, its folder and its settings.

    Attributes:
        order: seed of the class order; ``None`` for that of the scenario.
    """

    labels: str
    method: str
    seed: int
    folder: Path
    settings: tuple[str, ...]
    order: int | None = None

    @property
    def name(self) -> str:
        """What the run is, in one line."""
        order = "" if self.order is None else f", order {self.order}"
        return f"{self.method}, {self.labels}{order}, seed {self.seed}"

    @property
    def pair(self) -> tuple[int | None, int]:
        """What runs of other methods have in common with it: order and seed."""
        return self.order, self.seed

    @property
    def finished(self) -> bool:
        """Whether its results are there."""
        return (self.folder / "results.json").is_file()


@dataclass(frozen=True, slots=True)
class Benchmark:
    """A benchmark file.

    Attributes:
        shared: settings of every run.
        labels: label budgets.
        seeds: of every method and budget.
        orders: seeds of class orders, crossed with ``seeds``; ``(None,)`` for the scenario's own.
        methods: name -> its own settings.
        reference: the method that the others are compared with.
        columns: more columns of the table: heading -> place of a share in ``results.json``.
        measure: place of what methods are ordered by, and the reference is ahead in.
    """

    shared: Sequence[str]
    labels: Sequence[str]
    seeds: Sequence[int]
    methods: Mapping[str, Sequence[str]]
    reference: str
    orders: Sequence[int | None] = (None,)
    columns: Mapping[str, Place] = field(default_factory=dict)
    measure: Place = ACCURACY

    def jobs(self, output: Path, extra: Sequence[str] = ()) -> list[Job]:
        """All runs; orders and seeds outermost, so that half a benchmark is a fair one."""
        return [
            Job(
                labels,
                method,
                seed,
                output / _budget(labels) / method / _folder(order, seed),
                _last(
                    *self.shared,
                    *settings,
                    *extra,
                    f"label_ratio={labels}",
                    f"seed={seed}",
                    *_order(order),
                ),
                order,
            )
            for seed in self.seeds
            for order in self.orders
            for labels in self.labels
            for method, settings in self.methods.items()
        ]


def _budget(labels: str) -> str:
    """A folder's name that no shell reads as a pattern, of a list of budgets as well."""
    return re.sub(r"""[][ '"]""", "", labels).replace("/", "_per_")


def _folder(order: int | None, seed: int) -> str:
    return f"seed{seed}" if order is None else f"order{order}_seed{seed}"


def _order(order: int | None) -> tuple[str, ...]:
    if order is None:
        return ()
    return "scenario.class_order=shuffled", f"scenario.order_seed={order}"


def _last(*words: str) -> tuple[str, ...]:
    """Of settings of the same key the last one, as the command takes each key once."""
    return tuple({word.partition("=")[0]: word for word in words}.values())


_LARGEST, _MOST_RUNS = 1 << 20, 10_000  # bytes of a benchmark's file; what it may ask for


def read(path: Path) -> Benchmark:
    """Read a benchmark file.

    Raises:
        InputError: it is missing, no YAML, or says something else than a benchmark.
    """
    fix = "see scripts/cifar100_mini.yaml for one"
    try:
        if path.exists() and not path.is_file():
            raise ValueError("no regular file")  # a pipe would be waited for
        if path.stat().st_size > _LARGEST:
            raise ValueError(f"more than {_LARGEST} bytes")
        content = from_yaml(path.read_text(encoding="utf-8"))
        return _checked(content)
    except OSError as error:
        raise InputError(str(path), error.strerror or str(error), fix) from error
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        reason = re.sub(r'in "<[^"]*>", ', "", str(error)) or "nested too deep"
        problem = f"expected the YAML of a benchmark, got: {reason}"
        raise InputError(str(path), problem, fix) from error


def _checked(content: Any) -> Benchmark:
    if not isinstance(content, dict):
        raise ValueError("no mapping of keys to values")
    if unknown := sorted(map(str, set(content) - {*KEYS, *MORE})):
        raise ValueError(f"unknown key {unknown[0]!r}")
    if missing := [key for key in KEYS if not content.get(key)]:
        raise ValueError(f"{missing[0]!r} is missing or empty")
    methods, seeds = content["methods"], content["seeds"]
    if not isinstance(methods, dict) or not all(map(_words, methods.values())):
        raise ValueError("'methods' is not name: [key=value, ...] for each")
    if not _words(content["shared"]) or not isinstance(content["labels"], list):
        raise ValueError("'shared' and 'labels' are not lists of words")
    orders = content.get("orders", [])
    for key, value in (("seeds", seeds), ("orders", orders)):
        if not isinstance(value, list) or not all(type(seed) is int for seed in value):
            raise ValueError(f"{key!r} is not a list of whole numbers")
    named = {str(name): settings for name, settings in methods.items()}
    labels = [str(each) for each in content["labels"]]
    # A run that stands there twice would count as two in every mean and spread.
    budgets = [_budget(each).replace("_per_", "/") for each in labels]
    for key, values in (("seeds", seeds), ("orders", orders), ("labels", budgets)):
        if twice := [each for each, count in Counter(values).items() if count > 1]:
            raise ValueError(f"{key!r} holds {twice[0]} twice")
    if bad := [name for name in map(str, methods) if Path(name).name != name or name == ".."]:
        raise ValueError(f"method {bad[0]!r} cannot be the name of a folder")
    if bad := [each for each in labels if _budget(each) in ("", ".", "..")]:
        raise ValueError(f"'labels' holds {bad[0]!r}, which cannot be the name of a folder")
    runs = len(methods) * len(labels) * len(seeds) * max(1, len(orders))
    if runs > _MOST_RUNS:
        raise ValueError(f"{runs} runs, more than {_MOST_RUNS}")
    reference = content.get("reference", next(iter(methods)))
    if reference not in methods:
        raise ValueError(f"reference {reference!r} is none of the methods")
    columns, measure = content.get("columns", {}), content.get("measure", ".".join(ACCURACY))
    if not isinstance(columns, dict):
        raise ValueError("'columns' is not heading: group.name for each, such as labels.covered")
    places = {str(heading): _place("columns", place) for heading, place in columns.items()}
    return Benchmark(
        shared=content["shared"],
        labels=labels,
        seeds=seeds,
        methods=named,
        reference=str(reference),
        orders=orders or [None],
        columns=places,
        measure=_place("measure", measure),
    )


def _place(key: str, word: Any) -> Place:
    """A place of results, of which at least the group has to be one."""
    place = tuple(word.split(".")) if isinstance(word, str) else ()
    if len(place) < 2 or place[0] not in OF_RESULTS:
        problem = f"{key!r} holds {word!r}, not group.name, such as labels.covered"
        raise ValueError(f"{problem}; groups are {', '.join(OF_RESULTS)}")
    return place


def _words(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(word, str) for word in value)
