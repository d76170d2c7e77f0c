"""Runs that stand finished in a benchmark's folders, and whether by the settings of its file."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from contsemi import compose
from contsemi.benchmark.plan import Job
from contsemi.errors import InputError
from contsemi.pipeline.standing import bound
from contsemi.records.written import mapping, read_written
from contsemi.storage.differences import differences

_OF_THE_FOLDER = ("seed", "label_ratio")  # its name says them


def refuse_other_settings(jobs: Sequence[Job]) -> None:
    """Refuses a finished run that is not what its settings say by now: a table would hold both.

    Args:
        jobs: all runs; of one without its manifest the settings cannot be known.

    Raises:
        InputError: it was made with others, or the present ones are no run's.
    """
    for job, asked in _asked(job for job in jobs if job.finished):
        made = _made(job.folder)
        if differing := differences(_common(made, asked), _common(asked, made)):
            changed = ", ".join(differing[:3])
            problem = f"is finished, with another {changed}"
            raise InputError(str(job.folder), problem, "give another --output, or remove it")


def _asked(jobs: Iterator[Job]) -> Iterator[tuple[Job, dict[str, Any]]]:
    """Each run and the keys that it is to be bound to; those of seeds are composed once."""
    composed: dict[tuple[str, ...], dict[str, Any]] = {}
    for job in jobs:
        words = tuple(word for word in job.settings if not word.startswith("seed="))
        if words not in composed:
            composed[words] = _bound(compose.load(list(words)).model_dump())
        yield job, composed[words]


def _made(folder: Path) -> dict[str, Any]:
    path = folder / "manifest.json"
    found: dict[str, Any] = read_written(path, mapping(json.loads), missing={})
    config = found.get("config")
    return _bound(config) if isinstance(config, dict) else {}


def _bound(config: Mapping[str, Any]) -> dict[str, Any]:
    plain = json.loads(json.dumps(bound(config), default=str))
    return {key: value for key, value in plain.items() if key not in _OF_THE_FOLDER}


def _common(config: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """What both know: a run of another version may have had fewer keys, or more."""
    return {
        key: _common(value, other[key])
        if isinstance(value, Mapping) and isinstance(other[key], Mapping)
        else value
        for key, value in config.items()
        if key in other
    }
