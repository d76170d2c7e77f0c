"""Values as JSON and YAML know them: no NaN, no numpy, no tuples."""

import json
import math
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

import numpy as np
import yaml  # type: ignore[import-untyped,unused-ignore]

from contsemi.metrics.matrix import Undefined


def plain(value: Any) -> Any:
    """The same value out of dict, list, str, int, float, bool and ``None``.

    What is not finite or :class:`~contsemi.metrics.matrix.Undefined` becomes ``None``.

    Raises:
        TypeError: a value that no file of a run may hold.
    """
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Undefined):
        return None
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    raise TypeError(f"{type(value).__name__} has no place in a file of a run: {value!r:.80}")


def to_json(value: Any, *, indent: int | None = 2) -> bytes:
    """UTF-8 JSON with a line feed at its end; equal values give equal bytes."""
    return (json.dumps(plain(value), indent=indent, allow_nan=False) + "\n").encode()


def to_yaml(value: Any) -> bytes:
    """UTF-8 YAML in the order of the keys."""
    text: str = yaml.safe_dump(plain(value), sort_keys=False, allow_unicode=True, width=100)
    return text.encode()


def from_yaml(text: str) -> Any:
    """Reads what :func:`to_yaml` wrote.

    Aliases, of which a few lines could make gigabytes, are refused; ours have none.

    Raises:
        yaml.YAMLError: it is no YAML, holds an alias or a key twice, or a tag of something else
            than plain data.
    """
    loader = _Plain(text)
    try:
        return loader.get_single_data()
    finally:
        loader.dispose()


class _Plain(yaml.SafeLoader):  # type: ignore[misc,unused-ignore]
    """Plain data without aliases, and no key twice: the first one would be lost unseen."""

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        content = super().construct_mapping(node, deep=deep)
        if len(content) < len(node.value):
            keys = [key.value for key, _ in node.value]
            twice = next((key for key in keys if keys.count(key) > 1), "a key")
            raise yaml.constructor.ConstructorError(
                problem=f"{twice} stands there twice", problem_mark=node.start_mark
            )
        return content

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.composer.ComposerError(problem="aliases are not plain data")
        return super().compose_node(parent, index)
