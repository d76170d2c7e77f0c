"""A model's card: what it knows, what it learned that from, and what it is worth."""

from typing import Any

from contsemi.errors import first_of
from contsemi.living.saved import Saved
from contsemi.records.labelling import label_digest
from contsemi.report.words import one_line, percent

_NAMED = 50  # classes of a lesson; all of them stand in the list of classes


def card(saved: Saved) -> str:
    """Markdown; names of classes are shown as one line each."""
    config = saved.config
    parts = [
        f"# A classifier of {len(saved.classes)} classes",
        f"Made by contsemi: method {config.method}, backbone {config.model['name']}, "
        f"prediction by {config.predict['name']}, images of {saved.side} pixels, seed "
        f"{config.seed}.",
        "## Classes",
        ", ".join(one_line(name) for name in saved.classes),
        "## Weights",
        _weights(saved.facts.get("pretrained")),
    ]
    if history := saved.record.get("history"):
        parts += ["## Lessons", lessons(history)]
    if matrix := saved.record.get("matrices", {}).get("class_incremental"):
        parts += ["## Accuracy [%] on each task after each task", _matrix(matrix)]
    if digest := label_digest(saved.facts):
        said = f"Of {saved.facts['labelled']} images, whose numbers have SHA-256 `{digest}`."
        parts += ["## Labels", said]
    digests = saved.facts.get("dataset_digests", {})
    if known := [f"- {name}: SHA-256 `{digest}`" for name, digest in digests.items() if digest]:
        parts += ["## Images", "\n".join(known)]
    return "\n\n".join(parts) + "\n"


def _weights(origin: dict[str, Any] | None) -> str:
    if not origin:
        return "Trained from random weights, on the images below alone."
    labels = f" on labels of {origin['labels']}" if origin["labels"] else ""
    return (
        f"Pre-trained: {one_line(origin['name'])} from {one_line(origin['source'])}{labels}, "
        f"licence {origin['licence']}, SHA-256 `{origin['sha256']}`."
    )


def lessons(history: list[dict[str, Any]]) -> str:
    """A line a lesson: what was learned, how well it is known now, and what was forgotten.

    The last column is the number of photos, none of which was learned from, that say so.
    """
    lines = ["| lesson | classes | photos | labels | right then | right now | forgotten | tested |"]
    lines.append("|---|---|---|---|---|---|---|---|")
    for number, each in enumerate(history):
        values = [later["accuracy"][number] for later in history[number:]]
        shown = [one_line(name).replace("|", "\\|") for name in each["classes"]]
        names = first_of(shown, _NAMED, ", ")
        cells = [number + 1, names, each["photos"], each["labelled"], _share(values[0])]
        cells += [_share(values[-1]), _share(_lost(values)), each.get("held", "not known")]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


def _lost(values: list[float | None]) -> float | None:
    """By how much the last of them is less than the best."""
    known = [value for value in values if value is not None]
    return max(known) - known[-1] if known else None


def _share(value: float | None) -> str:
    return "not known" if value is None else f"{percent(value)} %"


def _matrix(matrix: list[list[float | None]]) -> str:
    head = "| after task | " + " | ".join(str(n + 1) for n in range(len(matrix))) + " |"
    rows = [
        f"| {n + 1} | " + " | ".join("" if x is None else percent(x) for x in row) + " |"
        for n, row in enumerate(matrix)
    ]
    lost = [_lost([row[n] for row in matrix[n:]]) for n in range(len(matrix))]
    rows.append(f"| forgotten | {' | '.join(map(percent, lost))} |")
    return "\n".join([head, "|---" * (len(matrix) + 1) + "|", *rows])
