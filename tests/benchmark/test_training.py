"""Runs that a benchmark or a search has started end with it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from contsemi.devices import process

STARTS = """
import sys, time
from pathlib import Path
from contsemi.benchmark.training import started
words = ["method=suave", "optim.epochs=2000", "checkpoint.seconds=0.2", "threads=1", "device=cpu"]
print(started(words, Path(sys.argv[1])).pid, flush=True)
time.sleep(600)
"""
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="Linux alone tells a child of its end")


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_for(what, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end
        time.sleep(0.05)


@LINUX
def test_a_run_ends_and_saves_itself_when_who_started_it_is_killed(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    starter = subprocess.Popen([sys.executable, "-c", STARTS, folder], stdout=subprocess.PIPE)
    pid = int(starter.stdout.readline())
    try:
        wait_for(lambda: (folder / "progress.json").exists())
        assert alive(pid)
        starter.kill()
        starter.wait()
        wait_for(lambda: not alive(pid))
    finally:
        starter.stdout.close()
        if alive(pid):
            os.kill(pid, signal.SIGKILL)
    assert "the same command goes on from here" in folder.with_suffix(".log").read_text()


class Linux:
    """Stands in for the C library: notes what was asked of it."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, int]] = []

    def prctl(self, option: int, value: int) -> None:
        self.asked.append((option, value))


@pytest.mark.parametrize(
    ("platform", "starter", "asks", "ends"),
    [
        ("linux", None, False, False),  # somebody's shell
        ("linux", "its parent", True, False),
        ("linux", "gone", True, True),  # before Linux was asked
        ("darwin", "its parent", False, False),
    ],
)
def test_only_what_was_started_for_somebody_asks_for_his_end(
    platform: str, starter: str | None, asks: bool, ends: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = Linux()
    monkeypatch.setattr("ctypes.CDLL", lambda name: library)
    monkeypatch.setattr("sys.platform", platform)
    monkeypatch.delenv(process.STARTER, raising=False)
    if starter is not None:
        gone = os.getpid()  # is not its own parent
        monkeypatch.setenv(process.STARTER, str(gone if starter == "gone" else os.getppid()))
    if ends:
        with pytest.raises(SystemExit) as end:
            process.end_with_starter()
        assert end.value.code == 143
    else:
        process.end_with_starter()
    assert library.asked == ([(1, signal.SIGTERM)] if asks else [])
    assert process.STARTER not in os.environ  # or what it starts itself would ask for its end
