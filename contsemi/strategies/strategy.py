"""The strategy that plugs contsemi into an Avalanche pipeline."""

import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader

from contsemi.config import Config
from contsemi.data.sampler import steps_per_epoch
from contsemi.learner.learner import Learner
from contsemi.learner.loop import HookList, Hooks, fit
from contsemi.strategies._avalanche import EvaluationPlugin, SupervisedTemplate, default_evaluator
from contsemi.strategies.decode import check_range
from contsemi.strategies.hooks import AvalancheHooks, LoaderSource
from contsemi.strategies.rows import RowLoader
from contsemi.strategies.scores import ScoresById
from contsemi.strategies.streams import task_of

__all__ = ["SemiSupervisedStrategy"]


class SemiSupervisedStrategy(SupervisedTemplate):  # type: ignore[misc]
    """Continual semi-supervised learning as an Avalanche strategy.

    ``train`` takes experiences of a benchmark made by :func:`contsemi.strategies.benchmark` or
    :func:`contsemi.strategies.semi_supervised`; ``eval`` takes any stream of images. Plugins,
    metrics and loggers are called in Avalanche's order.

    Three things differ from Avalanche's own strategies: the optimiser belongs to the learner and
    is made when a task begins; evaluating future experiences does not grow the model; the
    labelled rows of a batch come from the learner's sampler, unless a plugin has replaced
    ``strategy.dataloader`` or ``strategy.adapted_dataset``.

    Args:
        config: the run; ``contsemi.compose.load(overrides)`` composes one. Its scenario and data
            sections do not matter here. May be left out where ``learner`` is given.
        learner: a learner to go on with, for example a restored one.
        plugins: Avalanche plugins.
        evaluator: an ``EvaluationPlugin``, a function that makes one, or ``None``.
        eval_every: as in Avalanche: -1 never, 0 after each experience, n every n epochs.
        peval_mode: as in Avalanche: what ``eval_every`` counts, ``epoch`` or ``iteration``.
        hooks: hooks of contsemi's own loop, called after the plugins.

    Attributes:
        learner: what is trained.
        model: the learner as a module that gives scores by class id.
    """

    model: ScoresById
    dataloader: Any

    def __init__(
        self,
        *,
        config: Config | None = None,
        learner: Learner | None = None,
        plugins: Sequence[Any] | None = None,
        evaluator: Any | Callable[[], Any] | None = default_evaluator,
        eval_every: int = -1,
        peval_mode: str = "epoch",
        hooks: Sequence[Hooks] = (),
    ) -> None:
        if learner is None:
            if config is None:
                raise TypeError("give config=contsemi.compose.load([...]), or a learner")
            learner = Learner(config)
        self.learner, self.hooks = learner, tuple(hooks)
        self._start: tuple[int, int] | None = None
        self._mb_output: Any = None
        super().__init__(
            model=ScoresById(learner),
            optimizer=None,
            criterion=nn.CrossEntropyLoss(),
            train_mb_size=learner.config.batch.labelled,
            train_epochs=learner.config.optim.epochs,
            eval_mb_size=learner.config.batch.test,
            device=learner.device,
            plugins=plugins,
            evaluator=_silent_evaluator if evaluator is None else evaluator,
            eval_every=eval_every,
            peval_mode=peval_mode,
        )

    @property
    def optimizer(self) -> torch.optim.Optimizer | None:
        """The learner's optimiser; ``None`` before the first task."""
        return self.learner.optimizer

    @optimizer.setter
    def optimizer(self, value: None) -> None:
        """Avalanche's constructor assigns one; the learner makes its own."""

    @property
    def mb_output(self) -> Any:
        """Scores of the mini-batch; those of training are computed when they are first read."""
        if isinstance(self._mb_output, partial):
            self._mb_output = self._mb_output()
        return self._mb_output

    @mb_output.setter
    def mb_output(self, value: Any) -> None:
        self._mb_output = value

    def train(
        self,
        experiences: Any,
        eval_streams: Sequence[Any] | None = None,
        *,
        start: tuple[int, int] | None = None,
        **kwargs: Any,
    ) -> Any:
        """Trains on one experience, or on each of several in order.

        Args:
            experiences: of the train stream.
            eval_streams: what ``eval_every`` evaluates; ``None`` takes the experiences themselves.
            start: (epoch, iteration) to go on from in the first experience, for a learner whose
                state was restored inside it.
            **kwargs: handed to every plugin.

        Returns:
            The last value of each metric, by name.

        Raises:
            InputError: an experience of a benchmark that contsemi did not make.
        """
        self._start = start
        return super().train(experiences, eval_streams, **kwargs)

    def _train_exp(self, experience: Any, eval_streams: Any = None, **kwargs: Any) -> None:
        task = task_of(experience)
        bridge = AvalancheHooks(self, kwargs)
        replaced = not isinstance(self.dataloader, _OwnBatches)
        if replaced and "labelled" in self.learner.needs.rows:
            self.learner.labelled_source = LoaderSource(self.dataloader, bridge.table)
        start, self._start = self._start, None
        try:
            hooks = HookList([bridge, *self.hooks])
            fit(self.learner, task.experience, task.images, hooks, start)
        finally:
            self.learner.labelled_source = None
            self._stop_training = False

    def check_model_and_optimizer(self, **kwargs: Any) -> None:
        """Takes the task's classes; heads and optimiser grow in the learner when it begins."""
        task = task_of(self.experience)
        self.model.know(task.class_ids, task.width)

    def model_adaptation(self, model: nn.Module | None = None) -> nn.Module:
        """Makes the output wide enough for the classes of the experience at hand."""
        targets = getattr(self.experience.dataset, "targets", ())
        widest = max(getattr(targets, "uniques", targets), default=0)
        self.model.width = max(self.model.width, 1 + int(widest))
        return self.model

    def train_dataset_adaptation(self, **kwargs: Any) -> None:
        """Starts from the labelled images of the experience."""
        task_of(self.experience)
        super().train_dataset_adaptation(**kwargs)
        self._own_dataset = self.adapted_dataset

    def make_train_dataloader(self, **kwargs: Any) -> None:
        """The learner draws its own batches, unless a plugin has changed the dataset."""
        if self.adapted_dataset is self._own_dataset:
            self.dataloader = _OwnBatches(self)
        else:
            super().make_train_dataloader(**kwargs)

    def eval_dataset_adaptation(self, **kwargs: Any) -> None:
        """Starts from the images of the experience."""
        super().eval_dataset_adaptation(**kwargs)
        self._own_dataset = self.adapted_dataset

    def make_eval_dataloader(self, **kwargs: Any) -> None:
        """Gathers whole batches where the images are contsemi's own."""
        rows = getattr(self.experience, "rows", None)
        if rows is not None and self.adapted_dataset is self._own_dataset:
            self.dataloader = RowLoader(rows, self.experience.row_tasks, self.eval_mb_size)
        else:
            super().make_eval_dataloader(**kwargs)

    def _unpack_minibatch(self) -> None:
        if not isinstance(self.dataloader, RowLoader):
            check_range(self.mbatch[0], "strategy.eval images")
        super()._unpack_minibatch()

    def _after_training_exp(self, **kwargs: Any) -> None:
        super()._after_training_exp(**kwargs)
        self.model.zero_grad(set_to_none=True)  # importances leave gradients behind

    def _save_train_state(self) -> dict[str, Any]:
        return {**super()._save_train_state(), "own_dataset": getattr(self, "_own_dataset", None)}

    def _load_train_state(self, prev_state: dict[str, Any]) -> None:
        super()._load_train_state(prev_state)
        self._own_dataset = prev_state["own_dataset"]


class _OwnBatches:
    """Stands for ``strategy.dataloader`` while the learner draws the batches itself.

    Its length is that of an epoch; a plugin that iterates over it gets the labelled images once.
    """

    def __init__(self, strategy: SemiSupervisedStrategy) -> None:
        self.dataset = strategy.adapted_dataset
        self.batch_size = strategy.train_mb_size
        self.steps = steps_per_epoch(
            len(task_of(strategy.experience).experience.unlabelled),
            strategy.learner.config.batch.unlabelled,
        )

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[Any]:
        return iter(DataLoader(self.dataset, self.batch_size, collate_fn=self.dataset.collate_fn))


def _silent_evaluator() -> Any:
    """An evaluator without metrics; Avalanche warns that it logs nothing, which is the wish."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="No loggers specified")
        return EvaluationPlugin()
