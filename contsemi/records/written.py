"""Files of a run read back: one that is damaged is one line, and no traceback."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import yaml  # type: ignore[import-untyped,unused-ignore]
from safetensors import SafetensorError

from contsemi.errors import InputError

T = TypeVar("T")

DAMAGES = (ValueError, KeyError, TypeError, RecursionError, SafetensorError, yaml.YAMLError)


@contextmanager
def as_written(path: Path) -> Iterator[None]:
    """Reads a file that contsemi wrote.

    Raises:
        InputError: it cannot be read, or the block finds something else in it.
    """
    fix = "restore the file, or run the same command again"
    try:
        if path.exists() and not path.is_file():
            raise ValueError("no regular file")  # a pipe would be waited for
        yield
    except OSError as error:
        raise InputError(str(path), error.strerror or str(error), fix) from error
    except DAMAGES as error:
        problem = f"expected a file as contsemi writes it, got: {error}"
        raise InputError(str(path), problem, fix) from error


def read_written(path: Path, parse: Callable[[str], T], *, missing: T | None = None) -> T:
    """The content of a text file that contsemi wrote.

    Args:
        path: of the file.
        parse: makes its content of its text; raises what :func:`as_written` takes for damage.
        missing: what is given back where there is no file; ``None`` if there has to be one.

    Raises:
        InputError: it cannot be read, or is damaged.
    """
    if missing is not None and not path.exists():
        return missing
    with as_written(path):
        return parse(path.read_text(encoding="utf-8"))


def mapping(parse: Callable[[str], Any]) -> Callable[[str], dict[str, Any]]:
    """The same parser for texts of which the content has to be keys and values."""

    def checked(text: str) -> dict[str, Any]:
        value = parse(text)
        if not isinstance(value, dict):
            raise ValueError("not a mapping of keys to values")
        return value

    return checked
