"""The schema of a run whose parts are chosen: the keys that their YAML files declare, with ranges.

A part's file gives each key its type by its value, and what it may be under ``ranges``: the lowest
and the highest number (``null`` for no limit; of a list, of each of its items, whose type it says
where the list is empty), the words that a text may be, words before two numbers for what may be
either, or, under the name of a group of keys, one range for all or a range for each.
"""

from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, ValidationError, create_model

from contsemi.compose import files, schema, suggest
from contsemi.config import Config
from contsemi.config.values import Section
from contsemi.discovery import ROOMS, SEVERAL
from contsemi.errors import InputError

WEIGHTS = [0, 1_000_000]  # of the terms of a loss, where a file says nothing


def chosen(values: Mapping[str, Any]) -> dict[str, Any]:
    """Key that chooses -> the name of the part, or the names, in a composed configuration."""
    found: dict[str, Any] = {}
    for group in ROOMS:
        section = at(values, group)
        if group in SEVERAL:
            found[group] = tuple(section) if isinstance(section, Mapping) else section
        else:
            found[group] = section.get("name") if isinstance(section, Mapping) else section
    return found


def at(values: Any, key: str) -> Any:
    """What stands at a dotted key; ``None`` for nothing."""
    for part in key.split("."):
        values = values.get(part) if isinstance(values, Mapping) else None
    return values


def run_schema(values: Mapping[str, Any]) -> type[Config]:
    """The schema of a whole run, as its parts are chosen in a composed configuration.

    Raises:
        InputError: a part is not named, or its file is at fault.
    """
    names = chosen(values)
    for group, name in names.items():
        known = files.names(group)
        for each in name if isinstance(name, tuple) else files.named(group, str(name)):
            if each not in known:
                fix = f"write it under defaults as '- override /{group.replace('.', '/')}: NAME'"
                raise InputError(group, f"names no file, got {suggest.shown(each)}", fix)
    return _run_schema(tuple(names.items()))


@cache
def _run_schema(names: tuple[tuple[str, Any], ...]) -> type[Config]:
    sections: dict[str, dict[str, Any]] = {}
    for group, name in names:
        if group in SEVERAL:
            inner: dict[str, Any] = {each: (part_schema(group, each), ...) for each in name}
            model: Any = create_model(group.replace(".", "_"), __base__=Section, **inner)
        else:
            model = part_schema(group, name)
        section, _, key = group.rpartition(".")
        description = schema.field_at(group.split("."))
        assert description is not None
        sections.setdefault(section, {})[key] = (
            model,
            Field(description=description.description),
        )
    top = sections.pop("")
    for section, inner in sections.items():
        field = Config.model_fields[section]
        base: Any = field.annotation
        model = create_model(base.__name__, __base__=base, **inner)
        top[section] = (model, Field(description=field.description))
    return create_model("Run", __base__=Config, **top)


@cache
def part_schema(group: str, name: str) -> type[BaseModel]:
    """The keys of a part, typed and ranged.

    Raises:
        InputError: its file is at fault; the message names it.
    """
    values, ranges, where = files.declared(group, name)
    model = _section(name, {k: v for k, v in values.items() if k != "name"}, ranges, where)
    itself: Any = Literal[name]
    full = create_model(name, __base__=model, name=(itself, Field(description="the file")))
    try:
        full.model_validate(_without_references(values))
    except ValidationError as error:
        finding = error.errors(include_url=False)[0]
        path = [part for part in finding["loc"] if isinstance(part, str)]
        field = schema.field_at(path, full)
        what = schema.expected(field) if field is not None else finding["msg"]
        problem = f"expected {what}, got {suggest.shown(finding['input'])}"
        raise InputError(f"{where}: {'.'.join(path)}", problem, files.FIX) from None
    return full


def defaults(group: str, name: str) -> dict[str, Any]:
    """The values of a part's file, but those that refer to other keys."""
    return _without_references(files.declared(group, name)[0])


def _without_references(values: Mapping[str, Any]) -> dict[str, Any]:
    return {k: 1 if _refers(v) else v for k, v in values.items()}


def _refers(value: Any) -> bool:
    """Whether it stands for another key, which is always a number of pixels."""
    return isinstance(value, str) and value.startswith("${")


def _section(
    name: str, values: Mapping[str, Any], ranges: Mapping[str, Any], where: str
) -> type[BaseModel]:
    if unknown := sorted(set(ranges) - set(values)):
        near = suggest.name(unknown[0], values)
        fix = suggest.did_you_mean(near, values) if values else files.FIX
        raise InputError(f"{where}: ranges.{unknown[0]}", "is the range of no key", fix)
    fields: dict[str, Any] = {}
    for key, value in values.items():
        at_key = f"{where}: {key}"
        if not isinstance(key, str) or not key.isidentifier() or key.startswith(("_", "model_")):
            raise InputError(at_key, "is no name for a key", "use letters, digits and _")
        given = ranges.get(key, WEIGHTS if key == "weights" else None)
        if isinstance(value, Mapping):
            if isinstance(given, list):
                given = dict.fromkeys(value, given)
            fields[key] = (_section(key, value, given or {}, at_key), ...)
        else:
            fields[key] = (_type(value, given, at_key), Field(description=""))
    return create_model(name, __base__=Section, **fields)


def _type(value: Any, given: Any, where: str) -> Any:
    """The type of a key by its value in the file and its range."""
    if isinstance(value, list):
        items = [_type(each, given, where) for each in value]
        kinds = {bool: 0, int: 1, float: 2, str: 3}
        end = given[0] if given and type(given[0]) in kinds else 1.0
        usual = max(value, key=lambda each: kinds.get(type(each), 4), default=end)
        return list[_type(usual, given, where)] if items or given else list[Any]  # type: ignore[misc]
    if isinstance(value, bool):
        return bool
    if given is not None and not isinstance(given, list):
        raise InputError(f"{where}", f"its range is {suggest.shown(given)}", "write [low, high]")
    words = [each for each in given or () if isinstance(each, str)]
    if given and words and len(words) == len(given) - 2:  # words, or a number
        kind = 0 if isinstance(value, int) else 0.0
        return Literal[tuple(words)] | _type(kind, given[len(words) :], where)
    if isinstance(value, str) and not _refers(value) and (words or not given):
        return Literal[tuple(given)] if given else str
    if given and all(isinstance(each, str) for each in given):  # a word or null
        return Literal[tuple(given)] | None
    low, high = _limits(given, where)
    limits = {"ge": low, "le": high}
    if isinstance(value, int) or _refers(value):
        return Annotated[int, Field(**{k: v for k, v in limits.items() if v is not None})]
    number = Annotated[
        float, Field(allow_inf_nan=False, **{k: v for k, v in limits.items() if v is not None})
    ]
    return number if value is not None else number | None


def _limits(given: Any, where: str) -> tuple[Any, Any]:
    if given is None:
        return None, None
    numbers = [each for each in given if each is not None]
    fine = all(isinstance(each, int | float) and not isinstance(each, bool) for each in numbers)
    if len(given) != 2 or not fine or (len(numbers) == 2 and numbers[0] > numbers[1]):
        raise InputError(where, f"its range is {suggest.shown(given)}", "write [low, high]")
    return given[0], given[1]
