"""The results of a benchmark as Markdown."""

from collections.abc import Iterator, Mapping, Sequence
from math import inf
from statistics import fmean, stdev
from types import MappingProxyType
from typing import Any

from contsemi.benchmark.plan import ACCURACY, Job, Place
from contsemi.metrics.matrix import Undefined
from contsemi.metrics.paired import paired_difference
from contsemi.records.conditions import unlike_conditions
from contsemi.records.finished import FinishedRun, load_run
from contsemi.records.labelling import unlike
from contsemi.report.words import is_share, less_is_better, one_line

COLUMNS: dict[str, Place] = {
    "average accuracy": ACCURACY,
    "average incremental": ("class_incremental", "average_incremental_accuracy"),
    "forgetting": ("class_incremental", "forgetting"),
    "task-incremental": ("task_incremental", "average_accuracy"),
}
SIGN = " | ".join(COLUMNS).encode()
"""What stands in every table, whatever its plan: by it a file is known as one."""


def table(
    jobs: Sequence[Job],
    reference: str,
    more: Mapping[str, Place] = MappingProxyType({}),
    measure: Place = ACCURACY,
) -> Iterator[str]:
    """Mean ± standard deviation over orders and seeds, and how far the reference is ahead.

    Args:
        jobs: all runs; those that are not finished are left out.
        reference: name of the method that the others are compared with.
        more: further columns, at places of ``results.json``; shares are shown in percent.
        measure: what methods are ordered by, best first, and compared in; of forgetting, errors
            and the like less is better, and the reference is ahead by what it has less.
    """
    sign = -1 if less_is_better(measure[-1]) else 1
    pairs = list(dict.fromkeys(job.pair for job in jobs))
    seeds = "seeds" if all(job.order is None for job in jobs) else "runs"
    # Runs of one order are alike: where there are several orders, each counts once.
    several = len({order for order, _ in pairs}) > 1
    units = {place: pair[0] if several else place for place, pair in enumerate(pairs)}
    for labels in dict.fromkeys(job.labels for job in jobs):
        runs: dict[str, dict[int, FinishedRun]] = {}  # by the place of their order and seed
        for job in jobs:
            if job.labels == labels and job.finished:
                runs.setdefault(job.method, {})[pairs.index(job.pair)] = load_run(job.folder)
        every = [run for found in runs.values() for run in found.values()]
        many = any(len(run.class_incremental) > 1 for run in every)
        columns = list(COLUMNS.items())  # a further one of the same heading stands beside it
        if any(map(_another_predicts, every)):
            columns.append(("by its own head", ("predictors", "objective", "average_accuracy")))
        columns += more.items()
        yield f"\n### {labels}\n"
        headings = [one_line(heading).replace("|", "\\|") for heading, _ in columns]
        names = ["method", seeds, *headings, f"{reference} ahead by", "bytes", "seconds"]
        yield f"| {' | '.join(names)} |"
        yield "|---" * len(names) + "|"
        for method, by_seed in sorted(runs.items(), key=lambda item: _rank(item[1], measure, sign)):
            cells = [method, str(len(by_seed))]
            tested = by_seed
            if many and all(len(run.class_incremental) == 1 for run in by_seed.values()):
                tested = {}  # of all classes at once: of which task an image is tells nothing
            cells += [
                _spread(tested if place[0] == "task_incremental" else by_seed, *place)
                for _, place in columns
            ]
            ahead = _ahead(runs.get(reference, {}), by_seed, measure, sign, units)
            cells += [ahead if method != reference else "-"]
            cells += [f"{max(run.results['memory_bytes'] for run in by_seed.values()):,}"]
            cells += [f"{max(run.results['seconds'] for run in by_seed.values()):.0f}"]
            yield f"| {' | '.join(cells)} |"
        if several and len(pairs) > len(set(units.values())):
            yield "\nIntervals are over orders: a difference is the mean of an order's seeds."
        shown = [(pair, name, run) for name, found in runs.items() for pair, run in found.items()]
        for line in (*unlike(shown), *unlike_conditions((name, run) for _, name, run in shown)):
            yield f"\n{line[0].upper()}{line[1:]}."
        for place in dict.fromkeys((*more.values(), measure)):
            if runs and not any(_values(by_seed, *place) for by_seed in runs.values()):
                yield f"\nNo run has a number at {'.'.join(place)}."


def _another_predicts(run: FinishedRun) -> bool:
    """Whether the headline is not what the objective's own head says in the same run."""
    found = run.results.get("predictors") or {}
    return "objective" in found and found["objective"] != found.get("headline")


def _values(by_seed: Mapping[int, FinishedRun], *place: str) -> dict[int, float]:
    found = {seed: _at(run.results, place) for seed, run in by_seed.items()}
    unit = 100 if is_share(place[-1]) else 1
    return {seed: unit * value for seed, value in found.items() if isinstance(value, float | int)}


def _at(results: Mapping[str, Any], place: Place) -> Any:
    value: Any = results
    for name in place:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def _rank(by_seed: Mapping[int, FinishedRun], place: Place, sign: int) -> float:
    """The less, the further up; what has no number is last."""
    values = _values(by_seed, *place)
    return -sign * fmean(values.values()) if values else inf


def _spread(by_seed: Mapping[int, FinishedRun], *place: str) -> str:
    values = list(_values(by_seed, *place).values())
    if not values:
        return "-"
    mean = f"{fmean(values):.1f}"
    return mean if len(values) == 1 else f"{mean} ± {stdev(values):.1f}"


def _ahead(
    reference: Mapping[int, FinishedRun],
    other: Mapping[int, FinishedRun],
    place: Place,
    sign: int,
    units: Mapping[int, int | None],
) -> str:
    """Mean of the paired difference, with its 95 % t interval.

    Args:
        reference: its runs, by the place of order and seed.
        other: those of the method that it is compared with.
        place: of what is compared.
        sign: -1 where less is better.
        units: the place of order and seed -> what counts as one draw.
    """
    pair = (_values(each, *place) for each in (reference, other))
    first, second = ({seed: sign * x for seed, x in values.items()} for values in pair)
    leads: dict[int | None, list[float]] = {}
    for seed in first.keys() & second.keys():
        leads.setdefault(units[seed], []).append(first[seed] - second[seed])
    means = {place: fmean(found) for place, found in enumerate(leads.values())}
    found = paired_difference(means, dict.fromkeys(means, 0.0))
    count = sum(map(len, leads.values()))
    few = "" if count == len(other) else f" ({count} {'pair' if count == 1 else 'pairs'})"
    if isinstance(found, Undefined):
        return f"{means[0]:+.1f} (1 pair)" if count == 1 else "-"
    return f"{found.mean:+.1f} [{found.low:+.1f}, {found.high:+.1f}]{few}"
