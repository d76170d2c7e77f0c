"""Runs side by side: mean ± standard deviation over seeds of each method."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from statistics import fmean, stdev
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import RenderableType

from contsemi.errors import first_of
from contsemi.metrics.average_accuracy import average_accuracy
from contsemi.metrics.matrix import Undefined
from contsemi.records.conditions import unlike_conditions
from contsemi.records.effects import with_effect
from contsemi.records.finished import FinishedRun
from contsemi.records.labelling import unlike
from contsemi.report.screen.grid import grid
from contsemi.report.words import one_line, percent

# Beside what makes runs others: seeds are averaged over, and the label budget is a column.
COLUMNS = ("seed", "label_ratio")

# Tasks and images: a difference in them is said of every method, not of the runs of one alone.
PLACE = ("scenario.", "images")

# More differing keys than this would hide the numbers.
FEW_KEYS = 3

COMPARED = ("average_accuracy", "average_incremental_accuracy", "forgetting")


COSTS = ("seconds", "memory_bytes")


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """Runs that differ in their seed alone.

    Attributes:
        scenario, method, labels: what they have in common; settings in which runs of one method
            differ are part of its name, and those of the scenario in which runs of any do.
        unlike: what its labels, and what it was made on, do not have in common with those of
            groups beside it.
        place: keys in which its tasks or images are others than those of groups beside it.
        seeds: of each run, in order.
        values: name of a metric -> its class-incremental value in each run, ``None`` where it
            is not defined; ``seconds`` and ``memory_bytes`` likewise.
        curves: [runs, T], average class-incremental accuracy after each task; NaN where undefined.
    """

    scenario: str
    method: str
    labels: str
    seeds: tuple[int, ...]
    values: Mapping[str, tuple[float | None, ...]]
    curves: NDArray[np.float64]
    place: tuple[str, ...] = ()
    unlike: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """What the runs have in common, in one line."""
        return f"{self.method} on {self.scenario} with labels {self.labels}"

    def by_seed(self, metric: str) -> dict[int, float]:
        """Seed -> value, as far as it is defined; the mean of runs with the same seed."""
        found: dict[int, list[float]] = defaultdict(list)
        for seed, value in zip(self.seeds, self.values[metric], strict=True):
            if value is not None:
                found[seed].append(value)
        return {seed: fmean(values) for seed, values in found.items()}

    def mean(self, metric: str) -> float | None:
        """Mean over the runs where it is defined."""
        values = [value for value in self.values[metric] if value is not None]
        return fmean(values) if values else None

    def spread(self, metric: str) -> str:
        """Mean ± standard deviation (n − 1) in percent; of one run the value alone."""
        values = [value for value in self.values[metric] if value is not None]
        if not values:
            return "-"
        if len(values) == 1:
            return percent(values[0])
        return f"{percent(fmean(values))} ± {percent(stdev(values))}"


def compare(runs: Sequence[FinishedRun]) -> list[Group]:
    """Group runs by scenario, labels, method and settings, in the order of their names."""
    beside: dict[tuple[str, str], list[FinishedRun]] = defaultdict(list)
    for run in runs:
        beside[str(run.results["scenario"]), run.labels].append(run)
    groups = []
    for (scenario, labels), rivals in sorted(beside.items()):
        place = [key for key in _differing(map(_settings, rivals)) if key.startswith(PLACE)]
        grouped: dict[str, list[FinishedRun]] = defaultdict(list)
        for run in rivals:
            grouped[str(run.results["method"])].append(run)
        named: dict[str, list[FinishedRun]] = {}
        for method, members in sorted(grouped.items()):
            for settings, same in sorted(_by_settings(members, rivals, place).items()):
                named[" ".join([method, *(f"{key}={value}" for key, value in settings)])] = same
        same_place = [(name, run) for name in named for run in named[name]]
        said = unlike((run.results["seed"], name, run) for name, run in same_place)
        said += unlike_conditions(same_place)
        for name, same in named.items():
            groups.append(_group(scenario, labels, name, same, tuple(place), tuple(said)))
    return groups


def _group(
    scenario: str,
    labels: str,
    method: str,
    members: list[FinishedRun],
    place: tuple[str, ...],
    said: tuple[str, ...],
) -> Group:
    members.sort(key=lambda run: int(run.results["seed"]))
    return Group(
        scenario=scenario,
        method=method,
        labels=labels,
        seeds=tuple(int(run.results["seed"]) for run in members),
        values={
            name: tuple(run.results["class_incremental"][name] for run in members)
            for name in COMPARED
        }
        | {name: tuple(run.results[name] for run in members) for name in COSTS},
        curves=np.array([_curve(run, max(map(_tasks, members))) for run in members]),
        place=place,
        unlike=said,
    )


def _tasks(run: FinishedRun) -> int:
    return len(run.class_incremental)


def _curve(run: FinishedRun, tasks: int) -> list[float]:
    means = [average_accuracy(run.class_incremental, task) for task in range(_tasks(run))]
    known = [math.nan if isinstance(mean, Undefined) else mean for mean in means]
    return known + [math.nan] * (tasks - len(known))


def _by_settings(
    runs: Sequence[FinishedRun], rivals: Sequence[FinishedRun], place: Sequence[str]
) -> dict[tuple[tuple[str, str], ...], list[FinishedRun]]:
    """Runs of one method apart by the keys in which they differ, or any two beside them do."""
    flat, others = list(map(_settings, runs)), list(map(_settings, rivals))
    differing = sorted({*_differing(flat), *place})
    usual = {
        key: Counter(each.get(key, "-") for each in (others if key in place else flat))
        for key in differing
    }
    found: dict[tuple[tuple[str, str], ...], list[FinishedRun]] = defaultdict(list)
    for run, each in zip(runs, flat, strict=True):
        own = [(key, each.get(key, "-")) for key in differing]
        if len(differing) > FEW_KEYS:  # then only what is unusual
            own = [(key, value) for key, value in own if value != usual[key].most_common(1)[0][0]]
        found[tuple(own)].append(run)
    return found


def _differing(settings: Iterable[Mapping[str, str]]) -> list[str]:
    """The keys that have several values, or are missing somewhere."""
    flat = list(settings)
    keys = sorted({key for each in flat for key in each})
    return [key for key in keys if len({each.get(key) for each in flat}) > 1]


def _settings(run: FinishedRun) -> dict[str, str]:
    """The keys that decide what a run computes, flattened, but for its seed; and its images."""
    decisive = with_effect(run.config, "numbers")
    found = _flat({key: value for key, value in decisive.items() if key not in COLUMNS})
    digests = run.manifest.get("dataset_digests")
    # A share that is taken out for validation is drawn by the seed.
    if isinstance(digests, Mapping) and found.get("scenario.validation", "0") in ("0", "0.0"):
        found["images"] = ".".join(str(digests.get(split))[:4] for split in ("train", "test"))
    return found


def _flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    found: dict[str, str] = {}
    for key, value in config.items():
        if isinstance(value, Mapping):
            found |= _flat(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = str(value)
    return found


def comparison_tables(groups: Sequence[Group], width: int) -> list[RenderableType]:
    """One table for each scenario and label budget, a line a method; class-incremental."""
    header = ["method", "seeds", "average\naccuracy", "incremental\naccuracy", "forgetting"]
    tables = []
    for (scenario, labels), members in groupby(groups, key=lambda g: (g.scenario, g.labels)):
        rows = [
            [one_line(group.method), str(len(set(group.seeds))), *map(group.spread, COMPARED)]
            for group in members
        ]
        title = f"{one_line(scenario)} · labels {one_line(labels)} · class-incremental [%]"
        tables.append(grid(title, header, rows, width=width))
    return tables


def remarks(groups: Sequence[Group]) -> list[str]:
    """What a reader of the tables must know before trusting them."""
    few = [group.name for group in groups if len(set(group.seeds)) < 3]
    twice = [group.name for group in groups if len(set(group.seeds)) < len(group.seeds)]
    found = []
    if few:
        found.append(f"fewer than 3 seeds say little about the spread: {first_of(few, 5)}")
    if place := dict.fromkeys(key for group in groups for key in group.place):
        found.append(
            f"not all have the same tasks and images: their names say {first_of([*place], 5)}"
        )
    for group, line in dict.fromkeys(
        (f"{each.scenario} with labels {each.labels}", line)
        for each in groups
        for line in each.unlike
    ):
        found.append(f"{group}: {line}")
    if twice:
        found.append(f"several runs have the same seed and count as one each: {first_of(twice, 5)}")
    return found
