"""Carries each event of contsemi's loop to Avalanche's plugins, and their changes back."""

from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from contsemi.errors import InputError
from contsemi.learner.loop import Hooks, Loop
from contsemi.strategies.rows import as_float, as_uint8
from contsemi.strategies.scores import ScoresById
from contsemi.strategies.streams import task_of
from contsemi.types import Step


def columns_of(class_ids: Tensor, table: Tensor, where: str) -> Tensor:
    """The columns of class ids that a plugin gave.

    Args:
        class_ids: int64 [L].
        table: int64 [width], column of each class id, -1 for none.
        where: who gave them, for errors.

    Raises:
        InputError: a class that no experience has brought.
    """
    known = (class_ids >= 0) & (class_ids < len(table))
    columns = torch.where(known, table[class_ids.clamp(0, len(table) - 1)], -1)
    if (columns < 0).any():
        unknown = int(class_ids[columns < 0][0])
        raise InputError(where, f"gave the class id {unknown}", "give only classes trained so far")
    return columns


class LoaderSource:
    """Labelled rows from a data loader that a plugin has put in place, over and over again.

    Args:
        loader: yields ``(x, y, ...)``.
        table: int64 [width], column of each class id.
    """

    def __init__(self, loader: Any, table: Tensor) -> None:
        self.loader, self.device, self.table = loader, table.device, table.cpu()
        self.batches = iter(loader)

    def __call__(self) -> tuple[Tensor, Tensor]:
        """Images uint8 [L, 3, S, S] and their columns [L], on the learner's device."""
        batch = next(self.batches, None)
        if batch is None:
            self.batches = iter(self.loader)
            batch = next(self.batches, None)
        if batch is None:
            raise InputError("strategy.dataloader", "gave no batch", "check the plugin that set it")
        columns = columns_of(batch[1].cpu(), self.table, "strategy.dataloader")
        images = as_uint8(batch[0]).to(self.device, non_blocking=True)
        return images, columns.to(self.device, non_blocking=True)


class AvalancheHooks(Hooks):
    """Shows the running loop to a strategy as Avalanche's own loop would.

    ``mb_x`` and ``mb_y`` are the labelled images, un-augmented, and their class ids; ``mb_output``
    are the scores of their first view. A plugin may add to ``strategy.loss`` before the backward
    pass, and put other rows into ``strategy.mbatch`` before the forward pass.

    A step without labelled rows reaches every plugin except the evaluator, whose metrics divide by
    their number.

    Args:
        strategy: the strategy.
        options: what the user passed to ``train``; plugins get it too.
    """

    def __init__(self, strategy: Any, options: dict[str, Any]) -> None:
        self.strategy, self.options = strategy, options
        self.model: ScoresById = strategy.model
        self.table = self.model.column_of()
        self.shown: tuple[Any, Any] = (None, None)
        tasks = task_of(strategy.experience).tasks
        self.tasks = None if tasks is None else tasks.to(self.table.device)

    def _call(self, event: str) -> None:
        strategy = self.strategy
        if event.endswith("epoch") or len(strategy.mb_y):
            getattr(strategy, f"_{event}")(**self.options)
            return
        for plugin in strategy.plugins:
            if plugin is not strategy.evaluator and hasattr(plugin, event):
                getattr(plugin, event)(strategy, **self.options)

    def before_training_epoch(self, loop: Loop) -> None:
        """Leaves the task where a plugin has called ``stop_training()``."""
        self._call("before_training_epoch")
        loop.stop |= self.strategy._stop_training

    def before_training_iteration(self, loop: Loop) -> None:
        """Shows the labelled rows of the batch."""
        batch = loop.batch
        assert batch is not None
        ids = self.model.class_ids[batch.labels]
        self.shown = (as_float(batch.images["labelled"]), ids)
        self.strategy.mbatch = [*self.shown, self._tasks_of(batch.labelled_ids)]
        self._call("before_training_iteration")

    def _tasks_of(self, ids: Tensor) -> Tensor:
        """Avalanche's task label of each labelled row; that of the task for a plugin's own rows."""
        if self.tasks is None:
            return torch.zeros_like(ids)
        present = self.strategy.experience.task_labels[-1]
        return torch.where(ids < 0, present, self.tasks[ids.clamp(min=0)])

    def before_forward(self, loop: Loop) -> None:
        """Takes other rows over, where a plugin has put them into the mini-batch."""
        strategy = self.strategy
        strategy.loss = strategy._make_empty_loss()
        self._call("before_forward")
        x, y = strategy.mbatch[0], strategy.mbatch[1]
        if x is not self.shown[0] or y is not self.shown[1]:
            assert loop.batch is not None
            columns = columns_of(y, self.table, "strategy.mbatch")
            unknown = torch.full_like(columns, -1)
            loop.batch = replace(
                loop.batch,
                images={**loop.batch.images, "labelled": as_uint8(x)},
                labels=columns,
                labelled_ids=unknown,
                coarse={**loop.batch.coarse, "labelled": unknown},
            )

    def after_forward(self, loop: Loop) -> None:
        """Shows the scores of the labelled rows, which are computed if somebody looks at them."""
        assert loop.step is not None
        self.strategy.mb_output = partial(self._scores, loop.step)
        self._call("after_forward")

    def _scores(self, step: Step) -> Tensor:
        learner, model = self.strategy.learner, self.model
        labelled = step.student("labelled")
        if labelled is None:
            return model.by_id(torch.zeros(len(step.labels), 0, device=learner.device))
        supports = None
        if learner.objective.needs.supports_at_test:
            # The supports of a real prediction would cost a forward pass of all of them each step.
            views = len(labelled) // len(step.labels)
            supports = labelled, step.labels.repeat(views)
        first_view = labelled.rows(slice(0, len(step.labels)))
        return model.by_id(learner.objective.predict(first_view, supports))

    def before_backward(self, loop: Loop) -> None:
        """Shows the loss, of shape [1] as Avalanche has it, and takes it back."""
        strategy = self.strategy
        strategy.loss = strategy.loss + loop.loss
        self._call("before_backward")
        loop.loss = strategy.loss.sum()

    def after_backward(self, loop: Loop) -> None:
        """Gradients are there."""
        self._call("after_backward")

    def before_update(self, loop: Loop) -> None:
        """The optimiser is about to step."""
        self._call("before_update")

    def after_update(self, loop: Loop) -> None:
        """The optimiser has stepped."""
        self._call("after_update")

    def after_training_iteration(self, loop: Loop) -> None:
        """Leaves the epoch where a plugin has called ``stop_training()``."""
        self._call("after_training_iteration")
        loop.stop |= self.strategy._stop_training

    def after_training_epoch(self, loop: Loop) -> None:
        """The epoch is over."""
        self._call("after_training_epoch")
