"""What of a method is tried: the block ``search:`` of its YAML file.

An entry is a list of values, a range ``{low: 0.1, high: 1, log: true}``, or ``{times: 4}``: from a
quarter to four times of what the scenario or the command has configured.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from contsemi import compose
from contsemi.compose import files
from contsemi.compose.parts import at
from contsemi.config import Config
from contsemi.errors import InputError

_FIX = "write [a, b] for values to choose from, {low: 0.1, high: 1, log: true}, or {times: 4}"


# Sections that say what is asked: the same in every trial, and in the runs after them.
_QUESTION = ("seed", "label_ratio", "method", "scenario", "data", "evaluate", "output")


@dataclass(frozen=True, slots=True)
class Choice:
    """One of some values.

    Attributes:
        values: two or more; numbers, words or truth values.
    """

    values: tuple[Any, ...]

    @property
    def ends(self) -> tuple[Any, ...]:
        """Every value."""
        return self.values

    def holds(self, value: Any) -> bool:
        """Whether a value is one of them."""
        return value in self.values


@dataclass(frozen=True, slots=True)
class Range:
    """A number between two, whole where both are.

    Attributes:
        low, high: the least and the greatest.
        log: whether its logarithm is drawn evenly.
    """

    low: float
    high: float
    log: bool = False

    @property
    def ends(self) -> tuple[Any, ...]:
        """The two ends."""
        return self.low, self.high

    def holds(self, value: Any) -> bool:
        """Whether a value lies between them."""
        return isinstance(value, int | float) and self.low <= value <= self.high

    @property
    def whole(self) -> bool:
        """Whether only whole numbers are meant."""
        return isinstance(self.low, int) and isinstance(self.high, int)


Space = Mapping[str, Choice | Range]
"""Dotted key -> what it may be."""


def space_of(config: Config, words: Sequence[str], idle: Sequence[str] = ()) -> Space:
    """The search space of a run's method, each of whose ends has been composed once.

    Args:
        config: the run, which names the method.
        words: that made it; a key that they set is not searched.
        idle: sections of keys that make no difference to the trials, and are not searched either.

    Raises:
        InputError: the method has no space, or its file is at fault.
    """
    method = config.method
    file = files.find("method", method)
    content = files.read(file).get("search") if file is not None else None
    if file is None or content is None:
        problem = f"{method} has no search space"
        raise InputError("method", problem, "write one under search: in conf/method/NAME.yaml")
    where = f"{files.shown(file)}: search"
    if not isinstance(content, dict) or not content:
        raise InputError(where, "expected dotted keys", _FIX)
    for key in map(str, content):
        _refuse_other(key, config, where)
    fixed = {word.partition("=")[0] for word in words}
    space = {
        str(key): _entry(value, f"{where}.{key}", at(config.model_dump(), str(key)))
        for key, value in content.items()
        if str(key) not in fixed and not f"{key}.".startswith(tuple(f"{each}." for each in idle))
    }
    if not space:
        problem = f"nothing is left to search: {', '.join(map(str, content))} are set"
        problem += ", or make no difference to the trials" if idle else ""
        raise InputError("method", problem, "leave one of them out")
    for number in range(max(len(entry.ends) for entry in space.values())):
        ends = {key: entry.ends[number % len(entry.ends)] for key, entry in space.items()}
        try:
            compose.load([*words, *(f"{key}={value}" for key, value in ends.items())])
        except InputError as error:
            problem = f"{ends} cannot be tried ({error})"
            raise InputError(where, problem, "mend the file") from None
    return space


def _refuse_other(key: str, config: Config, where: str) -> None:
    """Refuses what no trial may choose."""
    if key.partition(".")[0] in _QUESTION:
        problem = f"{key} is a part of the question, and the same in every trial"
        raise InputError(where, problem, "leave it out")
    if isinstance(at(config.model_dump(), key), Mapping):
        problem = f"{key} names a part, and a search is among the keys of a part"
        raise InputError(where, problem, "name its keys, such as objective.ramp")


def _entry(value: Any, where: str, present: Any) -> Choice | Range:
    if isinstance(value, list):
        plain = all(isinstance(each, str | int | float) for each in value)
        if len(value) < 2 or not plain or len(set(map(str, value))) < len(value):
            raise InputError(where, f"expected two or more different values, got {value}", _FIX)
        return Choice(tuple(value))
    if isinstance(value, dict) and set(value) == {"times"}:
        return _around(value["times"], where, present)
    if not isinstance(value, dict) or not {"low", "high"} <= set(value) <= {"low", "high", "log"}:
        raise InputError(where, f"expected a list or a range, got {value}", _FIX)
    low, high, log = value["low"], value["high"], value.get("log", False)
    numbers = all(type(each) in (int, float) for each in (low, high))
    if not numbers or low >= high or not isinstance(log, bool) or (log and low <= 0):
        raise InputError(where, f"expected low < high, above 0 where log: true, got {value}", _FIX)
    return Range(low, high, log)


def _around(times: Any, where: str, present: Any) -> Range:
    """What is configured, divided and multiplied by a number."""
    if type(times) not in (int, float) or times <= 1:
        raise InputError(where, f"expected times above 1, got {times}", _FIX)
    if type(present) not in (int, float) or present <= 0:
        problem = f"is {present} as it is configured, which nothing can be a multiple of"
        raise InputError(where, problem, _FIX)
    if type(present) is int:
        return Range(math.ceil(present / times), math.floor(present * times), log=True)
    ends = float(f"{present / times:.4g}"), float(f"{present * times:.4g}")
    return Range(*ends, log=True)
