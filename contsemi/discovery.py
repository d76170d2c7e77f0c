"""What is chosen by name: one file, one class, whose fields are the keys of its YAML.

A name in the configuration is a module of that name, here or in an installed package;
configuration never runs code by path. An installed package offers modules by entry points, a group
for each room (``contsemi.objectives``, ``contsemi.memory.selection``, ...), and its folder
``conf/`` is searched like ours. Nothing of it is imported before one of its names is chosen.
"""

import importlib
import inspect
import re
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar, Self, TypeVar

from pydantic import ConfigDict, ValidationError, create_model

from contsemi.errors import InputError, MethodFailed

# The key that chooses a part by its name, and the room that its module stands in.
ROOMS: Mapping[str, str] = {
    "objective": "objectives",
    "distiller": "distillers",
    "baseline": "strategies.baselines",
    "model": "models",
    "predict": "predictors",
    "labels": "labels.choices",
    "memory.selection": "memory.selection",
    "memory.drift": "memory.drift",
    "data.source": "data.sources",
    "evaluate.probes": "metrics.probes",
    "views.drawn": "views.drawn",
}
# Keys that choose any number of parts, each with keys of its own: ``evaluate.probes=[knn,linear]``.
SEVERAL = ("evaluate.probes", "views.drawn")
# Keys that choose one part, or several that work together: ``distiller=[nnd,projected]`` has the
# name ``nnd+projected``, and the keys of each of them under its own: ``distiller.nnd.temperature``.
TOGETHER = ("distiller",)
# Keys of a YAML file that are not the part's own.
_NOT_OF_THE_CLASS = ("name", "weights", "ranges")

_T = TypeVar("_T")


class Part:
    """What a run is made of and chooses by name.

    A part is a ``@dataclass(kw_only=True, eq=False)`` whose fields are the keys of its YAML file
    ``conf/<group>/<name>.yaml``, alone in the module of that name. Every value stands in that file,
    and beside them what they may be: ``ranges: {temperature: [0.001, 10], variant: [a, b]}``.

    Attributes:
        group: the key that chooses such parts on the command line.
        idle: field -> other fields, and the values of each with which the first does nothing. Of
            the weight of a term, ``weights.TERM``, which then never comes.
        begins: field -> the one that says from which epoch of a task on it does something.
    """

    group: ClassVar[str]
    idle: ClassVar[Mapping[str, Mapping[str, Sequence[Any]]]] = {}
    begins: ClassVar[Mapping[str, str]] = {}

    @classmethod
    def named(cls, options: Mapping[str, Any]) -> Self:
        """The part that a section of the configuration names.

        Args:
            options: ``name``, and the values of the fields.

        Raises:
            InputError: there is no such part, or it has other keys, or keys of other kinds.
        """
        part = find_class(ROOMS[cls.group], options["name"], cls)
        given = {key: value for key, value in options.items() if key not in _NOT_OF_THE_CLASS}
        _check_keys(cls.group, str(options["name"]), part, given)
        return part(**given)

    def why_idle(self, field: str) -> str | None:
        """What makes a field do nothing, or the weight of a term; ``None`` where nothing does.

        Args:
            field: its name, or ``weights.TERM``.
        """
        for other, values in self.idle.get(field, {}).items():
            if (value := getattr(self, other)) in values:
                return f"{other} is {value}"
        return None

    @classmethod
    def several(cls, chosen: Mapping[str, Mapping[str, Any]]) -> dict[str, Self]:
        """The parts of a group of which any number may be chosen, by name."""
        return {name: cls.named(options) for name, options in chosen.items()}


def together(names: Sequence[str]) -> str:
    """The one name of several parts of a key of :data:`TOGETHER`."""
    return "+".join(names)


