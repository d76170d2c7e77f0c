"""Which of the places that raise an error of ours the tests reach, and which they do not.

    python scripts/raise_sites.py [pytest arguments]

Without arguments the quick suite is run, and ``tests -m "slow or not slow"`` runs everything. It
runs on a copy of the sources in which every error notes where it is made, so that processes which
tests start and fork are counted, too.
"""

import ast
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from error_table import CODES, ROOT, _called, _helpers

NOTED = "noted.txt"
FOLDERS = ("contsemi", "conf", "scenarios", "tests", "scripts", "docs", "examples")
FILES = ("pyproject.toml", "README.md", "LICENSE")
# Appended to errors.py of the copy: the frames from where an error is made up to who asked for it.
NOTES = f"""

def _note(cls, *args, **named):
    import os, sys
    frame, lines = sys._getframe(1), []
    for _ in range(4):
        if frame is not None:
            lines.append(f"{{frame.f_code.co_filename}}:{{frame.f_lineno}}\\n")
            frame = frame.f_back
    noted = os.path.join(os.path.dirname(os.path.dirname(__file__)), {NOTED!r})
    descriptor = os.open(noted, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    os.write(descriptor, "".join(lines).encode())
    os.close(descriptor)
    return Exception.__new__(cls, *args)


ContsemiError.__new__ = _note
"""


def sites(file: Path) -> Iterator[tuple[int, int, str]]:
    """First line, last line and text of every statement that raises one of our errors."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    names = {*CODES, "StepTooLarge", "Elsewhere", *_helpers(tree)}
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call)):
            continue
        if _called(node.exc) in names:
            yield node.lineno, node.end_lineno or node.lineno, ast.unparse(node.exc)[:90]


def run(arguments: list[str]) -> tuple[int, set[tuple[str, int]]]:
    """Runs the tests on a copy; returns pytest's exit code and (file, line) of what was noted."""
    with tempfile.TemporaryDirectory() as place:
        copy = Path(place).resolve() / "contsemi-copy"
        copy.mkdir()
        for name in FOLDERS:
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, copy / name)
        for name in FILES:
            shutil.copy(ROOT / name, copy)
        with (copy / "contsemi" / "errors.py").open("a") as errors:
            errors.write(NOTES)
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments]
        environment = os.environ | {"PYTHONPATH": str(copy)}
        code = subprocess.run(command, cwd=copy, env=environment, check=False).returncode
        noted = set()
        if (copy / NOTED).exists():
            for line in (copy / NOTED).read_text().splitlines():
                name, _, number = line.rpartition(":")
                if name.startswith(f"{copy}{os.sep}"):
                    noted.add((str(Path(name).relative_to(copy)), int(number)))
    return code, noted


def main() -> int:
    """Prints the places that were not reached, and how many were; 1 if there is one."""
    arguments = sys.argv[1:] or ["-q", "-n", "2", "-m", "not slow and not gpu"]
    code, noted = run(arguments)
    count, missed = 0, []
    for file in sorted((ROOT / "contsemi").rglob("*.py")):
        name = str(file.relative_to(ROOT))
        for first, last, text in sites(file):
            count += 1
            if not any((name, line) in noted for line in range(first, last + 1)):
                missed.append(f"{name}:{first}: {text}")
    print("\n".join(missed))
    print(f"{count - len(missed)} of {count} places reached; pytest ended with {code}")
    return int(bool(missed))


if __name__ == "__main__":
    sys.exit(main())
