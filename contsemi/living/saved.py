"""What lies in a folder of a run, or of a model that is taught photo by photo."""

from collections.abc import Mapping
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from contsemi import compose
from contsemi.compose.files import declared
from contsemi.config import Config
from contsemi.data.sources.listing import shown
from contsemi.devices.precision import choose_device
from contsemi.errors import InputError, StateDamaged
from contsemi.pipeline.standing import Standing, bound, identity
from contsemi.storage.checkpoint import Checkpoints
from contsemi.storage.readonce import parse_json, read_once

LIVING = "a model that is taught by python -m contsemi.learn"
CARD = "card.md"
_ALL = 1_000_000  # every generation is kept
_LARGEST = 1 << 28
_FIX = "name the output folder of a run, or a model of python -m contsemi.learn"
_ANEW = "restore it from a copy, or teach another model in a new folder"
_FINITE = "leave out the photos that were new, or begin a model with other weights"
_RUN_ANEW = "restore it from a copy, or train it anew: python -m contsemi.run with resume=never"
_PARTS = ("predict", "model", "objective", "distiller")
_SIDES = {"digits": 8, "cifar10": 32, "cifar100": 32}


@dataclass(frozen=True, slots=True)
class Saved:
    """A state and what it belongs to.

    Attributes:
        config: what made it.
        classes: names of the classes seen, in the order of their columns.
        state: tensors by name, nested, of a learner.
        record: everything else that was saved with them.
        facts: what a manifest says of images, labels and origin, for a card.
        side: of the images, in pixels.
        tasks: learned so far.
    """

    config: Config
    classes: tuple[str, ...]
    state: dict[str, Any]
    record: dict[str, Any]
    facts: dict[str, Any]
    side: int
    tasks: int


def generations(folder: Path) -> Checkpoints:
    """The generations of a model that is taught; none of them goes by itself."""
    return Checkpoints(folder / "generations", LIVING, keep=_ALL, anew=_ANEW, finite=_FINITE)


def read(folder: Path) -> Saved:
    """The newest whole state in a folder.

    Raises:
        InputError: there is none.
        StateDamaged: there is one, and it cannot be trusted.
    """
    where = shown(folder)
    if not folder.is_dir():
        raise InputError(where, "no such folder", _FIX)
    if (folder / "generations").is_dir():
        if (saved := taught(folder)) is None:
            raise InputError(where, "holds no state", "teach it: python -m contsemi.learn")
    elif (folder / "manifest.json").is_file():
        saved = _of_run(folder)
    elif (folder / "classes.json").is_file() and (folder / CARD).is_file():
        problem = "holds an export, which is for other programs"
        raise InputError(where, problem, "name the model that it was made of")
    else:
        raise InputError(where, "holds neither a run nor a model", _FIX)
    with suppress(InputError):
        choose_device(saved.config.device)
        return saved
    # Who reads has no key for it, and may be at another machine than who trained.
    return replace(saved, config=saved.config.model_copy(update={"device": "auto"}))


def config_of(plain: dict[str, Any]) -> Config:
    """A configuration that was saved, by this version or by one that had fewer keys.

    A model is used for years: keys that came since have the values that a new model would get.

    Raises:
        KeyError, ValidationError: it holds what this version does not know.
    """
    plain = {**plain, **{group: _whole(group, plain[group]) for group in _PARTS}}
    try:
        return Config.model_validate(plain)
    except ValidationError as error:
        lacking = error.errors()
        if any(each["type"] != "missing" for each in lacking):
            raise
    usual = compose.load(["experiment=photos", "data.root=."]).model_dump()
    filled = deepcopy(plain)
    for each in lacking:
        *place, key = each["loc"]
        there, here = filled, usual
        for name in place:
            there, here = there[name], here[name]  # type: ignore[index]
        there[key] = here[key]  # type: ignore[index]
    return Config.model_validate(filled)


def _whole(group: str, part: Any) -> Any:
    """A part's section, with the values of its file for keys that came since."""
    try:
        usual = declared(group, part["name"])[0]
    except (InputError, KeyError, TypeError):  # a part that is gone is named by who builds it
        return part
    # What stands for another key is not known here, and every version has had it.
    return {k: v for k, v in usual.items() if "${" not in str(v)} | part


def taught(folder: Path) -> Saved | None:
    """A model after its last lesson; ``None`` where there is none, or all were taken back.

    Raises:
        StateDamaged: it has learned, and that state cannot be trusted.
    """
    checkpoints = generations(folder)
    found = checkpoints.load()
    if checkpoints.passed_over:  # an older one would be a model that knows less, silently
        problem = f"{folder}: its last lesson is damaged ({checkpoints.passed_over[0]})"
        raise StateDamaged(f"{problem}; restore it from a copy, or take it back with --undo")
    if found is None:
        if not checkpoints.manifest.is_file() and (folder / CARD).is_file():  # half of a copy
            raise StateDamaged(f"{folder}: has a card, and its lessons are gone; {_ANEW}")
        return None
    state, record = found
    try:
        return Saved(
            config=config_of(record["config"]),
            classes=tuple(record["classes"]),
            state=state,
            record=record,
            facts={
                "pretrained": record["origin"],
                "dataset_digests": {
                    f"lesson {n}": each["digest"] for n, each in enumerate(record["history"], 1)
                },
            },
            side=int(record["side"]),
            tasks=len(record["history"]),
        )
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        problem = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
        fix = "it is of another version: use the one that wrote it"
        raise StateDamaged(f"{folder}: its record does not fit ({problem}); {fix}") from error
    except (KeyError, TypeError, ValueError) as error:
        raise StateDamaged(f"{folder}: its record lacks something ({error!s:.100})") from error


def _of_run(folder: Path) -> Saved:
    where = shown(folder)
    try:
        facts: Mapping[str, Any] = parse_json(read_once(folder / "manifest.json", _LARGEST))
        config = config_of(facts["config"])
        run = identity(facts, bound(facts["config"]))
        names = list(facts["class_names"])
        arrived = [list(each["columns"]) for each in facts["tasks"]]
    except OSError as error:
        problem = f"manifest.json cannot be read ({error.strerror})"
        raise InputError(where, problem, _FIX) from error
    except (KeyError, TypeError, ValueError, ValidationError) as error:
        problem = "manifest.json is damaged, or of another version"
        raise InputError(where, problem, "run it again with this version") from error
    if config.baseline["name"] != "none":
        problem = f"{config.method} is a strategy of Avalanche, whose state is not saved"
        raise InputError(where, problem, "name a run of another method")
    checkpoints = Checkpoints(folder / "checkpoints", run, anew=_RUN_ANEW)
    found = checkpoints.load()
    if checkpoints.passed_over:  # as of a model: an older one would know less, silently
        problem = f"{folder}: its last state is damaged ({checkpoints.passed_over[0]})"
        raise StateDamaged(f"{problem}; {_RUN_ANEW}")
    if found is None:
        raise InputError(where, "has saved no state yet", "wait until its first task is over")
    state, record = found
    if Standing.of(record, len(record["matrices"]["class_incremental"])).place is not None:
        raise InputError(where, "is in the middle of a task", "wait until the task is over")
    learned = int(record["task"]) + bool(record["trained"])
    seen = 1 + max(chain.from_iterable(arrived[:learned]), default=-1)
    return Saved(
        config=config,
        classes=tuple(names[:seen]),
        state=state,
        record=record,
        facts=dict(facts),
        side=config.data.size or _SIDES.get(config.scenario.dataset, config.views.test_size),
        tasks=learned,
    )
