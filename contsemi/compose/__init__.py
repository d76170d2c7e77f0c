"""The front: the command line becomes a checked :class:`~contsemi.config.Config`.

Everything wrong with a command is found here, in one line, before torch is imported and before a
folder is made. Hydra composes the YAML files; the schema is closed: keys and choices that do not
exist are refused with the nearest one that does. Configuration is data and never runs code.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from contsemi.compose import argv, check, consistency, files, groups, overrides, sizes, usage
from contsemi.compose.names import run_name
from contsemi.compose.parts import at
from contsemi.compose.unread import refuse_unread
from contsemi.config import Config
from contsemi.discovery import ROOMS, SEVERAL
from contsemi.errors import InputError, SeveralValues
from contsemi.records.effects import with_effect

__all__ = ["Composed", "expand", "load", "one", "plain", "run_name", "to_yaml", "usage"]


@dataclass(frozen=True)
class Composed:
    """One run of a command.

    Attributes:
        config: its checked configuration.
        words: the overrides that made it, in Hydra's grammar.
        given: keys of the command line that change a value, and the values without it; choices of
            files are not among them.
    """

    config: Config
    words: tuple[str, ...]
    given: Mapping[str, Any] = field(default_factory=dict)


def load(overrides: Sequence[str] = ()) -> Config:
    """The configuration of one run, as the command line makes it.

    Args:
        overrides: words such as ``["scenario=cifar100_10tasks", "label_ratio=0.8%"]``.

    Raises:
        InputError: one of them is wrong; the message says how to mend it.
    """
    return one(overrides).config


def one(overrides: Sequence[str]) -> Composed:
    """The one run of some words; see :func:`load`."""
    try:
        (run,) = expand(argv.split(overrides).tokens)
    except SeveralValues as error:
        raise InputError(error.where, error.problem, error.alone) from None
    return run


def expand(tokens: Sequence[argv.Token], *, multirun: bool = False) -> list[Composed]:
    """Every run that a command asks for, all of them checked.

    Args:
        tokens: the ``key=value`` words.
        multirun: whether values may be several.

    Raises:
        InputError: one run is wrong; then none is to be started.
    """
    choices = groups.choices()
    composed: dict[tuple[str, ...], Any] = {}
    runs, read = [], []
    for combination in overrides.combinations(tokens, choices, multirun):
        chosen = [o for o in combination if o.key in choices]
        words = tuple(o.word for o in chosen)
        if words not in composed:
            _refuse_hidden(chosen)
            exchanged = {o.key: str(o.value) for o in chosen}
            composed[words] = groups.compose((*words, *_network(exchanged)))
            _leave_behind(composed[words], exchanged)
            _share_out(composed[words])
        config = _named(_checked(composed[words], combination, list(choices)), combination)
        before = plain(composed[words])
        values = [(o, at(before, o.key)) for o in combination if o.key not in choices]
        changed = {o.key: value for o, value in values if value != o.value}
        runs.append(Composed(config, tuple(o.word for o in combination), changed))
        read.append((config, combination, before))
    refuse_unread(read)
    _refuse_one_folder(runs)
    return runs


def _checked(
    composed: Any, combination: Sequence[overrides.Override], choices: Sequence[str]
) -> Config:
    from omegaconf import OmegaConf

    defaults = plain(composed)
    changed = composed.copy()
    for override in combination:
        if override.key not in choices:
            check.known_key(override, defaults, choices)
            OmegaConf.update(changed, override.key, override.value)
    chosen = {o.key: str(o.value) for o in combination if o.key in choices}
    given = {o.key for o in combination if o.key not in choices}
    own = given | sizes.given_by({key: name for key, name in chosen.items() if key != "views"})
    for key, pixels in sizes.following(plain(changed), own, defaults).items():
        OmegaConf.update(changed, key, pixels)
    config = check.validate(plain(changed), defaults, chosen)
    sizes.refuse_enlarged(config, given | sizes.given_by(chosen))
    consistency.refuse_unread(config, [override.key for override in combination])
    return config


def _refuse_hidden(chosen: Sequence[overrides.Override]) -> None:
    """An experiment that says nothing, or hides the scenario that was asked for by another name."""
    names = {override.key: override.value for override in chosen}
    name = names.get("experiment")
    file = files.find("experiment", name) if name else None
    if file is None:
        return
    said = files.read(file)
    if not said:
        raise InputError(files.shown(file), "sets nothing", "write keys into it, or leave it out")
    own = said.get("scenario")
    if names.get("scenario") and isinstance(own, Mapping):
        keys = " and ".join(f"scenario.{key}" for key in list(own)[:2])
        problem = f"sets {keys}, and scenario={names['scenario']} is given too"
        fix = "leave one out, or write a scenario file of your own"
        raise InputError(f"experiment={name}", problem, fix)


def _network(chosen: Mapping[str, str]) -> tuple[str, ...]:
    """The network of a method that is of a certain one, which no experiment's own takes from it."""
    file = files.find("method", chosen.get("method", ""))
    if file is None or "model" in chosen:
        return ()
    said = files.read(file).get("defaults")
    overridden = [e for e in said if isinstance(e, Mapping)] if isinstance(said, list) else []
    key = "override /model"
    return tuple(f"model={each[key]}" for each in overridden if key in each)


