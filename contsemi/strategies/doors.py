"""What is refused in one line before anything happens: things that are not what they must be."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from contsemi.config import Config
from contsemi.devices.trial import settled
from contsemi.errors import InputError, article
from contsemi.learner.learner import Learner
from contsemi.learner.loop import Hooks

# Avalanche's plugins that cannot do here what they are for, and why.
UNFIT = {
    "BiCPlugin": "splits the experience's dataset, whose labels the learner draws by itself",
    "CoPEPlugin": "brings a criterion of its own, and the loss is the objective's",
    "CWRStarPlugin": "writes to a layer by class id, and the learner's heads go by arrival",
    "FeCAMOracle": "needs a model with a FeCAM classifier",
    "CurrentDataFeCAMUpdate": "needs a model with a FeCAM classifier",
    "MemoryFeCAMUpdate": "needs a model with a FeCAM classifier",
    "FeatureDistillationPlugin": "needs a model that leaves its features behind",
    "FromScratchTrainingPlugin": "takes the weights back, and the learner keeps more than these",
    "GDumbPlugin": "exchanges the model, and the learner would go on with its own",
    "GSS_greedyPlugin": "compares images by gradients, and fails by itself where a batch is short",
    "GenerativeReplayPlugin": "needs a model that generates images",
    "LFLPlugin": "needs a model of Avalanche's BaseModel",
    "LRSchedulerPlugin": "sets an optimiser's rate, and the learner's has optim.lr and its curve",
    "TrainGeneratorAfterExpPlugin": "needs a generator to train",
    "RARPlugin": "traces the model, whose forward pass asks the learner",
    "NCMOracle": "needs a model with an NCM classifier",
    "CurrentDataNCMUpdate": "needs a model with an NCM classifier",
    "MemoryNCMUpdate": "needs a model with an NCM classifier",
}


def learner_of(config: Any, learner: Any) -> Learner:
    """The learner of a strategy: the one given, or one made of the configuration.

    Raises:
        InputError: there is none, both, or the configuration is of a strategy of Avalanche.
    """
    fix = "give config=contsemi.compose.load([...]), or a learner"
    if (config is None) == (learner is None):
        problem = "neither is given" if config is None else "both are given"
        raise InputError("SemiSupervisedStrategy(config, learner)", problem, fix)
    if learner is not None:
        if not isinstance(learner, Learner):
            raise InputError("SemiSupervisedStrategy(learner)", _is_a(learner, "Learner"), fix)
        return learner
    name = "SemiSupervisedStrategy(config)"
    config = config_of(config, name)
    if (baseline := config.baseline["name"]) != "none":
        raise InputError(
            name,
            f"baseline={baseline} is itself a strategy of Avalanche",
            "choose one of our methods, or train it by python -m contsemi.run",
        )
    return Learner(settled(config)[0])


def config_of(given: Any, where: str) -> Config:
    """A configuration.

    Raises:
        InputError: it is something else.
    """
    if not isinstance(given, Config):
        fix = "give config=contsemi.compose.load([...])"
        raise InputError(where, _is_a(given, "configuration"), fix)
    return given


def folder_of(given: Any, where: str) -> Path:
    """The path of a folder.

    Raises:
        InputError: it is something else.
    """
    if not isinstance(given, str | Path):
        raise InputError(where, _is_a(given, "path"), "name a folder")
    return Path(given)


def checked_plugins(plugins: Any, hooks: Any) -> tuple[list[Any], tuple[Hooks, ...]]:
    """Plugins that can be called, and hooks of contsemi's own loop.

    Raises:
        InputError: one of them can not.
    """
    name = "SemiSupervisedStrategy(plugins)"
    if plugins is not None and not (isinstance(plugins, Iterable) and not isinstance(plugins, str)):
        raise InputError(name, _is_a(plugins, "list"), "give plugins=[...]")
    listed = list(plugins or ())
    for each in listed:
        if isinstance(each, type) or not any(
            e.startswith(("before_", "after_")) for e in dir(each)
        ):
            raise InputError(name, _is_a(each, "plugin"), "give objects of SupervisedPlugin")
        unfit = next((x.__name__ for x in type(each).__mro__ if x.__name__ in UNFIT), None)
        if unfit is not None:
            fix = "leave it out; docs/avalanche.md lists the plugins that run"
            raise InputError(name, f"{unfit} {UNFIT[unfit]}", fix)
    name = "SemiSupervisedStrategy(hooks)"
    if not isinstance(hooks, Iterable):
        raise InputError(name, _is_a(hooks, "list"), "give hooks=[...]")
    given = tuple(hooks)
    for hook in given:
        if not isinstance(hook, Hooks):
            raise InputError(name, _is_a(hook, "Hooks"), "extend contsemi.learner.loop.Hooks")
    return listed, given


def experiences_of(given: Any, where: str) -> list[Any]:
    """The experiences of one, of a stream, or of a list of them.

    Args:
        given: by the user.
        where: the call, for errors.

    Raises:
        InputError: there is none, or something else.
    """
    listed = list(given) if isinstance(given, Iterable) and not isinstance(given, str) else [given]
    if not listed:
        raise InputError(where, "holds no experience", "give an experience, or a stream")
    for each in listed:
        if not (hasattr(each, "dataset") and hasattr(each, "current_experience")):
            fix = "give an experience, or a stream such as benchmark.train_stream"
            raise InputError(where, _is_a(each, "experience"), fix)
    return listed


def labelled_of(given: Any, where: str) -> list[Any]:
    """The experiences of a stream of images with labels.

    Raises:
        InputError: there is none, or one has no labels.
    """
    listed = experiences_of(given, where)
    for each in listed:
        if getattr(each.dataset, "targets", None) is None:
            problem = f"experience {each.current_experience} has images without labels"
            raise InputError(where, problem, "give benchmark.train_stream, or test_stream")
    return listed


def stream_of(benchmark: Any, name: str, where: str) -> list[Any]:
    """The experiences of a stream of a benchmark.

    Raises:
        InputError: it has none.
    """
    stream = getattr(benchmark, name, None)
    if stream is None:
        problem = f"{_is_a(benchmark, 'benchmark')}: it has no {name}"
        raise InputError(where, problem, "give a benchmark with train_stream and test_stream")
    return experiences_of(stream, f"{where}.{name}")


def whole(value: Any, name: str, lowest: int, most: int = 2**32 - 1) -> int:
    """A whole number that is neither too small nor too large.

    Raises:
        InputError: it is something else.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not lowest <= value <= most:
        problem = f"expected a whole number from {lowest} to {most}, got {_short(value)}"
        raise InputError(name, problem, f"for example {max(lowest, 32)}")
    return value


def _is_a(value: Any, wanted: str) -> str:
    of_one = article(type(value).__name__)
    kind = f"the class {value.__name__}" if isinstance(value, type) else of_one
    return f"{_short(value)} is {kind}, not {article(wanted)}"


def _short(value: Any) -> str:
    text = " ".join(repr(value).split())
    return text if len(text) <= 40 else f"{text[:37]}..."