def parts_of(section: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Name -> keys of each part of a section that names one, or several that work together.

    Args:
        section: of the configuration.
    """
    names = str(section["name"]).split("+")
    if len(names) == 1:
        return {names[0]: section}
    return {name: {"name": name, **section[name]} for name in names}


def _check_keys(group: str, name: str, part: type, given: Mapping[str, Any]) -> None:
    """Refuses what the class does not take, before it is made: its body has not run yet."""
    parameters = inspect.signature(part, eval_str=True).parameters
    fix = f"use the keys of {name}.yaml"
    rest = {each.name for each in parameters.values() if each.kind is each.VAR_KEYWORD}
    required = [k for k, each in parameters.items() if each.default is each.empty and k not in rest]
    if missing := [key for key in required if key not in given]:
        raise InputError(group, f"{part.__name__} is missing the key {missing[0]!r}", fix)
    if unknown := [key for key in given if key not in parameters and not rest]:
        raise InputError(group, f"{part.__name__} has an unexpected key {unknown[0]!r}", fix)
    fields: dict[str, Any] = {k: (parameters[k].annotation, ...) for k in given if k in parameters}
    settings = ConfigDict(strict=True, arbitrary_types_allowed=True, protected_namespaces=())
    try:
        create_model(part.__name__, __config__=settings, **fields).model_validate(dict(given))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(map(str, first["loc"]))
        file = f"conf/{group.replace('.', '/')}/{name}.yaml"
        problem = f"{first['msg'].lower()}, got {str(first['input'])[:40]!r}"
        raise InputError(f"{group}.{key}", problem, f"mend {file} or {part.__name__}") from None


def find_module(room: str, name: str) -> ModuleType:
    """The module that a configured name stands for.

    Looks for ``contsemi/<room>/<name>.py``, then for an entry point ``name`` of the group
    ``contsemi.<room>`` that another package registered.

    Args:
        room: of :data:`ROOMS`.
        name: the name in the configuration.

    Raises:
        InputError: there is no such module.
    """
    own = re.fullmatch(r"[a-z][a-z0-9_]*", name) and find_spec(f"contsemi.{room}.{name}")
    if own:
        return importlib.import_module(f"contsemi.{room}.{name}")
    group = _group(room)
    if module := offered(room).get(name):
        try:
            return importlib.import_module(module)
        except ModuleNotFoundError as error:
            if f"{module}.".startswith(f"{error.name}."):
                problem = f"an installed package offers {name!r} as {module}, which is not there"
                raise InputError(
                    group, problem, "install it again, or mend its entry point"
                ) from None
            raise
    raise InputError(
        f"{group}.name",
        f"no file contsemi/{room.replace('.', '/')}/{name}.py and no installed package offers "
        f"{name!r}",
        f"use a name of conf/{group.replace('.', '/')}/",
    )


def find_class(room: str, name: str, base: type[_T]) -> type[_T]:
    """The one subclass of ``base`` that the module of that name defines.

    Raises:
        InputError: there is no such module, or one of ours that is no such part.
        MethodFailed: one of somebody else's does not define exactly one.
    """
    module = find_module(room, name)
    found = [
        c
        for _, c in inspect.getmembers(module, inspect.isclass)
        if issubclass(c, base) and c is not base and c.__module__ == module.__name__
    ]
    if len(found) != 1:
        problem = f"defines {len(found)} subclasses of {base.__name__}, expected one"
        if module.__name__.startswith("contsemi."):
            where = f"{_group(room)}.name"
            raise InputError(where, f"{module.__name__} {problem}", "name another module")
        raise MethodFailed.in_module(module, problem)
    return found[0]


def _group(room: str) -> str:
    return next((group for group, each in ROOMS.items() if each == room), room)


def offered(room: str) -> dict[str, str]:
    """The names that installed packages offer for a room, and the module of each."""
    return {entry.name: entry.module for entry in entry_points(group=f"contsemi.{room}")}


@cache
def offering() -> dict[str, Path]:
    """Each installed package that offers something, and its folder, or its file if it is one."""
    found = entry_points()
    groups = [f"contsemi.{room}" for room in ROOMS.values()]
    modules = [entry.module for group in groups for entry in found.select(group=group)]
    places: dict[str, Path] = {}
    for package in dict.fromkeys(module.partition(".")[0] for module in modules):
        if spec := find_spec(package):
            where = [Path(x) for x in spec.submodule_search_locations or [spec.origin or ""]]
            # of a package in several folders the one with its YAML files
            places[package] = next((x for x in where if (x / "conf").is_dir()), where[0])
    return places


@cache
def conf_folders() -> tuple[tuple[str, Path], ...]:
    """Name and folder ``conf/`` of each installed package that offers something."""
    folders = ((name, place / "conf") for name, place in offering().items())
    return tuple(sorted((name, folder) for name, folder in folders if folder.is_dir()))