def _leave_behind(composed: Any, chosen: Collection[str]) -> None:
    """Takes out what files say of a part that the command line exchanges for another."""
    from omegaconf import open_dict

    exchanged = set(ROOMS) if "method" in chosen else {*chosen} & set(ROOMS)  # it may choose any
    for group in exchanged - {*SEVERAL}:
        section = at(composed, group)
        names = _names(group, section)
        if len(names) != 1:
            continue
        own = _keys_of(group, names[0])
        if odd := {key for key, _ in files.keys(plain(section))} - own:
            # What no part has is a slip, and is refused.
            others = set().union(*(_keys_of(group, name) for name in files.names(group)))
            with open_dict(composed):
                for key in odd & others:
                    head, _, last = key.rpartition(".")
                    del (at(section, head) if head else section)[last]
                for key, value in plain(section).items():
                    if value == {} and key not in own:
                        del section[key]  # all its weights were


def _keys_of(group: str, name: str) -> set[str]:
    """The dotted keys of a part."""
    return {key for key, _ in files.keys(files.declared(group, name)[0])}


def _share_out(composed: Any) -> None:
    """Gives what an experiment says of its distiller to the one of several that has such keys."""
    from omegaconf import OmegaConf

    names = _names("distiller", composed.get("distiller"))
    section = plain(composed)["distiller"] if len(names) > 1 else {}
    for key in [key for key in section if key not in ("name", *names)]:
        said = dict(files.keys({key: section[key]})).keys()
        there = {each: own for each in names if isinstance(own := section.get(each), Mapping)}
        owners = [each for each, own in there.items() if said <= dict(files.keys(own)).keys()]
        if len(owners) == 1:
            own = {key: section.pop(key)}
            section[owners[0]] = OmegaConf.to_container(OmegaConf.merge(section[owners[0]], own))
            composed.distiller = section


def _names(group: str, section: Any) -> list[str]:
    """The files that a section is of; none where it does not say so, which the schema refuses."""
    name = at(section, "name")
    return files.named(group, name) if isinstance(name, str) else []


def _named(config: Config, combination: Sequence[overrides.Override]) -> Config:
    """A method of which a part was exchanged is not called by its name any more."""
    if not {"objective", "distiller", "baseline"} & {override.key for override in combination}:
        return config
    name = f"{config.objective['name']}+{config.distiller['name']}"
    if config.is_baseline:
        name = config.baseline["name"]
    return config.model_copy(update={"method": name})


def plain(composed: Any) -> dict[str, Any]:
    """A composition as plain data, its references to other keys resolved."""
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    try:
        values: dict[str, Any] = OmegaConf.to_container(composed, resolve=True)  # type: ignore[assignment]
    except OmegaConfBaseException as error:
        problem = str(error).splitlines()[0]
        raise InputError(
            str(error.full_key or "a reference"), problem, "mend the YAML file"
        ) from None
    # `experiment: null` of the defaults list is a choice, not a value.
    return {key: value for key, value in values.items() if key != "experiment"}


def _refuse_one_folder(runs: Sequence[Composed]) -> None:
    folders = [run.config.output or run_name(run.config) for run in runs] if len(runs) > 1 else []
    if len(set(folders)) < len(folders):
        if names := _without_name(runs):
            problem = f"{' and '.join(names)} has no part in the name of a run's folder"
            fix = "start one command for each value, each with an output= of its own"
            raise InputError("--multirun", f"{problem}, and runs would share one", fix)
        given = runs[0].config.output is not None
        raise InputError(
            "output" if given else "--multirun",
            "several runs would write to one folder",
            "leave output out, so that each run gets its own" if given else "name each run once",
        )


def _without_name(runs: Sequence[Composed]) -> list[str]:
    """Keys that a sweep is over, and that make no difference to the folder's name."""
    plain = [run.config.model_dump() for run in runs]
    swept = {word.partition("=")[0] for run in runs for word in run.words}
    varied = [key for key in sorted(swept) if len({str(at(each, key)) for each in plain}) > 1]
    kept = [with_effect(each, "numbers", "measured", "images") for each in plain]
    return [key for key in varied if key != "output" and at(kept[0], key) is None]


def to_yaml(config: Config) -> str:
    """The configuration as YAML that people read."""
    from omegaconf import OmegaConf

    return OmegaConf.to_yaml(config.model_dump())
