"""Where settings are tried: on what no reported number rests."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from contsemi.config import Config, Scenario
from contsemi.data.names import NAMES
from contsemi.errors import InputError, first_of

OTHER_SEED = 100  # seeds below are for what is reported


@dataclass(frozen=True, slots=True)
class Place:
    """Where the trials of a search run.

    Attributes:
        settings: ``key=value`` words that make a run a trial there.
        said: what it is, in one sentence, for the records.
        progress: name of the accuracies by task in ``metrics.jsonl`` that tell how a trial goes.
        idle: sections whose keys change nothing there, and are not to be chosen by it.
    """

    settings: tuple[str, ...]
    said: str
    progress: str
    idle: tuple[str, ...] = ()


def _other(config: Config, seeds: Sequence[int], share: float | None, classes: str | None) -> Place:
    """Other classes of the same data set."""
    if share is not None:
        raise InputError("--validation", "has no effect with --rule other", "leave it out")
    found = classes or "[" + ",".join(map(str, other_classes(config.scenario))) + "]"
    if OTHER_SEED in seeds:
        raise InputError("--seeds", f"{OTHER_SEED} is that of the trials", "report others")
    return Place(
        (f"scenario.classes={found}", f"seed={OTHER_SEED}"),
        f"average accuracy after the last task on classes {found}, of which none is in the "
        f"scenario, seed {OTHER_SEED}",
        "accuracy/class_incremental",
    )


def _first(config: Config, seeds: Sequence[int], share: float | None, classes: str | None) -> Place:
    """The first task, with labels taken out of the budget."""
    share = 0.25 if share is None else share
    if classes is not None:
        raise InputError("--classes", "has no effect with --rule first", "leave it out")
    return Place(
        (
            "scenario.first_tasks=1",
            f"scenario.validation={share}",
            "evaluate.every_epochs=1",
            "evaluate.images=0",
            f"seed={seeds[0]}",
        ),
        f"accuracy on {share:.0%} of the label budget of the first task, which was not trained "
        f"on, seed {seeds[0]}",
        "trace/class_incremental",
        ("distiller", "baseline.weights"),  # of what is kept of the tasks before
    )


RULES: Mapping[str, Callable[[Config, Sequence[int], float | None, str | None], Place]] = {
    "other": _other,
    "first": _first,
}


def other_classes(scenario: Scenario) -> list[int]:
    """Ids of as many classes of the data set as the scenario has, and none of them.

    They are those that follow the scenario's last one, and then the first ones.

    Raises:
        InputError: there are not so many, or the data set's classes are not known beforehand.
    """
    fix = "name others with --classes, or use --rule first"
    names = NAMES.get(scenario.dataset)
    if names is None:
        raise InputError(
            "--rule other", f"{scenario.name} does not say which classes are left", fix
        )
    if isinstance(scenario.class_order, list) or scenario.lists or scenario.labels:
        problem = f"{scenario.name} names its classes or images one by one"
        raise InputError("--rule other", problem, fix)
    if any(isinstance(task, list) for task in scenario.task_classes or ()):
        raise InputError("--rule other", f"{scenario.name} names the classes of each task", fix)
    given = scenario.classes
    used = list(range(given or len(names))) if not isinstance(given, list) else _ids(given, names)
    after = [*range(max(used) + 1, len(names)), *range(max(used))]
    left = [each for each in after if each not in used]
    if len(left) < len(used):
        problem = f"{len(used)} of {len(names)} classes are in the scenario, {len(left)} are left"
        raise InputError("--rule other", problem, fix)
    return sorted(left[: len(used)])


def _ids(given: Sequence[int | str], names: Sequence[str]) -> list[int]:
    return [each if isinstance(each, int) else list(names).index(each) for each in given]


def refuse_shared(scenario: Scenario, tried: Scenario) -> None:
    """Refuses trials on a class that the scenario has: what it reports would rest on it.

    Raises:
        InputError: there is one. Of the first N classes of a folder it cannot be known.
    """
    names = NAMES.get(scenario.dataset, ())
    used, found = (_classes(each, names) for each in (scenario, tried))
    shared = set() if found is None else found if used is None else found & used
    if shared:
        some = first_of(sorted(map(str, shared)), 5, ", ")
        problem = f"holds classes of the scenario: {some}"
        raise InputError("--classes", problem, "name others, or use --rule first")


def _classes(scenario: Scenario, names: Sequence[str]) -> set[int | str] | None:
    """Those of a scenario, by their numbers where the data set's names are known.

    ``None`` for all that there are, nothing where they cannot be known.
    """
    tasks = [
        each for task in scenario.task_classes or () if isinstance(task, list) for each in task
    ]
    order = scenario.class_order if isinstance(scenario.class_order, list) else None
    given = tasks or order or scenario.classes
    if given is None:
        return set(range(len(names))) if names else None
    listed = given if isinstance(given, list) else range(given if names else 0)
    return {names.index(each) if each in names else each for each in listed}


def trial_words(words: Sequence[str], place: Place) -> list[str]:
    """The words of a trial: those of the command, but for what the rule sets, and the rule's.

    Raises:
        InputError: a word says what the rule decides.
    """
    own = {word.partition("=")[0] for word in place.settings}
    for key in (word.partition("=")[0] for word in words):
        if key in own - {"scenario.classes"}:  # of which others are tried
            raise InputError(key, "is set by the rule", "leave it out")
    kept = [word for word in words if word.partition("=")[0] not in own]
    return [*kept, *place.settings]
