"""The closed schema: every value of a composed configuration has its type and its range."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from contsemi.compose import schema, suggest, together
from contsemi.config import RANGES, Config
from contsemi.errors import InputError

__all__ = ["OWNED", "keys", "known_key", "method_expected", "method_value", "validate"]

# Sections whose keys a method's YAML file declares.
OWNED = ("objective", "distiller", "baseline", "model")


def keys(values: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Every dotted key of a composed configuration that can be given a value."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from keys(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"


def known_key(key: str, values: Mapping[str, Any], groups: Sequence[str]) -> None:
    """Refuses a key that the composed configuration does not have.

    Raises:
        InputError: with the nearest key.
    """
    known = {*keys(values), *groups}
    if key in known:
        section, _, name = key.partition(".")
        if section in OWNED and name == "name":
            raise InputError(key, "the name chooses a file", f"write {section}=NAME")
        return
    if inside := [k for k in known if k.startswith(f"{key}.")]:
        raise InputError(key, "is a section", f"set its keys one by one, as {min(inside)}=...")
    near = suggest.key(key, known)
    raise InputError(
        key,
        "unknown key",
        f"did you mean {near}?" if near else "python -m contsemi.run --help lists the keys",
    )


def method_value(key: str, value: Any, default: Any) -> None:
    """Checks one key of a method against the default in its YAML file and its range.

    Args:
        key: dotted key, for example ``objective.weights.clustering``.
        value: what it is to hold.
        default: what the YAML file has; it gives the type. ``None`` stands for a number or null.

    Raises:
        InputError: another type, or out of range.
    """
    low, high = _range(key)
    listed = isinstance(default, list)
    kind = _item(default)
    given = value if listed and isinstance(value, list) else [value]
    if listed == isinstance(value, list) and all(_fits(one, kind, low, high) for one in given):
        return
    expected = method_expected(key, default)
    raise InputError(
        key,
        f"expected {expected}, got {suggest.shown(value)}",
        f"for example {key}={_written(default)}, its default",
    )


def method_expected(key: str, default: Any) -> str:
    """What a method's key may hold, in words: ``a number from 0 to 1``.

    Args:
        key: dotted key.
        default: what the YAML file has; it gives the type.
    """
    low, high = _range(key)
    kind = _item(default)
    expected = f"a list, each {_kind(kind)}" if isinstance(default, list) else _kind(kind)
    if isinstance(kind, bool | str) or math.isinf(high):
        return expected
    return f"{expected} from {_number(low)} to {_number(high)}"


def _item(default: Any) -> Any:
    """What gives the type: the default, or the first of its items."""
    if not isinstance(default, list):
        return default
    return default[0] if default else None


def _range(key: str) -> tuple[float, float]:
    """That of the innermost name that has one."""
    names = [name for name in reversed(key.split(".")) if name in RANGES]
    return RANGES[names[0]] if names else (-math.inf, math.inf)


def _fits(value: Any, default: Any, low: float, high: float) -> bool:
    if not _same_kind(value, default):
        return False
    if value is None or isinstance(value, bool | str):
        return True
    return math.isfinite(value) and low <= value <= high


def _same_kind(value: Any, default: Any) -> bool:
    if default is None:
        return value is None or (isinstance(value, int | float) and not isinstance(value, bool))
    if isinstance(default, bool):
        return isinstance(value, bool)
    if isinstance(default, float):
        return isinstance(value, int | float) and not isinstance(value, bool)
    if isinstance(default, int):
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, type(default))


def _kind(default: Any) -> str:
    names = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}
    return names.get(type(default), "a number or null")


def _number(limit: float) -> str:
    return str(int(limit)) if float(limit).is_integer() else f"{limit:g}"


def _written(value: Any) -> str:
    text = suggest.shown(value)
    return text.strip("'") if isinstance(value, str) else text.replace(" ", "")


def validate(values: Mapping[str, Any], defaults: Mapping[str, Any]) -> Config:
    """The typed configuration.

    Args:
        values: the composed configuration as plain data.
        defaults: the same before the command line's values, for examples in errors and for the
            types of the methods' keys.

    Raises:
        InputError: one line for the first value at fault.
    """
    for section in OWNED:
        if isinstance(values.get(section), Mapping):
            _check_owned(section, values[section], defaults[section])
    try:
        config = Config.model_validate(dict(values))
    except ValidationError as error:
        raise _explain(error, values, defaults) from None
    together.check(config)
    return config


def _check_owned(path: str, values: Mapping[str, Any], defaults: Mapping[str, Any]) -> None:
    for key, value in values.items():
        if isinstance(value, Mapping):
            _check_owned(f"{path}.{key}", value, defaults[key])
        else:
            method_value(f"{path}.{key}", value, defaults[key])


def _explain(
    error: ValidationError, values: Mapping[str, Any], defaults: Mapping[str, Any]
) -> InputError:
    """The first finding of pydantic in one line."""
    findings = error.errors(include_url=False, include_context=False)
    # A misnamed key of a YAML file is found twice, as unknown and as missing: name it as it stands.
    finding = min(findings, key=lambda found: found["type"] != "extra_forbidden")
    path: list[str | int] = []
    value: Any = values
    default: Any = defaults
    for part in finding["loc"]:  # a branch of a union stands in it too: follow the data instead
        inside = isinstance(value, Mapping) and part in value
        if not inside and finding["type"] not in ("missing", "extra_forbidden"):
            break
        path.append(part)
        value = value.get(part) if isinstance(value, Mapping) else None
        default = default.get(part) if isinstance(default, Mapping) else None
    key = ".".join(map(str, path))
    field = schema.field_at(path)
    if finding["type"] == "extra_forbidden":
        near = suggest.key(key, (name for name, _, _ in schema.fields()))
        return InputError(key, "unknown key in the YAML file", f"did you mean {near}?")
    if finding["type"] == "missing" or field is None:
        meaning = f" ({field.description})" if field else ""
        return InputError(key, f"is missing from its YAML file{meaning}", "add it")
    if finding["type"] == "value_error":
        example = f"for example {key}={_written(default)}"
        return InputError(key, finding["msg"].removeprefix("Value error, "), example)
    expected = schema.expected(field)
    options = expected.removeprefix("one of ").split(", ") if expected.startswith("one of") else []
    near = suggest.name(str(value), options) if isinstance(value, str) else None
    example = f"for example {key}={_written(default)}"
    meaning = "" if field.description in (expected, None) else f"{_lower(field.description)}, "
    return InputError(
        key,
        f"expected {expected}, got {suggest.shown(value)}",
        f"did you mean {key}={near}?" if near else f"{meaning}{example}",
    )


def _lower(text: str | None) -> str:
    text = text or ""
    return text if text[:2].isupper() else text[:1].lower() + text[1:]
