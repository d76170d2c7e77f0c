"""Tensors nested in dictionaries as one flat dictionary, the form that a file holds, and back."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from contsemi.errors import Diverged

_SEPARATOR = "|"


def flatten(tensors: Mapping[str, Any], prefix: str = "") -> dict[str, Tensor]:
    """Names joined by a bar -> contiguous tensors on the CPU that share no memory."""
    flat: dict[str, Tensor] = {}
    for name, value in tensors.items():
        key = f"{prefix}{name}"
        if isinstance(value, Tensor):
            flat[key] = value.detach().cpu().contiguous().clone()
        else:
            flat |= flatten(value, key + _SEPARATOR)
    return flat


def nest(flat: Mapping[str, Tensor]) -> dict[str, Any]:
    """The dictionaries that :func:`flatten` was given; empty ones are lost.

    Raises:
        ValueError: a name is both a tensor and a dictionary.
    """
    nested: dict[str, Any] = {}
    for key, value in flat.items():
        *owners, name = key.split(_SEPARATOR)
        place = nested
        for owner in owners:
            place = place.setdefault(owner, {})
            if not isinstance(place, dict):
                raise ValueError(f"{owner} is a tensor and holds others")
        place[name] = value
    return nested


def refuse_not_finite(flat: Mapping[str, Tensor], fix: str) -> None:
    """Refuses what must never be saved.

    Args:
        flat: tensors by name.
        fix: what to do about it.

    Raises:
        Diverged: a tensor is not finite.
    """
    for name, value in flat.items():
        # The sum of a finite tensor is finite but for an overflow: one cheap pass for most.
        if value.is_floating_point() and not bool(value.sum(dtype=torch.float64).isfinite()):
            if bool(value.isfinite().all()):
                continue
            said = name.replace(_SEPARATOR, ".")
            raise Diverged(f"state: {said} is not finite and was not saved; {fix}")
