"""The choice as an experiment file, which says by which rule it was made."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from contsemi import compose
from contsemi.compose import files, groups
from contsemi.compose.argv import split
from contsemi.compose.parts import at
from contsemi.config import Config
from contsemi.errors import InputError
from contsemi.records.plain import to_yaml
from contsemi.report.words import percent
from contsemi.storage.atomic import write_atomically
from contsemi.storage.differences import differences
from contsemi.tune.trials import Manifest, Trial

# Where a command was given, not what was chosen by it.
_NOT_OF_THE_CHOICE = ("output", "seed", "display", "resume", "device", "threads", "data.root")


def refuse_unwritable(path: Path, config: Config, words: Sequence[str]) -> None:
    """Refuses a command of which no file would make the same run, before anything is tried.

    Args:
        path: of the file that would be written.
        config: the run without what is searched.
        words: that made it.

    Raises:
        InputError: a path or a choice that an experiment cannot hold.
    """
    if "," in str(path):
        problem = "holds a comma, which experiment=FILE takes for several values"
        raise InputError(f"--output={path.parent}", problem, "name another folder")
    fix = "choose what it is by method= and keys alone"
    with TemporaryDirectory() as folder:
        trial = Path(folder) / path.name
        trial.write_bytes(_experiment(config, words, {}))
        where = [each.text for each in split(words).tokens if each.key == "data.root"]
        try:
            made = compose.load([f"experiment={trial}", *(f"data.root={each}" for each in where)])
        except InputError as error:
            problem = f"no experiment file could say this command ({error})"
            raise InputError("settings", problem, fix) from None
    then, now = (
        {key: value for key, value in each.model_dump().items() if key not in _NOT_OF_THE_CHOICE}
        for each in (config, made)
    )
    if differing := differences(then, now):
        problem = f"an experiment file of this command would have another {differing[0]}"
        raise InputError("settings", problem, fix)


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
    content = _experiment(config, words, trial.values)
    head, rest = content.split(b"\n", 1)
    write_atomically(path, head + b"\n" + _remarks(manifest, trial) + rest)


def _experiment(config: Config, words: Sequence[str], chosen: Mapping[str, Any]) -> bytes:
    """What makes the same run, in the order that Hydra wants: recipe, changes, values."""
    tokens = [each for each in split(words).tokens if each.key not in _NOT_OF_THE_CHOICE]
    choices, known = groups.choices(), config.model_dump()
    content: dict[str, Any] = {}
    changes: dict[str, Any] = {}
    values: dict[str, Any] = {}
    for each in tokens:
        if each.key == "experiment":
            content = _recipe(each.text)
        elif each.key in choices:
            changes[f"override /{groups.path(each.key)}"] = _chosen(each.text)
        else:
            values[each.key] = at(known, each.key)
    kept = [
        each
        for each in content.pop("defaults", [])
        if each != "_self_" and not (isinstance(each, dict) and changes.keys() & each.keys())
    ]
    defaults = [*kept, *({key: name} for key, name in changes.items()), "_self_"]
    for key, value in {**values, **chosen}.items():
        _put(content, key, value)
    return b"# @package _global_\n" + to_yaml({"defaults": defaults} | content)


def _recipe(text: str) -> dict[str, Any]:
    """What is built upon: a recipe by its name, or what stands in a file that lies elsewhere."""
    name = _chosen(text)
    if not name.endswith(".yaml"):
        return {"defaults": [name]}
    return deepcopy(dict(files.read(Path(name).expanduser().resolve())))


def _remarks(manifest: Manifest, trial: Trial) -> bytes:
    question, trials, count = manifest.question, manifest.trials, manifest.count
    lines = [
        f"Chosen by rule {question['rule']}: {question['score']}.",
        f"Trial {trial.number} of {len(trials)} ({count('pruned')} stopped early, "
        f"{count('failed')} failed, {count('waiting')} not ended), {percent(trial.score)} % there, "
        f"{manifest.processor_seconds / 3600:.2f} processor hours in all; see tune.json.",
    ]
    return "".join(f"# {line}\n" for line in lines).encode()


def _chosen(text: str) -> Any:
    """The name of a choice, or the names of several."""
    if text.startswith("["):
        return [each.strip(" '\"") for each in text.strip("[]").split(",")]
    return text[1:-1] if text[0] in "'\"" else text


def _put(values: dict[str, Any], key: str, value: Any) -> None:
    *sections, last = key.split(".")
    for section in sections:
        values = values.setdefault(section, {})
    values[last] = value
