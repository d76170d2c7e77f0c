"""Reading a schema: fields by path, and what they may hold in words."""

import types
import typing
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from contsemi.config import Config


def field_at(path: Sequence[str | int], model: Any = Config) -> FieldInfo | None:
    """The field of a dotted path, or ``None`` where the schema leaves the key to a part."""
    field: FieldInfo | None = None
    for part in path:
        if (named := _named(model)) is not None:  # any name stands for one of them
            model = named
            continue
        if not (isinstance(model, type) and issubclass(model, BaseModel)):
            return field if isinstance(part, int) else None
        field = model.model_fields.get(str(part))
        if field is None:
            return None
        model = field.annotation
    return field


def fields(
    model: type[BaseModel] = Config, prefix: str = ""
) -> Iterator[tuple[str, FieldInfo, bool]]:
    """Every key of the schema: its path, its field, and whether it is a section of keys."""
    for key, field in model.model_fields.items():
        inner = field.annotation
        if (named := _named(inner)) is not None:
            yield f"{prefix}{key}.NAME", field, True
            yield from fields(named, f"{prefix}{key}.NAME.")
        elif isinstance(inner, type) and issubclass(inner, BaseModel):
            yield f"{prefix}{key}", field, True
            yield from fields(inner, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", field, False


def _named(annotation: Any) -> type[BaseModel] | None:
    """The section that stands under each name of a section of any names."""
    if typing.get_origin(annotation) is not dict:
        return None
    inner = typing.get_args(annotation)[1]
    return inner if isinstance(inner, type) and issubclass(inner, BaseModel) else None


def is_path(key: str) -> bool:
    """Whether the key holds free text, such as a folder, which needs no quoting."""
    field = field_at(key.split("."))
    if field is None:
        return False
    free = field.annotation is str or set(typing.get_args(field.annotation)) == {str, type(None)}
    return free and not any(getattr(m, "pattern", None) for m in field.metadata)


def is_whole(key: str) -> bool:
    """Whether the key holds whole numbers alone, if anything."""
    field = field_at(key.split("."))
    if field is None:
        return False
    return field.annotation is int or set(typing.get_args(field.annotation)) == {int, type(None)}


def options(field: FieldInfo) -> list[str]:
    """The words that a key may hold; empty where it may hold others."""
    return [str(word) for word in _words(field.annotation)]


def _words(annotation: Any) -> Iterator[Any]:
    if typing.get_origin(annotation) is Literal:
        yield from typing.get_args(annotation)
    elif typing.get_origin(annotation) in (typing.Union, types.UnionType, typing.Annotated):
        for each in typing.get_args(annotation):
            yield from _words(each)


def expected(field: FieldInfo) -> str:
    """What a key may hold: ``a whole number from 0 to 256``."""
    if any(getattr(m, "pattern", None) for m in field.metadata):
        return str(field.description)
    return _one(field.annotation, field.metadata)


# Each kind in the singular, with its article, and in the plural.
_KINDS = {
    bool: ("true or false", "true or false"),
    int: ("a whole number", "whole numbers"),
    float: ("a number", "numbers"),
    str: ("text", "texts"),
}


def _one(annotation: Any, metadata: Iterable[Any] = ()) -> str:
    """One value of a type, in words."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return _one(arguments[0], [*arguments[1:], *metadata])
    if origin is Literal:
        return f"one of {', '.join(map(str, arguments))}" if len(arguments) > 1 else arguments[0]
    if origin in (typing.Union, types.UnionType):
        kinds = [_one(a, metadata) for a in arguments if a is not type(None)]
        return " or ".join(kinds + ["null"] * (type(None) in arguments))
    if origin is dict:
        keys = typing.get_args(arguments[0])
        return f"{{{', '.join(f'{key}: ...' for key in keys)}}}" if keys else "keys"
    if origin is list:
        sizes = [m.max_length for m in metadata if getattr(m, "max_length", None)]
        exact = [m.min_length for m in metadata if getattr(m, "min_length", None)] == sizes
        return f"a list of {f'{sizes[0]} ' if sizes and exact else ''}{_many(arguments[0])}"
    return f"{_KINDS[annotation][0]}{_range(metadata)}" if annotation in _KINDS else "a value"


def _many(annotation: Any, metadata: Iterable[Any] = ()) -> str:
    """Several values of a type, in words."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return _many(arguments[0], [*arguments[1:], *metadata])
    if origin in (typing.Union, types.UnionType):
        return " or ".join(_many(a, metadata) for a in arguments)
    if origin is list:
        return f"lists of {_many(arguments[0])}"
    if annotation is str:
        return "names"
    return (
        f"{_KINDS[annotation][1]}{_range(metadata)}" if annotation in _KINDS else _one(annotation)
    )


def _constraints(metadata: Iterable[Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for item in metadata:
        for constraint in item.metadata if isinstance(item, FieldInfo) else [item]:
            for name in ("ge", "gt", "le", "lt"):
                if getattr(constraint, name, None) is not None:
                    found[name] = getattr(constraint, name)
    return found


def _range(metadata: Iterable[Any]) -> str:
    limits = _constraints(metadata)
    if "lt" in limits and limits["lt"] == 2**32:
        limits["le"] = limits.pop("lt") - 1
    if "ge" in limits and "le" in limits:
        return f" from {_number(limits['ge'])} to {_number(limits['le'])}"
    words = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}
    text = " and ".join(f"{w} {_number(limits[k])}" for k, w in words.items() if k in limits)
    return f" {text}" if text else ""


def _number(limit: float) -> str:
    return str(int(limit)) if float(limit).is_integer() else f"{limit:g}"
