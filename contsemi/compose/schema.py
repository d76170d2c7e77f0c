"""Reading the schema of :mod:`contsemi.config`: fields by path, and what they may hold in words."""

import types
import typing
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from contsemi.config import Config

__all__ = ["expected", "field_at", "fields", "is_path"]


def field_at(path: Sequence[str | int]) -> FieldInfo | None:
    """The field of a dotted path, or ``None`` where the schema leaves the key to a method."""
    model: Any = Config
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


def expected(field: FieldInfo) -> str:
    """What a key may hold: ``a whole number from 0 to 256``."""
    if any(getattr(m, "pattern", None) for m in field.metadata):
        return str(field.description)
    return _describe(field.annotation, field.metadata)


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
        return f" from {limits['ge']} to {limits['le']}"
    words = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}
    text = " and ".join(f"{word} {limits[k]}" for k, word in words.items() if k in limits)
    return f" {text}" if text else ""


def _describe(annotation: Any, metadata: Iterable[Any] = ()) -> str:
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return _describe(arguments[0], arguments[1:])
    if origin is Literal:
        return f"one of {', '.join(map(str, arguments))}" if len(arguments) > 1 else arguments[0]
    if origin in (typing.Union, types.UnionType):
        kinds = [_describe(a, metadata) for a in arguments if a is not type(None)]
        return " or ".join(kinds + ["null"] * (type(None) in arguments))
    if origin is list:
        item = arguments[0]
        inner = _describe(item).removeprefix("a ")
        if "numbers" not in inner:
            inner = inner.replace("number", "numbers", 1)
        sizes = [m for m in metadata if getattr(m, "max_length", None)]
        count = f"{sizes[0].max_length} " if sizes else ""
        return f"a list of {count}{inner.replace('name or', 'names or').replace('list', 'lists')}"
    if annotation is bool:
        return "true or false"
    if annotation is int:
        return f"a whole number{_range(metadata)}"
    if annotation is float:
        return f"a number{_range(metadata)}"
    return "text" if annotation is str else "a value"
