"""An Avalanche strategy whose optimiser, schedule and batches are those of the other methods."""

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from contsemi.learner.learner import Learner
from contsemi.learner.loop import Loop
from contsemi.strategies._avalanche import MaskedCrossEntropy
from contsemi.strategies.baselines.conditions import Conditions
from contsemi.strategies.baselines.method import Method
from contsemi.types import Batch

__all__ = ["criterion", "plugin_of", "under_same_conditions"]


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
    made = type(strategy.__name__, (_SameConditions, strategy), {})(**common | arguments)
    made.method, made.conditions = method, conditions
    made.loop = Loop(cast(Learner, conditions))
    return made


def plugin_of(strategy: Any, kind: type[Any]) -> Any:
    """The plugin of a kind that the constructor of a strategy has made."""
    return next(plugin for plugin in strategy.plugins if isinstance(plugin, kind))


def criterion(new_classes_only: bool) -> Any:
    """Cross-entropy among the classes of the task, or among all that were seen."""
    return MaskedCrossEntropy(mask="new") if new_classes_only else nn.CrossEntropyLoss()


class _SameConditions:
    """Goes before an Avalanche template in the order of bases."""

    method: Method
    conditions: Conditions
    loop: Loop
    loss: Tensor
    mb_x: Tensor
    adapted_dataset: Any
    dataloader: Any
    clock: Any

    def make_optimizer(self, **kwargs: Any) -> None:
        """Nothing to do: the network has its full width, and Avalanche would wipe the momenta."""

    def make_train_dataloader(self, **kwargs: Any) -> None:
        """As many steps as the semi-supervised methods take, of as many labelled rows."""
        rows = self.method.rows_per_step(self.conditions.config.batch.labelled, self.clock)
        self.dataloader = self.conditions.batches((self.adapted_dataset, rows))

    def _before_training_exp(self, **kwargs: Any) -> None:
        super()._before_training_exp(**kwargs)  # type: ignore[misc]
        self.method.draw_from_memory(self, self.conditions)

    def _before_training_iteration(self, **kwargs: Any) -> None:
        self.conditions.begin_step()
        super()._before_training_iteration(**kwargs)  # type: ignore[misc]

    def _before_backward(self, **kwargs: Any) -> None:
        labels = self.loss.detach().sum()
        super()._before_backward(**kwargs)  # type: ignore[misc]
        loss = self.loss.detach().sum()
        self.loop.terms = {"labels": labels}
        if self.method.term:
            self.loop.terms[self.method.term] = loss - labels
        self.loop.loss, self.loop.batch = loss, self._shown()
        self.conditions.hooks.before_backward(self.loop)

    def _shown(self) -> Batch:
        """All rows that the network has looked at in this step."""
        rows = torch.cat([rows for rows, _ in self.conditions.pixels.drawn])
        nothing = rows[:0]
        return Batch(
            images={}, labels=nothing, labelled_ids=rows, unlabelled_ids=nothing, places=nothing
        )

    def optimizer_step(self) -> None:
        """A step at the rate of the schedule, clipped as everywhere."""
        self.conditions.update()

    def _after_training_iteration(self, **kwargs: Any) -> None:
        super()._after_training_iteration(**kwargs)  # type: ignore[misc]
        done = self.conditions.step_in_task - 1
        self.loop.epoch, self.loop.iteration = divmod(done, self.conditions.steps_per_epoch)
        self.conditions.hooks.after_training_iteration(self.loop)
