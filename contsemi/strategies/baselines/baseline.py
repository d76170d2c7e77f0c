"""A strategy of Avalanche in the place of the learner, for one run of the pipeline."""

import random
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from contsemi.config import Config
from contsemi.discovery import find_class
from contsemi.errors import InputError
from contsemi.learner.forward import Embedder
from contsemi.learner.kept import network_bytes
from contsemi.learner.loop import Hooks
from contsemi.seeding import derive
from contsemi.stores.store import Images
from contsemi.strategies.baselines.conditions import Conditions
from contsemi.strategies.baselines.method import Method
from contsemi.strategies.baselines.rows import labelled_stream
from contsemi.strategies.scores import UNSEEN
from contsemi.types import Experience, Outputs


class Baseline:
    """Learns a stream's labelled images task by task, and predicts.

    Args:
        config: the run; ``baseline.name`` names the strategy.
        experiences: the tasks; their unlabelled images only decide how many steps a task has.
        images: uint8 [N, 3, S, S], or a store: what their indices point into.

    Attributes:
        conditions: what the strategy shares with other methods.
        strategy: Avalanche's.
        pieces: 1; the batches of these strategies are never split.
        tasks: the tasks after which there is something to measure: the last alone, if joint.

    Raises:
        InputError: the strategy cannot run under this configuration.
    """

    pieces = 1

    def __init__(self, config: Config, experiences: Sequence[Experience], images: Images) -> None:
        self.config, self.experiences = config, experiences
        self.method = _method(config)
        self.conditions = Conditions(config, experiences, images, masked=self.method.masked)
        with _quiet():
            self.strategy = self.method.build(self.conditions)
        self.stream = labelled_stream(experiences)
        count = len(experiences)
        self.tasks = range(count - 1, count) if self.method.joint else range(count)
        device = self.conditions.device
        self._unlearned = torch.ones(experiences[-1].num_seen, dtype=torch.bool, device=device)

    def trains(self, task: int) -> bool:
        """Whether the task has a labelled image, from which alone these strategies learn."""
        return self.method.joint or bool(len(self.experiences[task].labels))

    def train(self, task: int, hooks: Hooks | None = None) -> None:
        """Learns one task of :attr:`tasks`; one without a labelled image changes nothing.

        Args:
            task: its index.
            hooks: told ``before_backward`` and ``after_training_iteration``.
        """
        joint = self.method.joint
        self.conditions.hooks = hooks or Hooks()
        learned = self.experiences if joint else [self.experiences[task]]
        self.conditions.begin(learned)
        if not self.trains(task):
            return
        self._unlearned[torch.cat([each.labels for each in learned])] = False
        with _quiet(), _seeded(derive(self.config.seed, "avalanche", task)):
            self.method.train(self.strategy, self.stream if joint else self.stream[task])
        self.conditions.pixels.drawn.clear()

    def predict(self, images: Images) -> Tensor:
        """Scores of un-augmented images over all seen columns.

        Args:
            images: uint8 [N, 3, S, S], on any device.

        Returns:
            float32 [N, num_seen] on the device of the network.
        """
        return self.scores(self.look(images))

    def look(self, images: Images, ids: Tensor | None = None) -> Outputs:
        """Outputs of un-augmented images, or of those with the ids, without gradient."""
        return self._embed(images, ("classifier",), ids)

    def features(self, images: Images, ids: Tensor | None = None) -> Tensor:
        """Features [N, F] of un-augmented images, or of those with the ids."""
        return self._embed(images, (), ids).features

    @torch.no_grad()
    def scores(self, outputs: Outputs) -> Tensor:
        """Scores [N, num_seen] of the outputs of :meth:`look`; classes without a label are last."""
        unlearned = self._unlearned[: self.conditions.pixels.num_seen]
        if unlearned.all():
            return outputs.features.new_full((len(outputs.features), len(unlearned)), UNSEEN)
        scores = self.method.scores(self.strategy, outputs)[:, : len(unlearned)]
        return scores.masked_fill(unlearned, UNSEEN)

    def predictions(self, outputs: Outputs) -> dict[str, Tensor]:
        """The same by name; a baseline has no other predictor."""
        return {"headline": self.scores(outputs)}

    def space(self, outputs: Outputs) -> tuple[Tensor, Tensor]:
        """The features [N, F], in which nothing stands for a class: NaN [num_seen, F]."""
        features = outputs.features
        shape = (self.conditions.pixels.num_seen, features.shape[1])
        return features, features.new_full(shape, torch.nan)

    def _embed(self, images: Images, heads: Sequence[str], ids: Tensor | None = None) -> Outputs:
        conditions = self.conditions
        augment, chunk = conditions.pixels.augment, self.config.batch.test
        embed = Embedder(augment, chunk, conditions.device, conditions.precision)
        return embed(conditions.network, images, heads, ids)

    @property
    def without_exemplars(self) -> list[int]:
        """Seen columns of which a strategy with a memory keeps no image."""
        kept = self.method.kept(self.strategy)
        seen = set(range(self.conditions.pixels.num_seen))
        return [] if kept is None else sorted(seen - set(kept))

    @property
    def memory(self) -> dict[str, int]:
        """Bytes kept of earlier tasks: ``exemplars``, and ``past`` for copies and importances."""
        each = self.conditions.image_bytes + 8 + self.method.bytes_beside(self.strategy)
        kept = {
            "exemplars": len(self.method.kept(self.strategy) or ()) * each,
            "past": sum(map(_bytes, self.method.networks(self.strategy))),
        }
        return {name: size for name, size in kept.items() if size}


def _bytes(kept: Tensor | nn.Module) -> int:
    return kept.nbytes if isinstance(kept, Tensor) else network_bytes(kept)


@contextmanager
def _quiet() -> Iterator[None]:
    """Avalanche warns of its own old calls, whatever the filters, and of an idle evaluator."""
    with warnings.catch_warnings(record=True) as caught:
        yield
    for each in caught:
        if not re.match("Call to deprecated|No loggers specified", str(each.message)):
            warnings.warn_explicit(each.message, each.category, each.filename, each.lineno)


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Avalanche draws its buffers from the global generators of torch and of Python."""
    before = random.getstate()
    random.seed(seed)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)  # not torch.manual_seed: it seeds GPUs too
            yield
    finally:
        random.setstate(before)


def _method(config: Config) -> Method:
    options = {key: value for key, value in config.baseline.items() if key != "name"}
    name = config.baseline["name"]
    try:
        return find_class("strategies.baselines", name, Method)(**options)
    except TypeError as error:
        raise InputError("baseline", str(error), f"use the keys of {name}.yaml") from error
