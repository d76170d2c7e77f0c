"""The command itself, as a user starts it: killed in a process of its own, its group with it."""

import json
import os
import pty
import signal
import subprocess
import sys
import time

import pytest

SMALL = ("scenario.classes=4", "scenario.tasks=2", "optim.epochs=8", "batch.unlabelled=96")
SMALL += ("model.width=8", "objective.labelled_views=1", "memory.exemplars=40", "threads=1")
COMMAND = [sys.executable, "-m", "contsemi.run", *SMALL, "device=cpu", "checkpoint.seconds=1e-6"]


def steps_saved(folder):
    try:
        manifest = json.loads((folder / "checkpoints" / "MANIFEST.json").read_bytes())
    except FileNotFoundError:
        return 0
    return manifest["body"]["generations"][0]["record"]["steps_done"]


def until(folder, steps, process):
    end = time.monotonic() + 120
    while steps_saved(folder) < steps and process.poll() is None and time.monotonic() < end:
        time.sleep(0.005)


@pytest.mark.slow
def test_six_kills_of_the_command(warm, tmp_path):
    folder = tmp_path / "run"
    for steps in (0, 5, 12, 20, 28, 40):
        process = subprocess.Popen(
            [*COMMAND, f"output={folder}"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        until(folder, steps, process)
        os.killpg(process.pid, signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        assert not (folder / "results.json").exists()
    for out in (folder, tmp_path / "whole"):
        done = subprocess.run([*COMMAND, f"output={out}"], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    assert warm.numbers(folder) == warm.numbers(tmp_path / "whole")


@pytest.mark.slow
def test_a_reader_that_goes_away_does_not_end_the_run(warm, tmp_path):
    """``| head -1``: and the numbers are those of a run with a terminal of one column."""
    piped, narrow = tmp_path / "piped", tmp_path / "narrow"
    process = subprocess.Popen(
        [*COMMAND, f"output={piped}"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    process.stdout.readline()
    process.stdout.close()
    said = process.stderr.read()
    process.stderr.close()
    assert process.wait(120) == 0, said
    assert said == b""

    owner, screen = pty.openpty()
    environment = os.environ | {"COLUMNS": "1", "LINES": "1", "TERM": "xterm", "LC_ALL": "C"}
    process = subprocess.Popen([*COMMAND, f"output={narrow}"], stdout=screen, env=environment)
    os.close(screen)
    try:
        while os.read(owner, 65536):
            pass
    except OSError:  # how the other end of a terminal ends
        pass
    os.close(owner)
    assert process.wait(120) == 0
    assert warm.numbers(piped) == warm.numbers(narrow)
