"""Whose code failed: a method's own file is named, with its own lines alone below.

Read off the traceback when a run has failed, so that a step in which nothing fails pays nothing.
"""

import inspect
import select
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType

import contsemi
from contsemi.discovery import ROOMS, Part, offering
from contsemi.errors import ENDINGS, MethodFailed, OutOfDeviceMemory, shown_file
from contsemi.storage.host import host_bytes

_PACKAGE = Path(contsemi.__file__).parent


_LESS = "lower what is large of model.*, projector, objective.*, batch.*, views.* and data.size"


@contextmanager
def faults_named(less: str = _LESS) -> Iterator[None]:
    """Inside, a fault of a method, and memory that the machine lacks, end in an error of ours.

    Args:
        less: what to do where the machine lacks memory.

    Raises:
        MethodFailed: the file of a method is at fault.
        OutOfDeviceMemory: the machine's own memory has no room for what was asked.
    """
    try:
        yield
    except ENDINGS:
        raise
    except BaseException as error:
        failed = blamed(error)
        if (asked := host_bytes(error)) is not None:
            much = f"{asked / 2**30:.0f} GiB at once" if asked else "more memory"
            where = ""
            if failed is not None:
                where = f" by {failed.where}, {failed.problem.partition(':')[0]}"
            raise OutOfDeviceMemory(
                f"memory: {much} was asked for{where}, and this machine has no room for that; "
                f"{less}"
            ) from None
        if failed is None or _from_outside(error):
            raise
        raise failed from None


def _from_outside(error: BaseException) -> bool:
    """Whether it is no fault of the code that ran: a signal came, or the reader of stdout went.

    A signal brings its number where commands handle it, and another error where runs do.
    """
    if isinstance(error, KeyboardInterrupt):
        return bool(error.args)
    if isinstance(error, BrokenPipeError):
        with suppress(OSError, ValueError, AttributeError):  # of a stream that is no file
            watched = select.poll()
            watched.register(sys.stdout.fileno(), 0)
            return any(events & select.POLLERR for _, events in watched.poll(0))
    return False


def blamed(error: BaseException) -> MethodFailed | None:
    """The error of the file of a method, or of another part chosen by name, that ``error`` is.

    Args:
        error: with its traceback.

    Returns:
        ``None`` where no such file was running, so that the fault is elsewhere.
    """
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if _is_offered(frame.filename)]  # the user's before ours
    own = own or [frame for frame in frames if _is_own(frame.filename)]
    if isinstance(error, SyntaxError) and error.filename and _is_own(error.filename):
        file, line, where = error.filename, error.lineno or 0, ""
    elif own:
        last = next((f for f in reversed(own) if _is_own(f.filename)), own[-1])  # not its helper
        file, line = last.filename, last.lineno or 0
        where = f" in {last.name}()" if last.name != "<module>" else ""
    else:
        return None
    kept = [f for f in frames[frames.index(own[0]) :] if f in own or not _is_ours(f)] if own else []
    shown = traceback.format_list(kept) + traceback.format_exception_only(error)
    problem = f"line {line}{where}: {_said(error)}"
    return MethodFailed(shown_file(file), problem, trace="".join(shown).rstrip())


def _said(error: BaseException) -> str:
    if isinstance(error, SystemExit):
        return f"calls sys.exit({error.code}), which would end the run without results"
    text = str(error.msg if isinstance(error, SyntaxError) else error).strip()
    if isinstance(error, KeyError):  # whose text is quoted
        text = str(error.args[0]) if error.args else text
    return f"{type(error).__name__}: {text[:300]}" if text else type(error).__name__


def _is_ours(frame: traceback.FrameSummary) -> bool:
    return frame.filename.startswith("<frozen") or Path(frame.filename).is_relative_to(_PACKAGE)


def _is_offered(file: str) -> bool:
    """Whether it is of an installed package that offers parts."""
    return any(Path(file).is_relative_to(place) for place in offering().values())


def _is_own(file: str) -> bool:
    """Whether it is the file of one part, not the contract of its kind."""
    rooms = {_PACKAGE.joinpath(*room.split(".")) for room in ROOMS.values()}
    placed = _is_offered(file) or Path(file).parent in rooms
    modules = list(sys.modules.values())
    loaded = next((m for m in modules if getattr(m, "__file__", None) == file), None)
    if loaded is None:
        return placed  # it failed while it was imported
    makes = getattr(getattr(loaded, "build", None), "__module__", None)  # a backbone
    return _defines_part(loaded) or (placed and makes == loaded.__name__)


def _defines_part(module: ModuleType) -> bool:
    return any(
        each is not Part
        and issubclass(each, Part)
        and each.__module__ == module.__name__
        and "group" not in vars(each)  # it is the contract of a kind else
        for _, each in inspect.getmembers(module, inspect.isclass)
    )
