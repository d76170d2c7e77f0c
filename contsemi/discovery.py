"""A name in the configuration is a module of that name; configuration never runs code by path."""

import importlib
import inspect
import re
from importlib.metadata import entry_points
from importlib.util import find_spec
from types import ModuleType
from typing import TypeVar

from contsemi.errors import InputError

__all__ = ["find_class", "find_module"]

_T = TypeVar("_T")


def find_module(room: str, name: str) -> ModuleType:
    """The module that a configured name stands for.

    Looks for ``contsemi/<room>/<name>.py``, then for an entry point ``name`` of the group
    ``contsemi.<room>`` that another package registered.

    Args:
        room: ``objectives``, ``distillers`` or ``models``.
        name: the name in the configuration.

    Raises:
        InputError: there is no such module.
    """
    if re.fullmatch(r"[a-z][a-z0-9_]*", name):
        if find_spec(f"contsemi.{room}.{name}") is not None:
            return importlib.import_module(f"contsemi.{room}.{name}")
        for entry in entry_points(group=f"contsemi.{room}"):
            if entry.name == name:
                return importlib.import_module(entry.module)
    raise InputError(
        f"{room.removesuffix('s')}.name",
        f"no file contsemi/{room}/{name}.py and no installed package offers {name!r}",
        f"use a name of conf/{room.removesuffix('s')}/",
    )


def find_class(room: str, name: str, base: type[_T]) -> type[_T]:
    """The one subclass of ``base`` that the module of that name defines.

    Raises:
        InputError: there is no such module, or it does not define exactly one.
    """
    module = find_module(room, name)
    found = [
        c
        for _, c in inspect.getmembers(module, inspect.isclass)
        if issubclass(c, base) and c is not base and c.__module__ == module.__name__
    ]
    if len(found) != 1:
        raise InputError(
            f"{room.removesuffix('s')}.name",
            f"{module.__name__} defines {len(found)} subclasses of {base.__name__}, expected one",
            "name another module, or mend this one",
        )
    return found[0]
