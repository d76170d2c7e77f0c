"""Methods times seeds on one scenario: same labels, order, epochs and bytes; then the table.

A benchmark is a YAML file: settings that all runs share, label budgets, seeds, and for each method
its own settings. Every run is a process of its own; a run that is finished is not repeated, one
that was interrupted goes on, so the same command can be given again at any time.

    python scripts/benchmark.py scripts/cifar100_mini.yaml --output bench data.root=FOLDER
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from contsemi.metrics.matrix import Undefined
from contsemi.metrics.paired import mean_and_deviation, paired_difference
from contsemi.records.finished import Run, load_run

COLUMNS = {
    "average accuracy": ("class_incremental", "average_accuracy"),
    "average incremental": ("class_incremental", "average_incremental_accuracy"),
    "forgetting": ("class_incremental", "forgetting"),
    "task-incremental": ("task_incremental", "average_accuracy"),
}


@dataclass(frozen=True, slots=True)
class Job:
    """One run: its place in the benchmark, its folder and its settings."""

    labels: str
    method: str
    seed: int
    folder: Path
    settings: tuple[str, ...]

    @property
    def name(self) -> str:
        """What the run is, in one line."""
        return f"{self.method}, {self.labels}, seed {self.seed}"

    @property
    def finished(self) -> bool:
        """Whether its results are there."""
        return (self.folder / "results.json").is_file()


def plan(benchmark: Mapping[str, Any], output: Path, extra: Sequence[str]) -> list[Job]:
    """All runs of a benchmark; seeds outermost, so that half a benchmark is a fair one."""
    return [
        Job(
            labels,
            method,
            seed,
            output / labels.replace("/", "_per_") / method / f"seed{seed}",
            _last(
                *benchmark["shared"],
                *settings,
                *extra,
                f"label_ratio={labels}",
                f"seed={seed}",
            ),
        )
        for seed in benchmark["seeds"]
        for labels in benchmark["labels"]
        for method, settings in benchmark["methods"].items()
    ]


def _last(*words: str) -> tuple[str, ...]:
    """Of settings of the same key the last one, as the command takes each key once."""
    return tuple({word.partition("=")[0]: word for word in words}.values())


def execute(job: Job) -> int:
    """Trains one run in a process of its own; its screen goes to a file beside its folder."""
    job.folder.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "contsemi.run", *job.settings]
    command += [f"output={job.folder}", "display=plain"]
    with job.folder.with_suffix(".log").open("w", encoding="utf-8") as log:
        one = dict(os.environ, OMP_NUM_THREADS="1")
        return subprocess.run(command, stdout=log, stderr=log, env=one, check=False).returncode


def execute_all(jobs: Sequence[Job], workers: int) -> list[Job]:
    """Trains what is not finished, side by side; the jobs that failed come back."""
    waiting = [job for job in jobs if not job.finished]
    print(f"{len(jobs) - len(waiting)} of {len(jobs)} runs are finished", flush=True)
    failed = []

    def work(job: Job) -> None:
        start = time.monotonic()
        code = execute(job)
        took = f"{time.monotonic() - start:.0f} s"
        if code:
            failed.append(job)
            took = f"exit code {code}, see {job.folder.with_suffix('.log')}"
        print(f"{job.name}: {took}", flush=True)

    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(work, waiting))
    return failed


def table(jobs: Sequence[Job], reference: str) -> Iterator[str]:
    """The results as Markdown: mean ± standard deviation, and how far the reference is ahead."""
    for labels in dict.fromkeys(job.labels for job in jobs):
        runs: dict[str, dict[int, Run]] = {}
        for job in jobs:
            if job.labels == labels and job.finished:
                runs.setdefault(job.method, {})[job.seed] = load_run(job.folder)
        yield f"\n### {labels}\n"
        yield f"| method | seeds | {' | '.join(COLUMNS)} | {reference} ahead by | bytes | seconds |"
        yield "|---" * (len(COLUMNS) + 5) + "|"
        for method, by_seed in sorted(runs.items(), key=lambda item: -_mean(item[1])):
            cells = [method, str(len(by_seed))]
            cells += [_spread(by_seed, *place) for place in COLUMNS.values()]
            cells += [_ahead(runs.get(reference, {}), by_seed) if method != reference else "-"]
            cells += [f"{max(run.results['memory_bytes'] for run in by_seed.values()):,}"]
            cells += [f"{max(run.results['seconds'] for run in by_seed.values()):.0f}"]
            yield f"| {' | '.join(cells)} |"


def _values(by_seed: Mapping[int, Run], kind: str, name: str) -> dict[int, float]:
    found = {seed: run.results[kind].get(name) for seed, run in by_seed.items()}
    return {seed: 100 * value for seed, value in found.items() if value is not None}


def _mean(by_seed: Mapping[int, Run]) -> float:
    values = _values(by_seed, *COLUMNS["average accuracy"])
    return sum(values.values()) / max(len(values), 1)


def _spread(by_seed: Mapping[int, Run], kind: str, name: str) -> str:
    spread = mean_and_deviation(list(_values(by_seed, kind, name).values()))
    if isinstance(spread, Undefined):
        return "-"
    if isinstance(spread.deviation, Undefined):
        return f"{spread.mean:.1f}"
    return f"{spread.mean:.1f} ± {spread.deviation:.1f}"


def _ahead(reference: Mapping[int, Run], other: Mapping[int, Run]) -> str:
    """Mean of the paired difference, with its 95 % t interval."""
    place = COLUMNS["average accuracy"]
    found = paired_difference(_values(reference, *place), _values(other, *place))
    if isinstance(found, Undefined):
        return "-"
    return f"{found.mean:+.1f} [{found.low:+.1f}, {found.high:+.1f}]"


def main() -> int:
    """Reads the benchmark, trains what is missing, writes the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("benchmark", type=Path, help="YAML file of the benchmark")
    parser.add_argument("--output", type=Path, required=True, help="folder of all runs")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--only", help="methods to train, comma between; the table shows all")
    parser.add_argument("--labels", help="label budgets to train, likewise")
    parser.add_argument("--seeds", help="seeds to train, likewise")
    parser.add_argument("settings", nargs="*", help="key=value for all runs, such as data.root=")
    given = parser.parse_intermixed_args()
    benchmark = yaml.safe_load(given.benchmark.read_text(encoding="utf-8"))
    jobs = plan(benchmark, given.output.resolve(), given.settings)
    wanted = (
        (given.only, lambda job: job.method),
        (given.labels, lambda job: job.labels),
        (given.seeds, lambda job: str(job.seed)),
    )
    chosen = [
        job for job in jobs if all(not names or of(job) in names.split(",") for names, of in wanted)
    ]
    failed = execute_all(chosen, given.jobs)
    lines = list(table(jobs, benchmark["reference"]))
    print("\n".join(lines))
    (given.output / "table.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
