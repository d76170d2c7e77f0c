"""The lines of ``metrics.jsonl``, read back one by one and checked."""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

MOST_TASKS = 100_000
"""A file that speaks of more tasks is damaged; nothing is made as large as it says."""
_MOST_STEPS = 2**53


@dataclass(frozen=True, slots=True)
class Entry:
    """One measurement.

    Attributes:
        step: optimiser steps since the start of the run.
        task: from 0; -1 for the untrained network.
        group: what stands before the first slash of its name: ``loss``, ``trace``, ``probe``.
        name: what stands behind it.
        value: ``None`` where it is not defined.
        reason: why it is not.
    """

    step: int
    task: int
    group: str
    name: str
    value: float | None
    reason: str


def entries(folder: Path, *groups: str) -> Iterator[Entry]:
    """The measurements of these groups, in the order of the file.

    Args:
        folder: of a run, finished or not; a last line that is being written is left out.
        groups: for example ``loss``.

    Raises:
        ValueError: ``metrics.jsonl`` is damaged.
    """
    path = folder / "metrics.jsonl"
    if not path.is_file():
        return
    marks = [f'"{group}/' for group in groups]
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            # Most lines are of another group; they are not parsed.
            if not line.endswith("\n") or not any(mark in line for mark in marks):
                continue
            try:
                entry = _entry(json.loads(line))
            except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
                raise ValueError(f"no line of a measurement: {line.strip()[:80]!r}") from error
            if entry.group in groups:
                yield entry


def _entry(facts: dict[str, object]) -> Entry:
    step, task, value = facts["step"], facts["task"], facts["value"]
    if type(step) is not int or type(task) is not int:
        raise ValueError("step and task are whole numbers")
    if not (0 <= step < _MOST_STEPS and 0 <= task <= MOST_TASKS):
        raise ValueError("step or task out of range")
    if value is not None and (type(value) not in (int, float) or not math.isfinite(value)):  # type: ignore[arg-type]
        raise ValueError("value is no number")
    group, _, name = str(facts["name"]).partition("/")
    reason = str(facts.get("reason", "it was not measured"))
    return Entry(step, task - 1, group, name, None if value is None else float(value), reason)  # type: ignore[arg-type]
