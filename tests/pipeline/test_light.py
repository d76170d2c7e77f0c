"""What a run of our own brings into the process: little of weight, alone or among several."""

import os
import subprocess
import sys

import pytest

WORDS = ("scenario.classes=4", "scenario.tasks=2", "optim.epochs=1", "model.width=4")
WORDS += ("threads=1", "device=cpu", "display=quiet", "evaluate.embeddings=0")
PROGRAM = """
import sys
from contsemi.run import main
code = main(sys.argv[1:])
heavy = ("avalanche", "contsemi.strategies", "sklearn", "torch._dynamo")
print("loaded", *(name for name in heavy if name in sys.modules), flush=True)
sys.exit(code)
"""


@pytest.mark.parametrize(
    ("method", "loaded"), [("contsemi", []), ("naive", ["avalanche", "contsemi.strategies"])]
)
@pytest.mark.thorough
def test_only_its_own_baselines_need_avalanche(method, loaded, tmp_path):
    """Nor does a run need scikit-learn for its digits, or torch's compiler for its optimiser."""
    words = [*WORDS, f"method={method}", f"output={tmp_path}"]
    command = [sys.executable, "-c", PROGRAM, *words]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].split()[:3] == ["loaded", *loaded]


@pytest.mark.slow
def test_nor_do_the_processes_of_torchrun(tmp_path):
    """Avalanche would refuse to be imported where it sees a rank but 0."""
    (tmp_path / "program.py").write_text(PROGRAM)
    start = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    words = [*WORDS, f"output={tmp_path / 'run'}"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [*start, str(tmp_path / "program.py"), *words]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines().count("loaded") == 2
