"""Runs that stand finished in a benchmark's folders, and whether by the settings of its file."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from contsemi import compose
from contsemi.benchmark.plan import Job
from contsemi.config import Config
from contsemi.data import load
from contsemi.data.coarse import with_hierarchy
from contsemi.errors import InputError
from contsemi.pipeline.standing import bound
from contsemi.records.written import mapping, read_written
from contsemi.storage.differences import differences

_OF_THE_FOLDER = ("seed", "label_ratio")  # its name says them
_OF_THE_STREAM = ("experiment=", "scenario=", "scenario.")
_SPLITS = ("train", "test")
_FIX = "give another --output, or remove it"


def refuse_other_settings(jobs: Sequence[Job]) -> None:
    """Refuses a finished run that is not what its settings say by now: a table would hold both.

    Args:
        jobs: all runs; of one without its manifest the settings cannot be known.

    Raises:
        InputError: it was made with others, or of other images, or the present ones are no run's.
    """
    images = _Images()
    for job, config, asked in _asked(job for job in jobs if job.finished):
        manifest = _manifest(job.folder)
        then = manifest.get("config")
        made = _bound(then) if isinstance(then, dict) else {}
        if differing := differences(_common(made, asked), _common(asked, made)):
            changed = ", ".join(differing[:3])
            problem = f"is finished, with another {changed}"
            raise InputError(str(job.folder), problem, _FIX)
        images.compare(job, config, asked, manifest)


def refuse_mixed_images(jobs: Sequence[Job]) -> None:
    """Refuses a table of runs that have read different images at the same ``data.root``.

    Args:
        jobs: all runs; of one without its manifest the images cannot be known.

    Raises:
        InputError: what lay there has changed between two of them.
    """
    images = _Images()
    for job, config, asked in _asked(job for job in jobs if job.finished):
        images.compare(job, config, asked, _manifest(job.folder), look=False)


def refuse_other_tasks(jobs: Sequence[Job]) -> None:
    """Refuses methods of which one learns other classes or tasks than the next: no pair is one.

    A method's own experiment takes the place of a shared one, with all that this said.

    Args:
        jobs: all runs; of each method's words on the stream one of its runs is composed.

    Raises:
        InputError: they differ in more than what the pool of unlabelled images holds.
    """
    first: dict[tuple[str, ...], Job] = {}
    for job in jobs:
        if (job.labels, job.pair) == (jobs[0].labels, jobs[0].pair):
            words = tuple(word for word in job.settings if word.startswith(_OF_THE_STREAM))
            first.setdefault(words, job)
    if len(first) == 1:
        return
    streams = {
        job.method: {
            key: value
            for key, value in compose.load(list(job.settings)).scenario.model_dump().items()
            if not key.startswith("unlabelled")
        }
        for job in first.values()
    }
    (reference, expected), *others = streams.items()
    for method, stream in others:
        if differing := differences(expected, stream):
            problem = f"is of another {differing[0]} than {reference}"
            raise InputError(f"method {method}", problem, "give all of them the same tasks")


class _Images:
    """The images that runs of the same data keys have in common."""

    def __init__(self) -> None:
        self._of: dict[str, tuple[dict[str, str | None], str]] = {}
        self._at: dict[str, dict[str, str | None] | None] = {}

    def compare(
        self,
        job: Job,
        config: Config,
        asked: Mapping[str, Any],
        manifest: Mapping[str, Any],
        *,
        look: bool = True,
    ) -> None:
        """Refuses a run of other images than the others', or than those at ``data.root`` now.

        Only of another ``data.root`` the images are looked at: the same ones may lie elsewhere.
        """
        saved, then = manifest.get("dataset_digests"), manifest.get("config")
        if not isinstance(saved, dict) or not isinstance(then, dict):
            return
        digests = {split: saved.get(split) for split in _SPLITS}  # a seed draws what else comes
        if config.scenario.validation:  # the images are those that a draw has left
            drawn = asked["scenario"], asked["labels"], job.labels, job.seed
            key, look = json.dumps([asked["data"], drawn]), False
        else:
            key = json.dumps([asked["data"], config.scenario.dataset, config.scenario.hierarchy])
        found, where = self._of.setdefault(key, (digests, str(job.folder)))
        if found == digests and look and _place(then.get("data")) != _place(dict(config.data)):
            at = json.dumps([key, _place(dict(config.data))])
            if at not in self._at:
                self._at[at] = _digests(config)
            found, where = self._at[at] or digests, f"data.root={config.data.root}"
        if found != digests:
            problem = f"is finished, with other images than {where}"
            raise InputError(str(job.folder), problem, _FIX)


def _place(data: Any) -> list[Any]:
    """Where images lie and how they are read."""
    return [data.get("root"), data.get("source")] if isinstance(data, Mapping) else []


def _digests(config: Config) -> dict[str, str | None] | None:
    """Of the images at ``data.root``; ``None`` where they would have to be fetched first."""
    root = config.data.root
    if root is not None and not Path(root).expanduser().is_dir():
        return None
    here = config.data.model_copy(update={"download": False})
    try:
        train, test = load(here, config.scenario.dataset)
    except InputError:
        if config.data.download:
            return None
        raise
    train = with_hierarchy(train, config.scenario.hierarchy)
    return dict(zip(_SPLITS, (train.digest, test.digest), strict=True))


def _asked(jobs: Iterator[Job]) -> Iterator[tuple[Job, Config, dict[str, Any]]]:
    """Each run, what it is asked to be, and what it is bound to; those of seeds are made once."""
    composed: dict[tuple[str, ...], tuple[Config, dict[str, Any]]] = {}
    for job in jobs:
        words = tuple(word for word in job.settings if not word.startswith("seed="))
        if words not in composed:
            config = compose.load(list(words))
            composed[words] = config, _bound(config.model_dump())
        yield job, *composed[words]


def _manifest(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = read_written(folder / "manifest.json", mapping(json.loads), missing={})
    return found


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
