"""Builds the objective and the distiller that a configuration names."""

from collections.abc import Mapping
from typing import Any, TypeVar

from torch import nn

from contsemi.discovery import find_class
from contsemi.errors import InputError

__all__ = ["build_part"]

_Part = TypeVar("_Part", bound=nn.Module)


def build_part(
    room: str, options: Mapping[str, Any], base: type[_Part]
) -> tuple[_Part, dict[str, float]]:
    """An objective or a distiller, and the weights of its terms.

    Args:
        room: ``objectives`` or ``distillers``.
        options: the section of the configuration: ``name``, ``weights`` of the terms, and the
            keyword arguments of the class.
        base: the class that the part must extend.

    Raises:
        InputError: the class does not take one of the keys.
    """
    arguments = {key: value for key, value in options.items() if key not in ("name", "weights")}
    part_class = find_class(room, options["name"], base)
    try:
        part = part_class(**arguments)
    except TypeError as error:
        raise InputError(
            f"{room.removesuffix('s')}", str(error), f"use the keys of {options['name']}.yaml"
        ) from error
    return part, {name: float(weight) for name, weight in options.get("weights", {}).items()}
