"""Answers as lines, as JSON, or as a table."""

import csv
import json
import os
from collections.abc import Iterable
from pathlib import Path

from contsemi.errors import InputError
from contsemi.predict.answers import Answer


def as_lines(answers: Iterable[Answer]) -> None:
    """Prints a line a photo: its name and, behind tabs, what it is of."""
    for answer in answers:
        named = [f"{name} {share:.0%}" for name, share in answer.classes]
        strange = ["unknown"] if answer.unknown else []
        problem = [f"({answer.problem})"] if answer.problem else []
        print("\t".join([answer.file, *strange, *named, *problem]))


def as_json(answers: Iterable[Answer]) -> None:
    """Prints an object a photo."""
    for answer in answers:
        row: dict[str, object] = {"file": answer.file}
        if answer.problem:
            row["problem"] = answer.problem
        else:
            row["classes"] = [[name, round(share, 4)] for name, share in answer.classes]
        if answer.unknown is not None:
            row["unknown"] = answer.unknown
        print(json.dumps(row, ensure_ascii=False))


def as_table(answers: Iterable[Answer], path: Path, top: int) -> None:
    """Writes a table; what stood in the file stays until the last photo has its line.

    Args:
        answers: of the photos.
        path: of the file.
        top: classes of each, which may be more than there are.

    Raises:
        InputError: the file cannot be written.
    """
    fresh = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with fresh.open("w", newline="", encoding="utf-8") as file:
            table = csv.writer(file)
            ranks = [f"{what}_{n}" for n in range(1, top + 1) for what in ("class", "confidence")]
            table.writerow(["file", *ranks, "unknown", "problem"])
            for answer in answers:
                cells = [cell for name, share in answer.classes for cell in (name, f"{share:.4f}")]
                cells += [""] * (2 * top - len(cells))
                strange = "" if answer.unknown is None else ("no", "yes")[answer.unknown]
                table.writerow([answer.file, *cells, strange, answer.problem])
        fresh.replace(path)
    except OSError as error:
        problem = f"cannot be written ({error.strerror})"
        raise InputError(f"--csv={path}", problem, "name another file") from None
    finally:
        fresh.unlink(missing_ok=True)
