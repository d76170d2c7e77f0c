"""The part of a configuration that a record, a folder's name or a comparison goes by."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from contsemi.config import Config


def with_effect(
    config: Mapping[str, Any], *effects: str, model: type[BaseModel] = Config
) -> dict[str, Any]:
    """The keys of a configuration that have one of the given effects.

    Args:
        config: as plain values; keys that the schema does not have count as ``numbers``.
        effects: of :data:`contsemi.config.EFFECTS`.
        model: the schema of these keys.
    """
    found: dict[str, Any] = {}
    for key, value in config.items():
        field = model.model_fields.get(key)
        extra, inner = (field.json_schema_extra, field.annotation) if field else (None, None)
        effect = extra.get("effect", "numbers") if isinstance(extra, dict) else "numbers"
        section = isinstance(inner, type) and issubclass(inner, BaseModel)
        if section and effect == "numbers" and isinstance(value, Mapping):
            found[key] = with_effect(value, *effects, model=inner)  # type: ignore[arg-type]
        elif effect in effects:
            found[key] = value
    return found
