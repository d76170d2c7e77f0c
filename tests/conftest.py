"""What tests of several rooms share."""

import os
from pathlib import Path

import pytest
import torch


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    """Tests run side by side; one thread each is fastest, and keeps sums in one order."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def cifar100_root():
    """Folder of the real CIFAR-100 in parquet files; skips where there is none."""
    root = Path(__file__).parents[1]
    places = [os.environ.get("CONTSEMI_CIFAR100"), root.parent / "shared" / "data" / "cifar100"]
    for place in places:
        if place and Path(place, "data").is_dir():
            return Path(place)
    pytest.skip("no CIFAR-100 here: set CONTSEMI_CIFAR100 to a folder of its parquet files")


SMALL = (
    "model.width=8",
    "optim.epochs=2",
    "batch.unlabelled=96",
    "objective.labelled_views=1",
    "memory.exemplars=60",
    "threads=1",
    "display=quiet",
    "device=cpu",
)


@pytest.fixture(scope="session")
def small():
    """Composes a run on the real digits that trains in a second or two."""
    from contsemi import compose

    def load(*words):
        given = {word.split("=")[0] for word in words}
        words = [*(word for word in SMALL if word.split("=")[0] not in given), *words]
        if given & {"method", "objective", "model"}:  # which may not have these keys
            words = [word for word in words if not word.startswith(("model.w", "objective.lab"))]
        return compose.load(words)

    return load


@pytest.fixture(scope="session")
def stream_of():
    """Builds the stream of a configuration, with its test images."""
    from contsemi import data
    from contsemi.data.scenario import build
    from contsemi.labels import LabelBudget

    def make(config, change=lambda train: train):
        train, test = data.load(config.data, config.scenario.dataset)
        budget = LabelBudget.parse(config.label_ratio)
        return build(config.scenario, budget, change(train), test, config.seed), test

    return make


@pytest.fixture(scope="session")
def make_step():
    """Makes a step by hand; what is not given is missing, and it is the first of two classes."""
    from contsemi.types import Step

    def make(**given):
        labels = given.get("labels", torch.empty(0, dtype=torch.int64))
        nothing = dict.fromkeys(["labelled", "large", "small", "teacher", "past", "memory"])
        return Step(
            **nothing
            | {
                "labels": labels,
                "from_memory": torch.zeros(len(labels), dtype=torch.bool),
                "labelled_ids": torch.arange(len(labels)),
                "unlabelled_ids": torch.arange(given.pop("batch_size", 0)),
                "columns": torch.arange(given.get("num_old", 0), given.get("num_seen", 2)),
                "num_old": 0,
                "num_seen": 2,
                "progress": 0.0,
            }
            | given
        )

    return make
