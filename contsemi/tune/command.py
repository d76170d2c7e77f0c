"""The words of ``python -m contsemi.tune`` and what they do."""

import os
from argparse import Namespace
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from contsemi import compose
from contsemi.benchmark.command import refuse_words
from contsemi.benchmark.plan import Job
from contsemi.benchmark.settled import refuse_other_settings
from contsemi.benchmark.table import table
from contsemi.benchmark.training import train
from contsemi.compose.argv import split
from contsemi.compose.parts import at
from contsemi.config import Config
from contsemi.errors import InputError
from contsemi.report.door import Parser
from contsemi.storage.atomic import make_folder, storage, write_atomically
from contsemi.storage.lock import FolderLock, InUse
from contsemi.tune import __doc__ as purpose
from contsemi.tune.chosen import refuse_unwritable, write_experiment
from contsemi.tune.rules import RULES, Place, refuse_shared, trial_words
from contsemi.tune.sampling import Sampling
from contsemi.tune.search import Search, told
from contsemi.tune.space import Space, space_of
from contsemi.tune.trials import LOCK, OVER, Manifest, Trial, refuse_foreign

HOUR = 3600.0


def tune(arguments: Sequence[str] | None) -> int:
    """Search, choose, run what was chosen; the exit code of the first of these runs that failed."""
    given = _parser().parse_intermixed_args(arguments)
    refuse_words(given.settings, jobs=given.jobs, trials=given.trials)
    words = [f"{each.key}={each.text}" for each in split(given.settings).tokens]
    _check_words(given, words)
    seeds = _seeds(given.seeds)
    config = compose.load([*words, f"seed={max(seeds)}"])
    place = RULES[given.rule](config, seeds, given.validation, given.classes)
    space = space_of(config, words, place.idle)
    trial = trial_words(words, place)
    tried = compose.load(trial)
    if given.classes is not None:
        refuse_shared(config.scenario, tried.scenario)
    sampling = Sampling(space, seed=0)
    folder = given.output.resolve()
    refuse_foreign(folder)
    question = _question(given.rule, words, place, config, space)
    Manifest.open(folder, question)  # before anything is written there
    path = folder / f"tuned_{config.method}.yaml"
    refuse_unwritable(path, config, words)
    with storage(folder):
        make_folder(folder)
    with _alone(folder):
        manifest = Manifest.open(folder, question)  # as whoever had the folder has left it
        _refuse_others(manifest, config, words, trial, seeds)
        defaults = {key: at(config.model_dump(), key) for key in space}
        search = Search(manifest, sampling, trial, place.progress, defaults, _say)
        search.run(trials=given.trials, budget=given.budget * HOUR, jobs=given.jobs)
        if (over := manifest.count(*OVER)) < given.trials:
            _say(f"--budget={given.budget:g} is spent: {over} of {given.trials} trials are over")
        best = manifest.best
        if best is None:
            said = "".join(f" ({each.reason})" for each in manifest.trials[:1] if each.reason)
            problem = f"no trial of {len(manifest.trials)} was finished{said}"
            fix = "mend that" if said else "raise --budget"
            raise InputError(str(folder / "trials"), problem, f"{fix}, or see their logs")
        manifest.chosen = best.number
        manifest.write()
        write_experiment(path, manifest, best, config, words)
        _say(f"chosen: {told(best)}; python -m contsemi.run experiment={path}")
        return _report(manifest, config, words, seeds, given.jobs)


def _report(
    manifest: Manifest, config: Config, words: Sequence[str], seeds: Sequence[int], workers: int
) -> int:
    """Runs what was chosen once for each seed, and shows what came of it."""
    best = manifest.trials[manifest.chosen or 0]
    jobs = _runs(manifest, best, config, words, seeds)
    failed = train(jobs, workers, _say)
    text = "\n".join(table(jobs, config.method))
    _say(text)
    write_atomically(manifest.folder / "table.md", f"{text}\n".encode())
    return next(iter(failed.values()), 0)


