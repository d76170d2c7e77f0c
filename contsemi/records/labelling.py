"""How many images of a run have their label, and which: what runs side by side have in common."""

from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping
from typing import Any

from contsemi.errors import first_of
from contsemi.records.finished import FinishedRun


def label_digest(manifest: Mapping[str, Any]) -> str | None:
    """SHA-256 of the rows that have their label, also where they were chosen on the way.

    Args:
        manifest: of a run, or of a model.
    """
    chosen = manifest.get("chosen")
    found = chosen.get("digest") if isinstance(chosen, Mapping) else manifest.get("label_digest")
    return found if isinstance(found, str) else None


def unlike(runs: Iterable[tuple[Hashable, str, FinishedRun]]) -> list[str]:
    """What a reader of a table must know of the labels of its runs, one line each.

    Args:
        runs: what each is paired by, such as its seed; its name in the table; and it.
    """
    numbers: dict[Hashable, set[int]] = defaultdict(set)
    totals: dict[str, set[int]] = defaultdict(set)
    asked: dict[str, int] = {}
    first: dict[Hashable, tuple[str, str]] = {}
    others: dict[tuple[str, str], None] = {}
    for pair, name, run in runs:
        if run.labelled is not None:
            numbers[pair].add(run.labelled)
            totals[name].add(run.labelled)
        if run.asked is not None:
            asked[name] = run.asked
        if digest := label_digest(run.manifest):
            known = first.setdefault(pair, (digest, name))
            if known[0] != digest:
                others[known[1], name] = None
    told = [f"{name} {_span(found)}{_of(asked.get(name))}" for name, found in totals.items()]
    lines = []
    if any(len(found) > 1 for found in numbers.values()):
        lines.append(f"not all have as many labels: {first_of(told, 5, ', ')}")
    elif asked:
        lines.append(f"fewer labels than asked were bought: {first_of(told, 5, ', ')}")
    for one in dict.fromkeys(pair[0] for pair in others):
        names = first_of([name for known, name in others if known == one], 5, ", ")
        lines.append(f"the labelled images are not the same ones: those of {names} and of {one}")
    return lines


def _span(found: set[int]) -> str:
    low, high = min(found), max(found)
    return str(low) if low == high else f"{low} to {high}"


def _of(asked: int | None) -> str:
    return "" if asked is None else f" of {asked}"
