"""Bundled digits as Avalanche has them; Avalanche is imported once for all tests of this folder."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch.utils.data import TensorDataset

from contsemi import compose
from contsemi.types import Experience

TINY = ["device=cpu", "precision=fp32", "model.width=8", "projector=[32,16]", "optim.epochs=2"]
DRAWS = ["objective.supports_per_class=0", "objective.labelled_views=1", "memory.exemplars=40"]


@pytest.fixture(scope="session")
def digit_arrays():
    """Images uint8 [1797, 8, 8] in steps of 15, and class ids."""
    digits = load_digits()
    return (digits.images * 15).astype(np.uint8), digits.target.astype(np.int64)


@pytest.fixture(scope="session")
def digit_datasets(digit_arrays):
    """Float images in [0, 1]: 1500 for training, 297 for testing."""
    images, targets = digit_arrays
    x, y = torch.from_numpy(images)[:, None].float() / 255, torch.from_numpy(targets)
    return TensorDataset(x[:1500], y[:1500]), TensorDataset(x[1500:], y[1500:])


@pytest.fixture(scope="session")
def theirs(digit_datasets):
    """Avalanche's own benchmark: 5 experiences of 2 classes, in a shuffled order."""
    from avalanche.benchmarks import nc_benchmark

    order = [3, 8, 0, 6, 9, 1, 7, 2, 5, 4]
    return nc_benchmark(*digit_datasets, 5, task_labels=False, fixed_class_order=order)


@pytest.fixture(scope="session")
def ours(theirs):
    """The same with 5% of the labels."""
    from contsemi.strategies import semi_supervised

    return semi_supervised(theirs, label_ratio="5%", seed=0)


@pytest.fixture
def tiny_config():
    """A function: method and overrides to a configuration that trains in a second."""

    def load(method="suave", *overrides):
        given = {word.partition("=")[0] for word in overrides}
        usual = [word for word in (*TINY, *DRAWS) if word.partition("=")[0] not in given]
        return compose.load([f"method={method}", *usual, *overrides])

    return load


@pytest.fixture
def make_strategy(tiny_config):
    """A function: a silent strategy of some plugins."""
    from contsemi.strategies import SemiSupervisedStrategy

    def make(*plugins, method="suave", overrides=(), **options):
        options = {"evaluator": None, **options}
        config = tiny_config(method, *overrides)
        return SemiSupervisedStrategy(config=config, plugins=list(plugins), **options)

    return make


@pytest.fixture
def two_tasks():
    """Random images 8 x 8 of 2 tasks of 2 classes each, columns 0 to 3."""
    draw = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (40, 3, 8, 8), dtype=torch.uint8, generator=draw)
    tasks = []
    for t in range(2):
        rows = torch.arange(20 * t, 20 * t + 20)
        labels = torch.tensor([2 * t, 2 * t + 1, 2 * t])
        tasks.append(Experience(t, (2 * t, 2 * t + 1), 2 * t, 2 * t + 2, rows[:3], labels, rows))
    return images, tasks
