"""The command: ``python -m contsemi.predict RUN FILE|FOLDER|-``."""

import csv
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from contsemi.errors import InputError
from contsemi.living.command import Parser, carried_out

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Says what photos are of; returns the exit code."""
    return carried_out(_predict, argv)


def _parser() -> Parser:
    parser = Parser("python -m contsemi.predict", description="Says what photos are of.")
    parser.add_argument("run", metavar="RUN", help="folder of a run, or of a model")
    parser.add_argument("photos", metavar="FILE|FOLDER|-", help="- reads names from the input")
    parser.add_argument("--top", type=int, default=1, metavar="N", help="so many classes of each")
    parser.add_argument("--csv", metavar="FILE", help="write a table instead of lines")
    parser.add_argument("--json", action="store_true", help="print one JSON object a photo")
    help_unknown = "say unknown to what is stranger than all but this share of known photos"
    parser.add_argument("--unknown", type=float, metavar="P", help=help_unknown)
    return parser


def _predict(argv: Sequence[str]) -> None:
    given = _parser().parse_args(argv)
    if given.top < 1:
        raise InputError("--top", f"is {given.top}", "ask for at least one class")
    if given.unknown is not None and not 0 < given.unknown < 1:
        raise InputError("--unknown", f"is {given.unknown}", "give a share between 0 and 1")
    from contsemi.devices.precision import choose_device
    from contsemi.living.model import load
    from contsemi.living.photos import found
    from contsemi.pipeline.work import fix_threads
    from contsemi.storage.own import refuse_others

    if given.csv:
        refuse_others(Path(given.csv), "--csv", b"file,class_1,confidence_1,")
    model = load(given.run)
    fix_threads(model.saved.config, choose_device(model.saved.config.device))
    limit = None if given.unknown is None else model.limit(given.unknown)
    paths = found(given.photos)
    with ExitStack() as stack:
        rows = _rows(model, paths, given.top, limit)
        if given.csv:
            try:
                file = stack.enter_context(Path(given.csv).open("w", newline="", encoding="utf-8"))
            except OSError as error:
                problem = f"cannot be written ({error.strerror})"
                raise InputError(f"--csv={given.csv}", problem, "name another file") from None
            _as_table(rows, file, given.top)
        elif given.json:
            for row in rows:
                print(json.dumps(row, ensure_ascii=False))
        else:
            for row in rows:
                print(_line(row))


def _rows(
    model: Any, paths: Iterator[Path], top: int, limit: float | None
) -> Iterator[dict[str, Any]]:
    """One row a photo, as they come: memory does not grow with their number."""
    from contsemi.living.photos import in_chunks
    from contsemi.living.progress import with_a_bar

    top = min(top, len(model.classes))
    for photos in with_a_bar(in_chunks(paths, model.saved.side), "predicting"):
        for name, problem in photos.problems:
            yield {"file": name, "problem": problem}
        if not len(photos.images):
            continue
        probs, far = model.answers(photos.images)
        best = np.argsort(-probs, axis=1, kind="stable")[:, :top]
        for name, row, columns, strange in zip(photos.names, probs, best, far, strict=True):
            named = [[model.classes[c], round(float(row[c]), 4)] for c in columns]
            answer: dict[str, Any] = {"file": name, "classes": named}
            if limit is not None:
                answer["unknown"] = bool(strange > limit)
            yield answer


def _line(row: dict[str, Any]) -> str:
    if "problem" in row:
        return f"{row['file']}\t({row['problem']})"
    named = [f"{name} {share:.0%}" for name, share in row["classes"]]
    return "\t".join([row["file"], *(["unknown"] if row.get("unknown") else []), *named])


def _as_table(rows: Iterator[dict[str, Any]], file: TextIO, top: int) -> None:
    table = csv.writer(file)
    ranks = [f"{what}_{n}" for n in range(1, top + 1) for what in ("class", "confidence")]
    table.writerow(["file", *ranks, "unknown", "problem"])
    for row in rows:
        cells = [cell for pair in row.get("classes", []) for cell in pair]
        cells += [""] * (2 * top - len(cells))
        strange = {True: "yes", False: "no"}.get(row.get("unknown"), "")  # type: ignore[arg-type]
        table.writerow([row["file"], *cells, strange, row.get("problem", "")])


if __name__ == "__main__":
    sys.exit(main())
