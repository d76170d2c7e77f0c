"""A contsemi scenario as an Avalanche benchmark."""

from typing import Any

import torch

from contsemi import data
from contsemi.config import Config
from contsemi.data.scenario import Stream, build
from contsemi.errors import InputError
from contsemi.labels import LabelBudget
from contsemi.labels.choices.choice import Choice
from contsemi.stores.store import Images, ImageStore
from contsemi.strategies.doors import config_of
from contsemi.strategies.streams import ImageRows, assemble


def benchmark(config: Config) -> Any:
    """The scenario of a configuration as an Avalanche benchmark.

    Args:
        config: a run; ``contsemi.compose.load(["scenario=digits_5tasks"])`` composes one.

    Returns:
        A benchmark with ``train_stream`` (the labelled images), ``unlabeled_stream`` (images
        without targets) and ``test_stream``, index by index. Avalanche's own strategies run on it
        too: they see the labelled images.

    Raises:
        InputError: it is no configuration, or the images, the classes or the labels are not as it
            says, or it asks for what the stream alone cannot have.
    """
    config = config_of(config, "benchmark(config)")
    _refuse_beyond_a_stream(config)
    train, test = data.load(config.data, config.scenario.dataset)
    budget = LabelBudget.parse(config.label_ratio)
    chosen = Choice.named(config.labels)
    stream = build(
        config.scenario, budget, train, test, config.seed, data=config.data, choice=chosen
    )
    return from_stream(stream, test.images)


def _refuse_beyond_a_stream(config: Config) -> None:
    """Refuses labels that only a run could buy or hold out, instead of having none of them."""
    scenario, choice = config.scenario, Choice.named(config.labels)
    if choice.asks_network and scenario.labels is None and scenario.lists is None:
        problem = f"{config.labels['name']} asks a network before each task, and here is none"
        fix = "give the labels.txt of a run: scenario.labels=FILE"
        raise InputError("labels", problem, fix)
    beyond = {
        "scenario.validation": (scenario.validation, "tests on labels in a run"),
        "coarse_ratio": (config.coarse_ratio, "buys labels that Avalanche's datasets cannot hold"),
    }
    for key, (value, does) in beyond.items():
        if value:
            raise InputError(key, f"{does}, and this is a benchmark of Avalanche", "set it to 0")


def from_stream(stream: Stream, test_images: Images) -> Any:
    """A stream of tasks as an Avalanche benchmark.

    Args:
        stream: the stream.
        test_images: uint8 [M, 3, S, S], the array that its test tasks point into.

    Raises:
        InputError: the images are in shards, which Avalanche cannot index.
    """
    if isinstance(stream.images, ImageStore) or isinstance(test_images, ImageStore):
        problem = "shards are no array, as the datasets of Avalanche need"
        raise InputError("data.source", problem, "use data.source=folder or parquet")
    class_ids = torch.tensor(stream.class_order)
    tests = [
        ImageRows(task.indices, class_ids[task.targets], torch.zeros_like(task.targets))
        for task in stream.test
    ]
    return assemble(stream.images, stream.experiences, stream.class_order, test_images, tests)
