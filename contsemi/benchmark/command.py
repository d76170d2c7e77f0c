"""The words of ``python -m contsemi.benchmark`` and what they do."""

import os
from collections.abc import Sequence
from pathlib import Path

from contsemi.benchmark import __doc__ as purpose
from contsemi.benchmark.plan import Job, read
from contsemi.benchmark.settled import (
    refuse_mixed_images,
    refuse_other_settings,
    refuse_other_tasks,
)
from contsemi.benchmark.table import SIGN, table
from contsemi.benchmark.training import train
from contsemi.errors import InputError
from contsemi.report.door import Parser
from contsemi.storage.atomic import make_folder, storage, write_atomically
from contsemi.storage.own import refuse_others


def benchmark(arguments: Sequence[str] | None) -> int:
    """Train what is missing and write the table; the exit code of the first run that failed."""
    given = _parser().parse_intermixed_args(arguments)
    plan = read(given.benchmark)
    refuse_words(given.settings, jobs=given.jobs)
    jobs = plan.jobs(given.output.resolve(), given.settings)
    chosen = _chosen(jobs, {"only": given.only, "labels": given.labels, "seeds": given.seeds})
    refuse_others(given.output / "table.md", "--output", SIGN)
    refuse_other_tasks(jobs)
    refuse_other_settings(jobs)
    with storage(given.output):
        make_folder(given.output)
    failed = train(chosen, given.jobs, lambda line: print(line, flush=True))
    refuse_mixed_images(jobs)
    text = "\n".join(table(jobs, plan.reference, plan.columns, plan.measure))
    print(text)
    write_atomically(given.output / "table.md", f"{text}\n".encode())
    return next(iter(failed.values()), 0)


def refuse_words(settings: Sequence[str], **counts: int) -> None:
    """Refuses settings that are no ``key=value``, and an option below 1.

    Raises:
        InputError: one of them is.
    """
    for name, value in counts.items():
        if value < 1:
            raise InputError(f"--{name}", f"expected 1 or more, got {value}", "give another")
    if bad := [word for word in settings if "=" not in word]:
        raise InputError(bad[0], "is no key=value", "--help shows how it is called")


def _parser() -> Parser:
    parser = Parser(prog="python -m contsemi.benchmark", description=purpose.splitlines()[0])
    parser.add_argument("benchmark", type=Path, help="YAML file of the benchmark")
    parser.add_argument("--output", type=Path, required=True, help="folder of all runs")
    parser.add_argument(
        "--jobs", type=int, default=len(os.sched_getaffinity(0)), help="runs side by side"
    )
    parser.add_argument("--only", help="methods to train, comma between; the table shows all")
    parser.add_argument("--labels", help="label budgets to train, likewise")
    parser.add_argument("--seeds", help="seeds to train, likewise")
    parser.add_argument("settings", nargs="*", help="key=value for all runs, such as data.root=")
    return parser


def _chosen(jobs: Sequence[Job], wanted: dict[str, str | None]) -> list[Job]:
    left = list(jobs)
    for word, names in wanted.items():
        if names is None:
            continue
        key = {"only": "method", "seeds": "seed"}.get(word, word)
        of = {job: str(getattr(job, key)) for job in jobs}
        for name in names.split(","):
            if name not in of.values():
                known = ", ".join(dict.fromkeys(of.values()))
                raise InputError(f"--{word}", f"{name!r} is not in the benchmark", f"use {known}")
        left = [job for job in left if of[job] in names.split(",")]
    return left
