"""On what runs side by side were made, as far as it decides their numbers."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from contsemi.errors import first_of
from contsemi.records.finished import FinishedRun

_FACTS = ("precision", "device", "threads", "commit")
_PACKAGES = ("contsemi", "torch")


def unlike_conditions(runs: Iterable[tuple[str, FinishedRun]]) -> list[str]:
    """In what the runs of a table were not made alike, one line each.

    Args:
        runs: the name of each in the table, and it. What an old one does not say is left out.
    """
    found: dict[str, dict[str, dict[str, None]]] = defaultdict(lambda: defaultdict(dict))
    changed: dict[str, None] = {}
    for name, run in runs:
        for change in run.results.get("changes") or ():
            changed[f"{change} ({name})"] = None
        for fact, value in _conditions(run.manifest).items():
            found[fact][value][name] = None
    lines = []
    for fact, by_value in found.items():
        if len(by_value) > 1:
            told = [f"{value} ({first_of(list(by), 5, ', ')})" for value, by in by_value.items()]
            lines.append(f"the runs are not of the same {fact}: {first_of(told, 5, ', ')}")
    if changed:
        those = first_of(list(changed), 5, ", ")
        lines.append(f"runs went on after a stop under other conditions: {those}")
    return lines


def _conditions(manifest: Mapping[str, Any]) -> dict[str, str]:
    versions = manifest.get("versions")
    packages = versions if isinstance(versions, Mapping) else {}
    facts = {fact: manifest.get(fact) for fact in _FACTS}
    if isinstance(facts["device"], str):  # the second GPU of a machine is as its first
        facts["device"] = re.sub(r":\d+", "", facts["device"])
        if facts["device"] == "cpu":
            facts["processor"] = manifest.get("processor")
    facts |= {f"version of {name}": packages.get(name) for name in _PACKAGES}
    return {fact: str(value) for fact, value in facts.items() if value is not None}
