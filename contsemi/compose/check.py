"""The closed schema: every value of a composed configuration has its type and its range."""

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from contsemi.compose import consistency, files, parts, schema, suggest
from contsemi.compose.overrides import Override
from contsemi.config import Config
from contsemi.discovery import ROOMS, SEVERAL
from contsemi.errors import InputError


def known_key(given: Override, values: Mapping[str, Any], groups: Sequence[str]) -> None:
    """Refuses a key that the composed configuration does not have.

    Raises:
        InputError: with the nearest key.
    """
    named = {f"{group}.name" for group in ROOMS if group not in SEVERAL}
    known, key = {*_leaves(values), *groups} - named, given.key
    if key in named:
        group = key.removesuffix(".name")
        raise InputError(key, "the name chooses a file", f"write {group}=NAME")
    if key in known:
        return
    if inside := [k for k in known if k.startswith(f"{key}.")]:
        raise InputError(key, "is a section", f"set its keys one by one, as {min(inside)}=...")
    if key in ROOMS and not files.names(key):
        problem = f"no installed package offers {suggest.shown(given.value)}, or any other"
        raise InputError(key, problem, "install one that does, or leave it out")
    groups_of = [g for g in ROOMS if key.startswith(f"{g}.")]
    chooses = next((g for g in groups_of if given.value in files.names(g)), None)
    fix = f"write {chooses}={given.value}" if chooses else _other_key(key, known, values)
    raise InputError(suggest.bare(key), "unknown key", fix)


def _leaves(values: Mapping[str, Any]) -> set[str]:
    return {key for key, value in files.keys(values) if not isinstance(value, Mapping)}


def _other_key(key: str, known: Collection[str], values: Mapping[str, Any]) -> str:
    """What may have been meant, of the chosen part's keys where it is one of a part."""
    near = suggest.key(key, known)
    for group, name in parts.chosen(values).items():
        if key.startswith(f"{group}.") and not (near and near.startswith(f"{group}.")):
            own = [k.removeprefix(f"{group}.") for k in sorted(known) if k.startswith(f"{group}.")]
            said = f"has the keys {', '.join(own)}" if own else "has no keys"
            return f"{group}={'[' + ','.join(name) + ']' if group in SEVERAL else name} {said}"
    return f"did you mean {near}?" if near else "python -m contsemi.run --help lists the keys"


def validate(
    values: Mapping[str, Any], defaults: Mapping[str, Any], chosen: Mapping[str, str] | None = None
) -> Config:
    """The typed configuration.

    Args:
        values: the composed configuration as plain data.
        defaults: the same before the command line's values, for examples in errors.
        chosen: group -> name of the files that the command line chooses, to name them in errors.

    Raises:
        InputError: one line for the first value at fault.
    """
    model = parts.run_schema(values)
    try:
        checked = model.model_validate(dict(values))
    except ValidationError as error:
        raise _explain(error, model, values, defaults, chosen or {}) from None
    config = Config.model_validate(checked.model_dump())
    consistency.check(config)
    return config


def _explain(
    error: ValidationError,
    model: type[BaseModel],
    values: Mapping[str, Any],
    defaults: Mapping[str, Any],
    chosen: Mapping[str, str],
) -> InputError:
    """The first finding of pydantic in one line."""
    findings = error.errors(include_url=False, include_context=False)
    # A misnamed key of a YAML file is found twice, as unknown and as missing: name it as it stands.
    finding = min(findings, key=lambda found: found["type"] != "extra_forbidden")
    path, value, default = _followed(finding, values, defaults)
    key, field = ".".join(map(str, path)), schema.field_at(path, model)
    # What the command line did not say stands in a file.
    file = files.holding(key, chosen) if value == default else None
    where = f"{file}: {key}" if file else key
    if finding["type"] == "extra_forbidden":
        known = {name for name, _, _ in schema.fields(model) if ".NAME" not in name}
        near = suggest.key(key, (known | _leaves(values)) - {key})
        fix = f"did you mean {near}?" if near else "remove it"
        if "." in str(path[-1]) and schema.field_at(key.split("."), model) is not None:
            fix = f"write {_nested(key.split('.'))}"  # dots are for the command line
        return InputError(where, "unknown key in the YAML file", fix)
    if finding["type"] == "missing" or field is None:
        meaning = f" ({field.description})" if field and field.description else ""
        return InputError(where, f"is missing from its YAML file{meaning}", "add it")
    own = next((g for g in ROOMS if key.startswith(f"{g}.") and g not in SEVERAL), None)
    fix = _example(key, field, default if value != default else _declared(own, key, values))
    if own and value != default:
        fix += ", its default"
    if finding["type"] == "value_error":
        return InputError(where, finding["msg"].removeprefix("Value error, "), fix)
    expected, words = schema.expected(field), schema.options(field)
    if finding["type"] == "finite_number":
        expected = re.sub(r"\bnumber", "finite number", expected, count=1)
    if isinstance(value, list) and "names" in expected:
        odd = "a name that YAML reads as something else (true, null, 1.5) is quoted twice"
        fix = f"{odd}: \"{key}=['true',...]\"; {fix}"
    near = suggest.name(str(value), words) if isinstance(value, str) else None
    meaning = "" if field.description in (expected, None, "") else f"{_lower(field.description)}, "
    return InputError(
        where,
        f"expected {expected}, got {suggest.shown(value)}",
        f"did you mean {key}={near}?" if near else f"{meaning}{fix}",
    )


def _followed(
    finding: Any, values: Mapping[str, Any], defaults: Mapping[str, Any]
) -> tuple[list[str | int], Any, Any]:
    """The key at fault, its value, and what it was before the command line."""
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
    return path, value, default


def _declared(group: str | None, key: str, values: Mapping[str, Any]) -> Any:
    """What a part's own file has at a key; ``None`` for other keys."""
    if group is None:
        return None
    declared = parts.defaults(group, parts.at(values, group)["name"])
    return parts.at(declared, key.removeprefix(f"{group}."))


def _nested(parts: Sequence[str]) -> str:
    return f"{parts[0]}: " + (f"{{{_nested(parts[1:])}}}" if parts[1:] else "...")


def _example(key: str, field: FieldInfo, value: Any) -> str:
    """An example that is allowed: a value that was checked, or one of the words."""
    if value is None and (words := schema.options(field)):
        value = words[0]
    if value is None and type(None) not in get_args(field.annotation):
        return files.FIX  # what the file says is all that is known, and it is wrong
    return f"for example {key}={_written(value)}"


def _written(value: Any) -> str:
    text = suggest.shown(value)
    return text.strip("'") if isinstance(value, str) else text.replace(" ", "")


def _lower(text: str | None) -> str:
    text = text or ""
    return text if text[:2].isupper() else text[:1].lower() + text[1:]
