"""Many processes start on one folder at once: one gets it, the others say who has it."""

import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest

# The processes are forked from one that has imported the module, and start at one time.
RACE = r"""
    import os, signal, sys, time
    from pathlib import Path
    from contsemi.errors import InputError
    from contsemi.storage.folder import OutputFolder

    folder, count, begin = Path(sys.argv[1]), int(sys.argv[2]), time.time() + 0.02 * 8
    children = []
    for _ in range(count):
        pid = os.fork()
        if pid:
            children.append(pid)
            continue
        while time.time() < begin:
            pass
        started = time.monotonic()
        try:
            with OutputFolder(folder, {"resume": "auto"}):
                (folder / f"won.{os.getpid()}").touch()
                os.write(1, f"won {os.getpid()} 0\n".encode())  # a line at once
                time.sleep(60)
        except InputError as error:
            seconds = time.monotonic() - started
            os.write(1, f"lost {os.getpid()} {seconds} {error}\n".encode())
        os._exit(0)
    for pid in children:
        os.waitpid(pid, 0)
"""
PROCESSES = 8


def race(folder):
    """The lines of one race; the winner is killed at its end."""
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(RACE), str(folder), str(PROCESSES)],
        stdout=subprocess.PIPE,
        text=True,
    )
    lines = [process.stdout.readline().split(maxsplit=3) for _ in range(PROCESSES)]
    winners = [int(line[1]) for line in lines if line[0] == "won"]
    for pid in winners:
        os.kill(pid, signal.SIGKILL)
    process.wait(30)
    process.stdout.close()
    return lines, winners


def check(tmp_path, races):
    folder, slowest = tmp_path / "run", 0.0
    for _ in range(races):
        lines, winners = race(folder)
        assert len(winners) == 1, lines
        lost = [line for line in lines if line[0] == "lost"]
        assert all(f"in use by another run (process {winners[0]} on " in line[3] for line in lost)
        slowest = max(slowest, *(float(line[2]) for line in lost))
        # The folder is the winner's alone; a lock outlives no owner: the next race has a winner.
        assert (folder / f"won.{winners[0]}").exists()
    print(f"{races * PROCESSES} starts, the slowest refusal took {1000 * slowest:.0f} ms")
    assert slowest < 1.0
    assert len(list(folder.glob("won.*"))) == races


@pytest.mark.thorough
def test_a_few_races(tmp_path):
    check(tmp_path, 2)


@pytest.mark.slow
def test_two_hundred_starts(tmp_path):
    began = time.monotonic()
    check(tmp_path, 25)
    assert time.monotonic() - began < 300
