"""How many labels a run may use; the only place that knows ``%``."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from numbers import Rational, Real
from typing import Self
from unicodedata import name

from contsemi.errors import InputError

KEY = "label_ratio"
HINT = "write a share such as 0.8%, 0.008 or 1/125, or a count such as 4/class"
LONGEST = 40  # characters of a value, and how many of it an error shows
LARGEST_EXPONENT = 30
LARGEST_COUNT = 10**12
HUGE = 10_000  # bits

_PLAIN = r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
_NUMBER = re.compile(rf"({_PLAIN})\s*(%?)")
_FRACTION = re.compile(r"([+-]?[0-9]+)\s*/\s*([0-9]+)")
_PER_CLASS = re.compile(rf"({_PLAIN})\s*/\s*class")
_LIST = re.compile(r"\[(.+)\]", re.DOTALL)
_ZERO = re.compile(r"0*\.?0+\s*(?:%|/\s*class)?|0\.")
_DECIMAL_COMMA = re.compile(r"[+-]?[0-9]*,[0-9]+\s*%?")


@dataclass(frozen=True, slots=True)
class LabelBudget:
    """A share of the images, a number of labels per class, or one of these for each task.

    Two budgets are equal if they mean the same: ``0.8%``, ``0.008``, ``8e-3`` and ``1/125`` do.
    Exactly one of the three attributes is set.

    Attributes:
        ratio: labelled share of the training images, in (0, 1], exact; 0 for a task of a list that
            has no label.
        per_class: labels of each class.
        per_task: the budgets of the tasks, none of them a list.
    """

    ratio: Fraction | None = None
    per_class: int | None = None
    per_task: tuple["LabelBudget", ...] = ()

    @classmethod
    def parse(cls, value: object) -> Self:
        """Reads what a user wrote.

        Args:
            value: ``"0.8%"``, ``0.008``, ``"1/125"``, ``"4/class"``, ``1`` (all labels), or a list
                of these, one per task.

        Raises:
            InputError: it is none of these, or not above 0, or above 100%.
        """
        if isinstance(value, cls):
            return value
        if isinstance(value, str) and (match := _LIST.fullmatch(value.strip())):
            value = match[1].split(",")
        if isinstance(value, Sequence) and not isinstance(value, str | bytes):
            return cls._parse_list(value)
        return cls._parse_one(value, KEY)

    @classmethod
    def _parse_list(cls, values: Sequence[object]) -> Self:
        if not values:
            raise InputError(KEY, "the list is empty", "give one value per task")
        budgets = []
        for position, value in enumerate(values):
            where = f"{KEY}[{position}]"
            nested = isinstance(value, Sequence) and not isinstance(value, str | bytes)
            if nested or (isinstance(value, cls) and value.per_task):
                raise InputError(where, "is a list inside a list", "give one value per task")
            budgets.append(value if isinstance(value, cls) else cls._parse_task(value, where))
        if all(budget.none for budget in budgets):
            raise InputError(KEY, "no task has a label", "give one task at least a share above 0")
        return cls(per_task=tuple(budgets))

    @classmethod
    def _parse_task(cls, value: object, where: str) -> Self:
        """As :meth:`_parse_one`, but a task may have no label."""
        plain = isinstance(value, str | int | float) and not isinstance(value, bool)
        if plain and _ZERO.fullmatch(str(value).strip()):
            return cls(ratio=Fraction(0))
        return cls._parse_one(value, where)

    @classmethod
    def _parse_one(cls, value: object, where: str) -> Self:
        if value is None:
            raise InputError(where, "is required", HINT)
        if isinstance(value, str):
            return cls._parse_text(value.strip(), where)
        if isinstance(value, bool) or not isinstance(value, Real):
            kind = "a truth value" if isinstance(value, bool) else type(value).__name__
            kind = "a mapping" if isinstance(value, Mapping) else kind
            raise InputError(where, f"is {kind}, not a number", HINT)
        if not isinstance(value, Rational):
            return cls._parse_text(repr(float(value)), where)
        top, bottom = int(value.numerator), int(value.denominator)
        if top.bit_length() > HUGE:  # Python refuses to print the largest of them
            problem = "a negative number must be above 0" if top < 0 else "is far above 100%"
            raise InputError(where, problem, HINT)
        return cls._parse_text(str(top) if bottom == 1 else f"{top}/{bottom}", where)

    @classmethod
    def _parse_text(cls, text: str, where: str) -> Self:
        if not text:
            raise InputError(where, "is empty", HINT)
        if len(text) > LONGEST:
            problem = f"{text[:LONGEST]}... is too long ({len(text)} characters)"
            raise InputError(where, problem, HINT)
        if match := _PER_CLASS.fullmatch(text):
            return cls(per_class=_whole(_exact(match[1], where), text, where))
        if match := _FRACTION.fullmatch(text):
            if int(match[2]) == 0:
                raise InputError(where, f"{text} divides by 0", HINT)
            return cls(ratio=_share(Fraction(int(match[1]), int(match[2])), text, where))
        if match := _NUMBER.fullmatch(text):
            number = _exact(match[1], where)
            return cls(ratio=_share(number / (100 if match[2] else 1), text, where))
        raise InputError(where, *_why_not(text))

    def count(self, n_in_class: int) -> int:
        """Labels that a class of ``n_in_class`` training images gets, rounded down.

        Raises:
            ValueError: the budget is a list; ask :meth:`for_tasks` first.
        """
        if self.ratio is not None:
            return math.floor(self.ratio * n_in_class)
        if self.per_class is not None:
            return self.per_class
        raise ValueError("a budget per task has no single count")

    def for_tasks(self, num_tasks: int) -> tuple["LabelBudget", ...]:
        """The budget of each task.

        Raises:
            InputError: a list of another length.
        """
        if not self.per_task:
            return (self,) * num_tasks
        if len(self.per_task) != num_tasks:
            given = len(self.per_task)
            problem = f"{num_tasks} task{'s' * (num_tasks != 1)}, {given} value{'s' * (given != 1)}"
            raise InputError(KEY, problem, "give one value per task, or a single one for all")
        return self.per_task

    @property
    def all(self) -> bool:
        """Whether every image gets its label."""
        return self.ratio == 1 or (bool(self.per_task) and all(one.all for one in self.per_task))

    @property
    def none(self) -> bool:
        """Whether there is no label at all."""
        return self.ratio == 0

    def __str__(self) -> str:
        """The canonical form; :meth:`parse` reads it back."""
        if self.per_task:
            return f"[{', '.join(map(str, self.per_task))}]"
        if self.per_class is not None:
            return f"{self.per_class}/class"
        assert self.ratio is not None
        return _percent(self.ratio)


def _share(ratio: Fraction, text: str, where: str) -> Fraction:
    """``ratio`` if it is in (0, 1]."""
    if ratio <= 0:
        raise InputError(where, f"{text} must be above 0", HINT)
    if ratio > 1:
        meant = ratio <= 100 and re.fullmatch(_PLAIN, text)
        fix = f"did you mean {_percent(ratio / 100)}?" if meant else "give at most 100%"
        raise InputError(where, f"{text} is above 100%", fix)
    return ratio


def _whole(count: Fraction, text: str, where: str) -> int:
    if count <= 0:
        raise InputError(where, f"{text} must be above 0", HINT)
    if count.denominator != 1 or count > LARGEST_COUNT:
        raise InputError(where, f"{text} is not a whole number of labels", "write e.g. 4/class")
    return int(count)


def _exact(text: str, where: str) -> Fraction:
    """A decimal number as a fraction; huge exponents are refused before they cost memory."""
    exponent = re.split("[eE]", text)[1:]
    if exponent and abs(int(exponent[0])) > LARGEST_EXPONENT:
        raise InputError(where, f"{text} has an exponent out of range", HINT)
    return Fraction(text)


def _why_not(text: str) -> tuple[str, str]:
    """Problem and remedy for a text that is no budget."""
    if _DECIMAL_COMMA.fullmatch(text):
        return f"{text} has a comma", f"use a point: {text.replace(',', '.')}"
    if parts := text.count(","):
        count = "two" if parts == 1 else str(parts + 1)
        return f"{text} is {count} values", "add --multirun to sweep, or write a list [..]"
    if text.lower().lstrip("+-") in {"nan", "inf", "infinity"}:
        return f"{text} must be a finite number", HINT
    problem = f"{text} is not a number, a percentage or N/class"
    if odd := next((each for each in text if not each.isascii()), None):
        named = f"U+{ord(odd):04X} ({name(odd, 'no name')})"
        return problem, f"{HINT}; {named} is none of its characters"
    return problem, HINT


def _percent(ratio: Fraction) -> str:
    """Shortest exact percentage, or ``p/q`` where there is none."""
    percent = ratio * 100
    places = next((n for n in range(LONGEST) if (percent * 10**n).denominator == 1), None)
    if places is None:
        return str(ratio)
    digits = str(int(percent * 10**places)).rjust(places + 1, "0")
    whole, part = digits[: len(digits) - places], digits[len(digits) - places :]
    return f"{whole}{'.' if part else ''}{part}%"
