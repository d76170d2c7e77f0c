"""A digits run with deterministic=true that is stopped and goes on, against one that is not."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from gpu_parts.common import Found

WORDS = (
    *("method=contsemi", "display=quiet", "deterministic=true", "precision=fp32"),
    *("scenario.tasks=2", "scenario.classes=4", "optim.epochs=3", "checkpoint.seconds=0.01"),
)
SAME = ("accuracy_matrix.csv", "metrics.jsonl")


def command(device: str, folder: Path) -> "subprocess.Popen[str]":
    """The run, started."""
    words = [sys.executable, "-m", "contsemi.run", *WORDS, f"device={device}", f"output={folder}"]
    return subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def check(device: str, quick: bool) -> Found:
    """Two runs; one is asked to stop after its first saved state, and started again."""
    import safetensors  # noqa: F401  what it is saved by

    os.environ.setdefault("CONTSEMI_NO_REEXEC", "1")
    with tempfile.TemporaryDirectory() as folder:
        whole, stopped = Path(folder) / "whole", Path(folder) / "stopped"
        process = command(device, whole)
        said = process.communicate()[1]
        yield "a run", process.returncode == 0, said.strip()[-200:], {}
        process = command(device, stopped)
        manifest = stopped / "checkpoints" / "MANIFEST.json"
        while process.poll() is None and not manifest.exists():
            time.sleep(0.02)
        process.send_signal(signal.SIGTERM)
        process.communicate()
        yield "is stopped", process.returncode in (0, 143), f"exit {process.returncode}", {}
        process = command(device, stopped)
        said = process.communicate()[1]
        yield "goes on", process.returncode == 0, said.strip()[-200:], {}
        same = all((whole / name).read_bytes() == (stopped / name).read_bytes() for name in SAME)
        yield "to the same bits", same, "", {}
