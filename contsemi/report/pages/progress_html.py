"""The page of a run that still trains: what its files say so far; it loads itself again."""

import json
from collections import deque
from html import escape
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped,unused-ignore]

from contsemi.errors import InputError
from contsemi.metrics.matrix import as_matrix
from contsemi.records.matrix_csv import from_csv
from contsemi.records.plain import from_yaml
from contsemi.records.trajectories import load_trajectories
from contsemi.report.pages.document import document
from contsemi.report.pages.html import matrix_table
from contsemi.report.pages.steps_html import inside_tasks
from contsemi.report.pages.svg import curves
from contsemi.report.words import one_line

__all__ = ["progress_page"]

SECONDS_BETWEEN_LOADS = 5
LAST_LINES = 200
MALFORMED = (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError)


def progress_page(folder: Path) -> bytes:
    """Whatever stands in the folder: the task and step, losses, curves, matrix.

    Args:
        folder: the output folder of a run that is not finished.

    Raises:
        InputError: a file is damaged.
    """
    try:
        config = _config(folder / "config.yaml")
        title = escape(
            " · ".join(
                one_line(word)
                for word in (config.get("method", "run"), config.get("scenario", {}).get("name"))
                if word
            )
        )
        body = [
            f"<h1>{title}</h1>",
            f'<p class="soft">{_place(folder / "metrics.jsonl")} This page loads itself again '
            f"every {SECONDS_BETWEEN_LOADS} s.</p>",
        ]
        if (folder / "accuracy_matrix.csv").is_file():
            text = (folder / "accuracy_matrix.csv").read_text(encoding="utf-8")
            matrix = as_matrix(from_csv(text))
            body += ["<h2>Forgetting curves</h2>", curves(matrix)]
            body += ["<h2>Class-incremental accuracy [%]</h2>", matrix_table(matrix)]
        body.append(inside_tasks(load_trajectories(folder)))
    except (*MALFORMED, OSError, yaml.YAMLError) as error:
        problem = f"expected files as contsemi writes them, got: {error}"
        raise InputError(str(folder), problem, "wait for the run, or run it again") from error
    return document(title, "\n".join(body), refresh=SECONDS_BETWEEN_LOADS)


def _config(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    value = from_yaml(path.read_text(encoding="utf-8"))
    if not isinstance(value, dict) or not isinstance(value.get("scenario", {}), dict):
        raise ValueError("a configuration that is no mapping")
    return value


def _place(path: Path) -> str:
    """Task, step and the last value of each loss."""
    if not path.is_file():
        return "Nothing is measured yet."
    with path.open(encoding="utf-8") as lines:
        tail = [json.loads(line) for line in deque(lines, LAST_LINES) if line.endswith("\n")]
    if not tail:
        return "Nothing is measured yet."
    losses = {
        entry["name"].removeprefix("loss/"): entry["value"]
        for entry in tail
        if str(entry["name"]).startswith("loss/") and entry["value"] is not None
    }
    last = tail[-1]
    words = " · ".join(f"{one_line(name)} {value:.4g}" for name, value in losses.items())
    told = f"Task {last['task']}, step {last['step']}" + (f"; losses: {words}" if words else "")
    return escape(f"{told}.")
