"""Runs that are disturbed, in children forked from a warm process; see warm.py."""

import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from contsemi.records.results import without_timings

HERE = Path(__file__).parent
ROOT = HERE.parents[1]

# The default run, made small: three tasks with exemplars, embeddings and FAISS, an EMA teacher,
# distillation from the past and class moments; a state is saved after each of its nine steps.
WORDS = (
    "scenario.classes=6",
    "scenario.tasks=3",
    "optim.epochs=1",
    "batch.unlabelled=96",
    "batch.labelled=16",
    "model.width=4",
    "objective.labelled_views=1",
    "objective.small_views=1",
    "objective.teacher=[0.9,0.99]",
    "projector=[16,8]",
    "memory.exemplars=24",
    "memory.embeddings=24",
    "memory.index=flat",
    "distiller.neighbours=3",
    "threads=1",
    "precision=fp32",
    "device=cpu",
    "display=plain",
    "checkpoint.seconds=1e-6",
)


class Warm:
    """Starts runs; every one has a folder of its own under a place in memory."""

    def __init__(self, place, environment=None):
        self.place, self.made = place, 0
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / "warm.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={
                **os.environ,
                "OMP_NUM_THREADS": "1",
                "PYTHONPATH": str(ROOT),
                **(environment or {}),
            },
            text=True,
        )

    def folder(self):
        """A new name for an output folder."""
        self.made += 1
        return self.place / f"run{self.made}" / "out"

    def run(self, folder, *words, **job):
        """One process of a run; what it says is in the answer's ``said``."""
        last = {word.split("=")[0]: word for word in (*WORDS, *words, f"output={folder}")}
        return self.call(folder, list(last.values()), **job)

    def call(self, folder, words, **job):
        """One process of any command."""
        if self.process.poll() is None and self.made >= 0 and not getattr(self, "ready", False):
            assert self.process.stdout.readline() == "ready\n"
            self.ready = True
        folder.parent.mkdir(exist_ok=True, parents=True)
        said = folder.parent / "said.txt"
        job |= {"words": list(words), "said": str(said)}
        self.process.stdin.write(json.dumps(job) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        return answer | {"said": said.read_text(errors="replace")}

    def finish(self, folder, *words):
        """The same command again, undisturbed; it must end well and find nothing damaged."""
        answer = self.run(folder, *words)
        assert answer["code"] == 0, answer["said"]
        assert "damaged" not in answer["said"]
        return numbers(folder)

    numbers = staticmethod(lambda folder: numbers(folder))

    @staticmethod
    def same(folder, whole):
        """Whether a run that ended has these numbers, and left nothing behind."""
        try:
            return numbers(folder) == whole
        except AssertionError:
            return False

    def forget(self, folder):
        """Gives the memory back."""
        shutil.rmtree(folder.parent)

    def close(self):
        self.process.stdin.close()
        self.process.wait(30)
        self.process.stdout.close()


def numbers(folder):
    """A digest of all that two runs of one command must have in common."""
    manifest = json.loads((folder / "checkpoints" / "MANIFEST.json").read_text())["body"]
    newest = manifest["generations"][0]
    assert len(manifest["generations"]) == len(list((folder / "checkpoints").glob("state-*")))
    assert not list(folder.rglob("*.tmp"))
    facts = json.loads((folder / "manifest.json").read_text())
    parts = {
        "weights": hashlib.sha256((folder / "checkpoints" / newest["file"]).read_bytes()),
        "results": without_timings(json.loads((folder / "results.json").read_text())),
        "labels": facts["label_indices"],
        "matrix": (folder / "accuracy_matrix.csv").read_text(),
        "metrics": hashlib.sha256((folder / "metrics.jsonl").read_bytes()),
    }
    return {
        name: part.hexdigest() if hasattr(part, "hexdigest") else part
        for name, part in parts.items()
    }


def _place():
    memory = Path("/dev/shm")
    return Path(tempfile.mkdtemp(prefix="contsemi-", dir=memory if memory.is_dir() else None))


@pytest.fixture(scope="session")
def warm():
    """The warm process of this session."""
    place = _place()
    process = Warm(place)
    yield process
    process.close()
    shutil.rmtree(place)


@pytest.fixture(scope="session")
def warm_with():
    """Makes further warm processes with another environment."""
    made = []

    def make(**environment):
        made.append(Warm(_place(), environment))
        return made[-1]

    yield make
    for process in made:
        process.close()
        shutil.rmtree(process.place)


@pytest.fixture(scope="session")
def whole(warm):
    """The numbers of a run that nobody disturbed."""
    folder = warm.folder()
    found = warm.finish(folder)
    # Figures would take most of the time of hundreds of runs; see ``quick_draw``.
    assert (folder / "report.html").read_bytes() == b"drawn"
    warm.forget(folder)
    return found


@pytest.fixture
def draw(request):
    """Random numbers; a failure is repeated with the seed that its report shows."""
    seed = int(os.environ.get("CONTSEMI_FAULTS_SEED", random.SystemRandom().randrange(2**32)))
    print(f"CONTSEMI_FAULTS_SEED={seed}")
    return random.Random(seed)
