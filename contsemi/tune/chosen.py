"""The choice as an experiment file, which says by which rule it was made."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from contsemi import compose
from contsemi.compose import groups
from contsemi.compose.argv import split
from contsemi.compose.parts import at
from contsemi.config import Config
from contsemi.records.plain import to_yaml
from contsemi.report.words import percent
from contsemi.storage.atomic import write_atomically
from contsemi.tune.trials import Manifest, Trial

# Where a command was given, not what was chosen by it.
_NOT_OF_THE_CHOICE = ("output", "seed", "display", "resume", "device", "threads", "data.root")


def write_experiment(
    path: Path, manifest: Manifest, trial: Trial, config: Config, words: Sequence[str]
) -> None:
    """Write a file that ``python -m contsemi.run experiment=FILE`` takes.

    Args:
        path: of the file; its name without ``.yaml`` is the experiment's.
        manifest: of the search.
        trial: that is chosen.
        config: the run without what was searched.
        words: that made it.

    Raises:
        StorageFailed: it cannot be written.
    """
    tokens = [each for each in split(words).tokens if each.key not in _NOT_OF_THE_CHOICE]
    choices = groups.choices()
    known = config.model_dump()
    defaults = [
        # A recipe is built upon, other choices are changed.
        each.text
        if each.key == "experiment"
        else {f"override /{groups.path(each.key)}": _chosen(each.text)}
        for each in tokens
        if each.key in choices
    ]
    values: dict[str, Any] = {}
    for each in tokens:
        if each.key not in choices:
            _put(values, each.key, at(known, each.key))
    for key, value in trial.values.items():
        _put(values, key, value)
    content = to_yaml({"defaults": [*defaults, "_self_"]} | values)
    write_atomically(path, b"# @package _global_\n" + _remarks(manifest, trial) + content)
    compose.load([f"experiment={path}", *(w for w in words if w.startswith("data.root="))])


def _remarks(manifest: Manifest, trial: Trial) -> bytes:
    question, trials = manifest.question, manifest.trials
    states = [each.state for each in trials]
    lines = [
        f"Chosen by rule {question['rule']}: {question['score']}.",
        f"Trial {trial.number} of {len(trials)} ({states.count('pruned')} stopped early, "
        f"{states.count('failed')} failed), {percent(trial.score)} % there, "
        f"{manifest.processor_seconds / 3600:.2f} processor hours in all; see tune.json.",
    ]
    return "".join(f"# {line}\n" for line in lines).encode()


def _chosen(text: str) -> Any:
    """The name of a choice, or the names of several."""
    return text.strip("[]").split(",") if text.startswith("[") else text


def _put(values: dict[str, Any], key: str, value: Any) -> None:
    *sections, last = key.split(".")
    for section in sections:
        values = values.setdefault(section, {})
    values[last] = value
