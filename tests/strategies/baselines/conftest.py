import pytest

from contsemi import compose
from contsemi.strategies.baselines import Baseline

TINY = (
    "scenario.classes=6",
    "scenario.tasks=3",
    "model.width=8",
    "optim.epochs=2",
    "batch.unlabelled=96",
    "memory.exemplars=40",
    "threads=1",
    "display=quiet",
    "device=cpu",
)


@pytest.fixture(scope="session")
def load():
    """Composes a baseline's run on the real digits that trains in a second."""

    def make(name, *words):
        given = {word.split("=")[0] for word in words}
        keeps = compose.load([f"method={name}"]).memory.exemplars
        tiny = [word for word in TINY if word.split("=")[0] not in given]
        if not keeps:
            tiny = [word for word in tiny if not word.startswith("memory.")]
        return compose.load([f"method={name}", *tiny, *words])

    return make


@pytest.fixture(scope="session")
def train(load, stream_of):
    """Trains a baseline on a stream; ``after(task, baseline)`` is called after each task."""

    def run(name, *words, stream=None, hooks=None, after=lambda task, baseline: None):
        config = load(name, *words)
        stream = stream or stream_of(config)[0]
        baseline = Baseline(config, stream.experiences, stream.images)
        for task in baseline.tasks:
            baseline.train(task, hooks)
            after(task, baseline)
        return baseline

    return run