def _runs(
    manifest: Manifest, trial: Trial, config: Config, words: Sequence[str], seeds: Sequence[int]
) -> list[Job]:
    # More trials may bring another choice, whose runs are others.
    runs, labels = manifest.folder / "runs" / f"{trial.number:03d}", str(config.label_ratio)
    return [
        Job(
            labels,
            config.method,
            seed,
            runs / f"seed{seed}",
            (*words, *trial.words, f"seed={seed}"),
        )
        for seed in seeds
    ]


def _refuse_others(
    manifest: Manifest,
    config: Config,
    words: Sequence[str],
    trial_words: Sequence[str],
    seeds: Sequence[int],
) -> None:
    """Refuses to compare trials, or to show runs, that were finished with other defaults.

    The command is the same, but a YAML file may have changed since, or the images.
    """
    tried = [
        Job("", config.method, 0, manifest.place_of(each), (*trial_words, *each.words))
        for each in manifest.trials
    ]
    runs = [job for each in manifest.trials for job in _runs(manifest, each, config, words, seeds)]
    try:
        refuse_other_settings([*tried, *runs])
    except InputError as error:
        fix = "give another --output, or remove the folder of this search"
        raise InputError(error.where, error.problem, fix) from None


def _parser() -> Parser:
    parser = Parser(prog="python -m contsemi.tune", description=purpose.splitlines()[0])
    parser.add_argument("--rule", choices=list(RULES), default="other", help="where to try")
    parser.add_argument("--trials", type=int, default=6, help="settings tried, the present first")
    parser.add_argument(
        "--budget", type=float, default=24.0, help="processor hours; then no trial begins"
    )
    parser.add_argument("--seeds", default="0,1,2", help="run with what was chosen, comma between")
    cores = len(os.sched_getaffinity(0))
    parser.add_argument("--jobs", type=int, default=cores, help="runs side by side")
    parser.add_argument("--classes", help="other classes, [20,21,...]; else they are found")
    parser.add_argument(
        "--validation", type=float, help="share of the labels that rule first tests; 0.25"
    )
    parser.add_argument("--output", type=Path, required=True, help="folder of trials and runs")
    parser.add_argument("settings", nargs="*", help="key=value: scenario=, method= and others")
    return parser


def _check_words(given: Namespace, words: Sequence[str]) -> None:
    if not given.budget > 0:
        raise InputError("--budget", f"expected hours above 0, got {given.budget}", "give another")
    if given.validation is not None and not 0 < given.validation < 1:
        problem = f"expected a share between 0 and 1, got {given.validation}"
        raise InputError("--validation", problem, "give another")
    keys = [word.partition("=")[0] for word in words]
    own = {"output": "--output", "seed": "--seeds", "resume": "", "display": ""}
    if taken := [key for key in keys if key in own]:
        fix = f"use {own[taken[0]]}" if own[taken[0]] else "leave it out"
        raise InputError(taken[0], "is set for each run", fix)
    if "method" not in keys and "experiment" not in keys:
        raise InputError("method", "is required", "write method=NAME")


def _seeds(text: str) -> list[int]:
    words = text.split(",")
    if not all(word.isascii() and word.isdigit() for word in words):
        raise InputError("--seeds", f"expected numbers with commas between, got {text}", "as 0,1,2")
    return list(dict.fromkeys(map(int, words)))


def _question(
    rule: str, words: Sequence[str], place: Place, config: Config, space: Space
) -> dict[str, Any]:
    return {
        "rule": rule,
        "score": place.said,
        "scenario": config.scenario.name,
        "method": config.method,
        "label_ratio": str(config.label_ratio),
        "settings": list(words),
        "trial_settings": list(place.settings),
        "space": {key: asdict(entry) for key, entry in space.items()},
    }


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One search in a folder at a time."""
    lock = FolderLock(folder / LOCK)
    try:
        with storage(folder):
            lock.acquire()
    except InUse as error:
        raise InputError(f"--output={folder}", f"is in use by {error}", "wait for it") from None
    try:
        yield
    finally:
        lock.release()


def _say(line: str) -> None:
    print(line, flush=True)
