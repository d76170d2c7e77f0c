"""An Avalanche strategy whose optimiser, schedule and batches are those of the other methods."""

from collections.abc import Sequence
from functools import partial
from typing import Any, cast

import torch
from avalanche.training.losses import MaskedCrossEntropy
from avalanche.training.plugins import SupervisedPlugin
from torch import nn

from contsemi.learner.learner import Learner
from contsemi.learner.loop import Loop
from contsemi.strategies.baselines.conditions import Conditions
from contsemi.strategies.baselines.method import Method
from contsemi.types import Batch


def under_same_conditions(
    strategy: type[Any],
    method: Method,
    conditions: Conditions,
    without: Sequence[str] = (),
    **arguments: Any,
) -> Any:
    """An Avalanche strategy under our conditions.

    Args:
        strategy: Avalanche's class.
        method: knows where the strategy keeps its memory.
        conditions: the conditions.
        without: names in ``conditions.arguments`` that its constructor does not take.
        **arguments: of its constructor, over those of ``conditions.arguments``.
    """
    common = {name: value for name, value in conditions.arguments.items() if name not in without}
    made = strategy(**common | arguments)
    made.make_optimizer = _keep_optimizer
    made.make_train_dataloader = partial(_make_batches, made, method, conditions)
    made.optimizer_step = conditions.update
    loop = Loop(cast(Learner, conditions))
    made.plugins.insert(0, _First(conditions, loop))
    made.plugins.append(_Last(method, conditions, loop))
    return made


def _keep_optimizer(**kwargs: Any) -> None:
    """Nothing to do: the network has its full width, and Avalanche would wipe the momenta."""


def _make_batches(strategy: Any, method: Method, conditions: Conditions, **kwargs: Any) -> None:
    """As many steps as the semi-supervised methods take, of as many labelled rows."""
    rows = method.rows_per_step(conditions.config.batch.labelled, strategy.clock)
    strategy.dataloader = conditions.batches((strategy.adapted_dataset, rows))


def plugin_of(strategy: Any, kind: type[Any]) -> Any:
    """The plugin of a kind that the constructor of a strategy has made."""
    return next(plugin for plugin in strategy.plugins if isinstance(plugin, kind))


def criterion(new_classes_only: bool) -> Any:
    """Cross-entropy among the classes of the task, or among all that were seen."""
    return MaskedCrossEntropy(mask="new") if new_classes_only else nn.CrossEntropyLoss()


class _First(SupervisedPlugin):  # type: ignore[misc]
    """Is called before all plugins of a strategy."""

    def __init__(self, conditions: Conditions, loop: Loop) -> None:
        super().__init__()
        self.conditions, self.loop = conditions, loop

    def before_training_iteration(self, strategy: Any, **kwargs: Any) -> None:
        """The step begins."""
        self.conditions.begin_step()

    def before_backward(self, strategy: Any, **kwargs: Any) -> None:
        """The loss of the labels alone."""
        self.loop.terms = {"labels": strategy.loss.detach().sum()}


class _Last(SupervisedPlugin):  # type: ignore[misc]
    """Is called after all of them."""

    def __init__(self, method: Method, conditions: Conditions, loop: Loop) -> None:
        super().__init__()
        self.method, self.conditions, self.loop = method, conditions, loop

    def before_training_exp(self, strategy: Any, **kwargs: Any) -> None:
        """The loaders of the strategy's memory are there."""
        self.method.draw_from_memory(strategy, self.conditions)

    def before_backward(self, strategy: Any, **kwargs: Any) -> None:
        """The loss with what plugins have added, and all rows that the network has looked at."""
        loop, loss = self.loop, strategy.loss.detach().sum()
        if self.method.term:
            loop.terms[self.method.term] = loss - loop.terms["labels"]
        rows = torch.cat([rows for rows, _ in self.conditions.pixels.drawn])
        none = rows[:0]
        loop.loss = loss
        loop.batch = Batch(
            images={}, labels=none, labelled_ids=rows, unlabelled_ids=none, places=none
        )
        self.conditions.hooks.before_backward(loop)

    def after_training_iteration(self, strategy: Any, **kwargs: Any) -> None:
        """The step is done."""
        done = self.conditions.step_in_task - 1
        self.loop.epoch, self.loop.iteration = divmod(done, self.conditions.steps_per_epoch)
        self.conditions.hooks.after_training_iteration(self.loop)
