"""The errors a run can end with; each carries the process's exit code."""

import inspect
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any, Self

_PACKAGE = Path(__file__).parent


def article(word: str) -> str:
    """A word with its article: ``an int``, ``a tuple``."""
    return f"{'an' if word[:1].lower() in 'aeiou' else 'a'} {word}"


class ContsemiError(Exception):
    """Base of every error that a user can meet; 1 is reserved for bugs of ours."""

    exit_code = 1


class InputError(ContsemiError):
    """Something the user gave is wrong; printed as one line, nothing is written.

    Args:
        where: the configuration key, file, folder or class at fault.
        problem: what was expected and what came.
        fix: what to do about it.
    """

    exit_code = 2

    def __init__(self, where: str, problem: str, fix: str) -> None:
        super().__init__(" ".join(f"{where}: {problem}; {fix}".split()))
        self.where, self.problem, self.fix = where, problem, fix


class PackageMissing(InputError):
    """What was asked for needs a package that is not installed; ``fix`` installs it."""


class SeveralValues(InputError):
    """A key of one run was given several values.

    Args:
        where: the key.
        problem: what came.
        alone: what to do about it where a command cannot sweep.
        fix: where it can.
    """

    def __init__(self, where: str, problem: str, fix: str, alone: str = "give one value") -> None:
        super().__init__(where, problem, fix)
        self.alone = alone


class Diverged(ContsemiError):
    """The loss, a gradient or a weight is not finite."""

    exit_code = 3


class StateDamaged(ContsemiError):
    """No saved state in the output folder can be trusted."""

    exit_code = 4


class StorageFailed(ContsemiError):
    """A file could not be written: disk full, read-only, or gone."""

    exit_code = 5


class OutOfDeviceMemory(ContsemiError):
    """The accelerator has too little memory even for the smallest micro-batch."""

    exit_code = 6


class StepTooLarge(OutOfDeviceMemory):
    """The accelerator ran out of memory inside a training step.

    Args:
        device: the accelerator.
        pieces: into which the rows of the step were split.
        ranks: processes that train together.
        again: whether the same step may succeed once what is kept in reserve is given back.
    """

    def __init__(self, device: str, pieces: int, ranks: int = 1, *, again: bool = False) -> None:
        self.device, self.again = device, again
        self.problem, self.pieces = f"device={device}: out of memory in a training step", pieces
        where = f" on one of {ranks} ranks" if ranks > 1 else ""
        super().__init__(
            f"{self.problem}{where}; give batch.pieces={2 * pieces}, or lower batch.unlabelled "
            "or batch.labelled"
        )


class RankLost(ContsemiError):
    """Another process of the same run is gone; torchrun starts all of them again, or ends."""

    exit_code = 7


class MethodFailed(ContsemiError):
    """The code of a method, or of another part that was chosen by name, is at fault.

    Args:
        where: its file, or the part.
        problem: the line, and what went wrong or what the contract wants.
        trace: its own lines of the traceback, shown below the error.
    """

    exit_code = 8

    def __init__(self, where: str, problem: str, *, trace: str = "") -> None:
        super().__init__(" ".join(f"{where}: {problem}; mend it there".split()))
        self.where, self.problem, self.trace = where, problem, trace

    @classmethod
    def returned(
        cls, call: Callable[..., Any], value: object, expected: str, *, what: str = "returned"
    ) -> Self:
        """Something chosen by name gave what its contract does not want.

        Args:
            call: the function, method or class that gave it.
            value: what it gave.
            expected: what the contract wants.
            what: what the value is: ``returned`` for all that came of the call.
        """
        shape, dtype = getattr(value, "shape", None), getattr(value, "dtype", None)
        kind = "None" if value is None else article(type(value).__name__)
        if dtype is not None:
            kind += f" of {str(dtype).removeprefix('torch.')} {list(shape or ())}"
        code = getattr(call, "__code__", None)  # a class has none
        line = code.co_firstlineno if code else inspect.getsourcelines(call)[1]
        problem = f"line {line} in {call.__name__}(): {what} {kind}, expected {expected}"
        return cls(shown_file(code.co_filename if code else inspect.getfile(call)), problem)

    @classmethod
    def in_module(cls, module: ModuleType, problem: str) -> Self:
        """A module chosen by name lacks what its contract wants; named by its last class."""
        line = 1
        for _, each in inspect.getmembers(module, inspect.isclass):
            if each.__module__ == module.__name__:
                with suppress(OSError, TypeError):  # of a module without a source
                    line = max(line, inspect.getsourcelines(each)[1])
        file = getattr(module, "__file__", None) or module.__name__
        return cls(shown_file(file), f"line {line}: {problem}")


def shown_file(file: str) -> str:
    """The path of a source file, from our folder on if it is ours."""
    path = Path(file)
    return str(path.relative_to(_PACKAGE.parent) if path.is_relative_to(_PACKAGE) else path)


class Elsewhere(ContsemiError):
    """Another process of the same run has ended it, and says why.

    Args:
        exit_code: that it ends with.
    """

    def __init__(self, exit_code: int) -> None:
        super().__init__("")
        self.exit_code = exit_code


class Interrupted(BaseException):
    """A signal ended the run after it was saved; the same command goes on.

    Not an ``Exception``: it can come up anywhere, and no ``except Exception`` around a decoder or
    a library's call may take it for a damaged file.

    Args:
        signal_number: the signal; the exit code is 128 more.
        then: what the same command does.
    """

    def __init__(self, signal_number: int, then: str = "goes on from here") -> None:
        super().__init__(f"stopped by signal {signal_number}; the same command {then}")
        self.signal_number, self.exit_code = signal_number, 128 + signal_number


ENDINGS = (ContsemiError, Interrupted)
"""What ends a run with one line and an exit code of its own."""


def first_of(items: Sequence[str], most: int, between: str = "; ") -> str:
    """The first of many things in a line, and how many more there are.

    >>> first_of(["a", "b", "c"], 2)
    'a; b; and 1 more'
    >>> first_of(["a", "b", "c"], 2, ", ")
    'a, b and 1 more'
    """
    rest = len(items) - most
    more = f"{between.strip(', ')} and {rest} more" if rest > 0 else ""
    return between.join(items[:most]) + more
