"""What only a GPU can prove, part by part, in one command: ``bash scripts/gpu_check.sh``.

Each part is a process of its own, so that one that fails, hangs or spoils the driver's state leaves
the others alone. A part that lacks a package says so. What was found is one JSON file and one
table; the command ends with 0 only if every part ran and everything in it holds. Nothing is
fetched from anywhere.
"""

import argparse
import importlib
import json
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

# In this order: what is cheap and most telling first, and last what takes all the time there is:
# compilers. Seconds that each may take.
PARTS = {
    "versions": 60,
    "norm": 60,
    "functions": 90,
    "images": 60,
    "methods": 200,
    "memory": 60,
    "ranks": 90,
    "index": 150,
    "resume": 120,
    "recipe": 400,
}


@dataclass(frozen=True)
class Finding:
    """One line of the table.

    Attributes:
        part: the part.
        name: what was looked at.
        holds: whether it is as it should be; ``None`` for a measurement that promises nothing.
        detail: for whoever reads.
        numbers: what was measured, by name and unit.
    """

    part: str
    name: str
    holds: bool | None
    detail: str = ""
    numbers: dict[str, float] = field(default_factory=dict)


def run_part(part: str, device: str, quick: bool) -> Iterator[Finding]:
    """What a part finds; what it raises, and a package that it lacks, are findings, too.

    Args:
        part: name of a module of ``gpu_parts`` with a function ``check(device, quick)``, which
            yields (name, holds, detail, numbers).
        device: ``cuda:0``.
        quick: whether to look at less of everything.
    """
    try:
        module = importlib.import_module(f"gpu_parts.{part}")
        for name, holds, detail, numbers in module.check(device, quick):
            yield Finding(part, name, holds, detail, numbers)
    except ModuleNotFoundError as error:
        yield Finding(part, "not run", False, f"lacks the package {error.name}")
    except Exception as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{Path(last.filename).name}:{last.lineno}"
        first = str(error).splitlines()[0] if str(error) else ""
        yield Finding(part, "ended", False, f"{type(error).__name__}: {first[:200]} ({where})")


def table(findings: Iterable[Finding]) -> str:
    """All findings in Markdown."""
    lines = ["| part | what | holds | measured | remark |", "| --- | --- | --- | --- | --- |"]
    for each in findings:
        holds = {True: "yes", False: "**no**", None: "-"}[each.holds]
        numbers = ", ".join(f"{name} {value:,.4g}" for name, value in each.numbers.items())
        cells = (each.part, each.name, holds, numbers, each.detail.replace("|", "/"))
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main(words: Sequence[str] | None = None) -> int:
    """Runs the parts, or the one that a process of ours is for."""
    given = _parser().parse_args(words)
    if given.part:
        for finding in run_part(given.part, given.device, given.quick):
            print("finding " + json.dumps(asdict(finding)), flush=True)
        return 0
    start, findings = time.monotonic(), []
    parts = list(given.only or PARTS)
    for place, part in enumerate(parts, 1):
        left = given.seconds - (time.monotonic() - start)
        found = list(_apart(part, given, min(PARTS[part], left)))
        findings += found
        print(table(found), flush=True)
        # after each part, so that a check that is cut short leaves what it has found
        _write(given.output, findings, time.monotonic() - start, parts[place:])
    bad = sum(each.holds is False for each in findings)
    print(f"{len(findings)} findings, {bad} of them bad; see {given.output}")
    return 1 if bad else 0


def _write(output: Path, findings: list[Finding], seconds: float, left: list[str]) -> None:
    record = {
        "seconds": seconds,
        "holds": not left and all(each.holds is not False for each in findings),
        "left": left,
        "findings": [asdict(each) for each in findings],
    }
    output.mkdir(parents=True, exist_ok=True)
    (output / "gpu_check.json").write_text(json.dumps(record, indent=1), encoding="utf-8")
    (output / "gpu_check.md").write_text(table(findings) + "\n", encoding="utf-8")


def _apart(part: str, given: argparse.Namespace, seconds: float) -> Iterator[Finding]:
    """The findings of a part in a process of its own."""
    if seconds <= 0:
        yield Finding(part, "not run", False, "no time was left")
        return
    words = [sys.executable, __file__, "--part", part, "--device", given.device]
    words += ["--quick"] if given.quick else []
    environment = os.environ | {"CUBLAS_WORKSPACE_CONFIG": ":4096:8"}
    began = time.monotonic()
    # A session of its own: what it has started itself ends with it.
    process = subprocess.Popen(
        words,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        start_new_session=True,
    )
    try:
        said, errors = process.communicate(timeout=seconds)
        code: int | None = process.returncode
    except subprocess.TimeoutExpired as error:
        said, errors, code = _text(error.stdout), _text(error.stderr), None
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    for line in said.splitlines():
        if line.startswith("finding "):
            yield Finding(**json.loads(line.removeprefix("finding ")))
    spent = {"s": time.monotonic() - began}
    if code is None:
        yield Finding(part, "whole part", False, f"took more than {seconds:.0f} s", spent)
    elif code:
        last = errors.strip().splitlines()[-1:] or [""]
        yield Finding(part, "whole part", False, f"ended with {code}: {last[0][:200]}", spent)
    else:
        yield Finding(part, "whole part", None, "", spent)


def _text(said: Any) -> str:
    return said.decode(errors="replace") if isinstance(said, bytes) else said or ""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="What only a GPU can prove.")
    parser.add_argument("--output", type=Path, default=Path(os.environ.get("OUT", "gpu_check")))
    parser.add_argument("--seconds", type=float, default=700, help="that all parts may take")
    parser.add_argument("--only", nargs="*", choices=PARTS, help="parts; all of them if not given")
    parser.add_argument("--device", default="cuda:0")
    parser.add_argument("--quick", action="store_true", help="less of everything")
    parser.add_argument("--part", choices=PARTS, help=argparse.SUPPRESS)
    return parser


if __name__ == "__main__":
    sys.exit(main())
