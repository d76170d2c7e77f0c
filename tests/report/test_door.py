"""The doors of the commands, each as a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "contsemi"
COMMANDS = ["run", *(file.parent.name for file in PACKAGE.glob("*/__main__.py"))]

# Python clears modules away after it has given up the handlers of signals.
LATE = """
import os, signal

class Late:
    def __del__(self, send=os.kill, whom=os.getpid(), what=signal.SIGINT):
        send(whom, what)

late = Late()
"""


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.quick(2)
def test_ctrl_c_after_the_end_does_not_change_the_code(tmp_path, command):
    (tmp_path / "sitecustomize.py").write_text(LATE)
    places = os.pathsep.join([str(tmp_path), str(PACKAGE.parent)])
    done = subprocess.run(
        [sys.executable, "-m", f"contsemi.{command}", "--help"],
        env={**os.environ, "PYTHONPATH": places},
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout


def test_the_signal_of_the_test_above_is_late_enough(tmp_path):
    """It ends a process that does not ignore it, though that one catches all that it can."""
    (tmp_path / "sitecustomize.py").write_text(LATE)
    caught = "import signal; signal.signal(signal.SIGINT, lambda *_: None)"
    done = subprocess.run(
        [sys.executable, "-c", caught],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        check=False,
    )
    assert done.returncode == -2
