"""Warm parents, and what the suites of this folder share. Its modules are imported by name."""

import re
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from warm import Warm  # noqa: E402

FRONT = ("contsemi.run", "contsemi.compose.consistency", "hydra", "hydra.core.override_parser")
RUN = (
    "contsemi.run",
    "contsemi.pipeline",
    "contsemi.strategies",
    "contsemi.data.sources.folder",
    "contsemi.data.sources.parquet",
    "contsemi.report.__main__",
    "hydra",
    "contsemi.report.pages.draw",
    "pyarrow.parquet",
    "readers",
    "sklearn.datasets",
)
# The default run, made small: some 1.5 s.
SMALL = (
    "scenario.classes=6",
    "scenario.tasks=3",
    "optim.epochs=1",
    "model.width=4",
    "objective.labelled_views=1",
    "objective.small_views=1",
    "projector=[16,8]",
    "memory.exemplars=24",
    "threads=1",
    "precision=fp32",
    "device=cpu",
    "display=quiet",
)


@pytest.fixture(scope="session")
def front():
    """Forks commands that end before torch is imported."""
    with Warm(*FRONT, "composed") as warm:
        yield warm


@pytest.fixture(scope="session")
def running():
    """Forks commands that read images or train."""
    with Warm(*RUN, "composed") as warm:
        yield warm


@pytest.fixture(scope="session")
def finished(running, tmp_path_factory):
    """The output folder of a real run, with its saved states."""
    folder = tmp_path_factory.mktemp("finished")
    answer = running("contsemi.run:main", [*SMALL, "output=run"], folder=folder, seconds=300.0)
    assert answer.code == 0, answer
    return folder / "run"


def tree(folder):
    """Every path below a folder, with the content of files."""
    return {
        path.relative_to(folder): path.read_bytes() if path.is_file() else None
        for path in sorted(Path(folder).rglob("*"))
        if not path.is_fifo()
    }


def matches(pattern, text):
    """Whether a text is what a table says; ``...`` stands for anything."""
    parts = [re.escape(part.strip()) for part in pattern.split("...")]
    return re.fullmatch(".*?".join(parts), text) is not None


def refused(answer, says):
    """Asserts that a command ended as bad input has to: code 2, one line, no traceback."""
    assert answer.signal == 0, answer
    assert not answer.hung, answer
    assert answer.code == 2, answer
    assert answer.out == "", answer
    assert answer.err.startswith("error: "), answer
    assert answer.err.endswith("\n"), answer
    assert len(answer.err.splitlines()) == 1, answer
    problem, semicolon, fix = answer.err[7:-1].partition("; ")
    assert problem and semicolon and fix, answer
    assert matches(says, answer.err[7:-1]), f"expected {says!r}, got {answer.err!r}"
