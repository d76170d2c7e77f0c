"""In what two configurations differ, short enough for one line."""

from collections.abc import Mapping
from typing import Any

_WIDTH = 40
_BEFORE = 12  # characters shown before the place where two long values part


def differences(old: Any, new: Any, path: str = "") -> list[str]:
    """Each key with two values, as ``key (old -> new)``, in alphabetical order.

    Where the methods differ, that alone is named: their keys differ with them.

    Args:
        old: nested plain values.
        new: likewise.
        path: the key of both.
    """
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        if not path and old.get("method") != new.get("method"):
            old, new = ({"method": each.get("method")} for each in (old, new))
        return sorted(
            each
            for key in old.keys() | new.keys()
            for each in differences(old.get(key), new.get(key), f"{path}.{key}".lstrip("."))
        )
    if old == new:
        return []
    texts = _parted(*("null" if value is None else str(value) for value in (old, new)))
    return [f"{path} ({texts[0]} -> {texts[1]})"]


def _parted(old: str, new: str) -> tuple[str, str]:
    """Two texts, long ones cut to where they differ."""
    if max(len(old), len(new)) <= _WIDTH:
        return old, new
    same = next((i for i, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), None)
    start = min(len(old), len(new)) if same is None else same
    start = max(0, start - _BEFORE)
    return _cut(old, start), _cut(new, start)


def _cut(text: str, start: int) -> str:
    before = "…" if start else ""
    after = "…" if len(text) > start + _WIDTH else ""
    return f"{before}{text[start : start + _WIDTH]}{after}"
