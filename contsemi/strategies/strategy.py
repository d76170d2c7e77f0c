"""The strategy that plugs contsemi into an Avalanche pipeline."""

import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from avalanche.training.plugins import AGEMPlugin, EvaluationPlugin, SynapticIntelligencePlugin
from avalanche.training.plugins.evaluation import default_evaluator
from avalanche.training.templates import SupervisedTemplate
from torch import nn
from torch.utils.data import DataLoader

from contsemi.config import Config
from contsemi.data.sampler import steps_per_epoch
from contsemi.errors import InputError
from contsemi.learner.learner import Learner
from contsemi.learner.loop import HookList, Hooks, fit
from contsemi.strategies.apart import Apart
from contsemi.strategies.decode import check_range
from contsemi.strategies.doors import checked_plugins, experiences_of, learner_of
from contsemi.strategies.hooks import AvalancheHooks, LoaderSource
from contsemi.strategies.rows import RowLoader
from contsemi.strategies.scores import ScoresById
from contsemi.strategies.streams import StreamTask, task_of


class SemiSupervisedStrategy(SupervisedTemplate):  # type: ignore[misc]
    """Continual semi-supervised learning as an Avalanche strategy.

    ``train`` takes experiences of a benchmark made by :func:`contsemi.strategies.benchmark` or
    :func:`contsemi.strategies.semi_supervised`; ``eval`` takes any stream of images. Plugins,
    metrics and loggers are called in Avalanche's order.

    Four things differ from Avalanche's own strategies: the optimiser belongs to the learner and
    is made anew, with its state, when a task begins, before plugins are told of it; evaluating
    future experiences does not grow the model; the labelled rows of a batch come from the learner's
    sampler, unless a plugin has replaced ``strategy.dataloader`` or ``strategy.adapted_dataset``;
    the experiences are of one benchmark and come in the order of its stream, none left out, since
    classes have columns in the order in which they arrive.

    Args:
        config: the run; ``contsemi.compose.load(overrides)`` composes one. Its scenario and data
            sections do not matter here. May be left out where ``learner`` is given.
        learner: a learner to go on with, for example a restored one.
        plugins: Avalanche plugins.
        evaluator: an ``EvaluationPlugin``, a function that makes one, or ``None``.
        eval_every: as in Avalanche: -1 never, 0 after each experience, n every n epochs.
        peval_mode: as in Avalanche: what ``eval_every`` counts, ``epoch`` or ``iteration``.
        hooks: hooks of contsemi's own loop, called after the plugins.

    Raises:
        InputError: an argument is not what it must be.

    Attributes:
        learner: what is trained.
        learned: the task that was trained last; ``None`` before the first.
        model: the learner as a module that gives scores by class id.
    """

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
        learner = learner_of(config, learner)
        listed, hooks = checked_plugins(plugins, hooks)
        synaptic = [p for p in listed if isinstance(p, SynapticIntelligencePlugin)]
        plugins = [*listed, *map(Apart, synaptic)]
        _check_evaluation(eval_every, peval_mode)
        self.learner, self.hooks = learner, hooks
        self._start: tuple[int, int] | None = None
        self.learned: StreamTask | None = None
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
    def model(self) -> ScoresById:
        """The learner as a module that gives scores by class id."""
        return self._model

    @model.setter
    def model(self, value: ScoresById) -> None:
        """Avalanche's constructor assigns it, and what adapts it gives the same one back.

        Raises:
            InputError: a plugin exchanges it; the learner would go on with the one before.
        """
        if getattr(self, "_model", value) is not value:
            problem = "a plugin puts another model in its place, which the learner would not train"
            raise InputError("strategy.model", problem, "leave the plugin out: docs/avalanche.md")
        self._model = value

    @property
    def optimizer(self) -> torch.optim.Optimizer | None:
        """The learner's optimiser; ``None`` before the first task."""
        return self.learner.optimizer

    @optimizer.setter
    def optimizer(self, value: torch.optim.Optimizer | None) -> None:
        """Avalanche's constructor assigns none; the learner makes its own.

        Raises:
            InputError: it is another one, which nothing would step.
        """
        if value is not None and value is not self.learner.optimizer:
            problem = "the learner makes its own, and this one would do nothing"
            fix = "set optim.name, optim.lr and the others in the configuration"
            raise InputError("strategy.optimizer", problem, fix)

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
            InputError: an experience of a benchmark that contsemi did not make, of another one than
                before, or out of order.
        """
        listed = experiences_of(experiences, "strategy.train(experiences)")
        last = self.learned
        for each in listed:
            last = self._check_next(task_of(each), last)
        if eval_streams is not None:
            where = "strategy.train(eval_streams)"
            streams = eval_streams if isinstance(eval_streams, Iterable) else [eval_streams]
            eval_streams = [experiences_of(stream, where) for stream in streams]
            self._check_evaluated([each for stream in eval_streams for each in stream])
        if any(isinstance(each, AGEMPlugin) for each in self.plugins):
            # It flattens gradients by view(), which those in channels_last refuse.
            self.learner.network.to(memory_format=torch.contiguous_format)
        self._start = start
        return super().train(listed, eval_streams, **kwargs)

    def eval(self, exp_list: Any, **kwargs: Any) -> Any:
        """Evaluates on an experience, or on each of several.

        Args:
            exp_list: an experience of labelled images, or a stream of them.
            **kwargs: handed to every plugin.

        Returns:
            The last value of each metric, by name.

        Raises:
            InputError: images have no label, are normalised, or come with class ids that are not
                those of the benchmark that was trained.
        """
        listed = experiences_of(exp_list, "strategy.eval(experiences)")
        self._check_evaluated(listed)
        return super().eval(listed, **kwargs)

    def _check_next(self, task: StreamTask, last: StreamTask | None) -> StreamTask:
        """Refuses an experience that does not follow on what was learned.

        Raises:
            InputError: it does not.
        """
        where = f"strategy.train: experience {task.experience.index}"
        known = last.class_ids if last else tuple(self.model.class_ids.tolist())
        again = last is not None and last.benchmark is not task.benchmark
        if again or task.class_ids[: len(known)] != known[: len(task.class_ids)]:
            problem = f"is of another benchmark: classes {_few(known)} were learned from one before"
            raise InputError(where, problem, "make a strategy for each benchmark")
        seen = last.experience.num_seen if last else self.learner.num_seen
        if task.experience.num_old > seen:
            left = _few(task.class_ids[seen : task.experience.num_old])
            problem = f"comes too early: classes {left} arrive before it"
            raise InputError(where, problem, "train the experiences in the order of their stream")
        if task.experience.num_seen < seen:
            problem = (
                f"comes too late: classes {_few(known[task.experience.num_seen :])} were learned"
            )
            raise InputError(where, problem, "train the experiences in the order of their stream")
        return task

    def _check_evaluated(self, experiences: Sequence[Any]) -> None:
        """Refuses what has no labels, or labels of other class ids.

        Raises:
            InputError: it does.
        """
        for each in experiences:
            where = f"strategy.eval: experience {each.current_experience}"
            if getattr(each.dataset, "targets", None) is None:
                fix = "evaluate benchmark.test_stream or another stream of labelled images"
                raise InputError(where, "has images without labels", fix)
            renumbered = self.learned is not None and self.learned.renumbered
            if renumbered and getattr(each, "rows", None) is None:
                problem = "its class ids restart in each task, and were numbered anew for training"
                fix = "evaluate the test_stream of the benchmark that semi_supervised() gave"
                raise InputError(where, problem, fix)

    def _train_exp(self, experience: Any, eval_streams: Any = None, **kwargs: Any) -> None:
        task = task_of(experience)
        bridge = AvalancheHooks(self, kwargs)
        replaced = not isinstance(self.dataloader, _OwnBatches)
        if replaced and "labelled" in self.learner.needs.rows:
            self.learner.labelled_source = LoaderSource(self.dataloader, bridge.table)
        start, self._start = self._start, None
        try:
            hooks = HookList([bridge, *self.hooks])
            fit(self.learner, task.experience, task.images, hooks, start or (0, 0))
        finally:
            self.learner.labelled_source = None
            self._stop_training = False

    def check_model_and_optimizer(self, **kwargs: Any) -> None:
        """The task begins in the learner: heads and optimiser grow before plugins look at them."""
        task = task_of(self.experience)
        self.take(task)
        if self._start is None:
            experience = task.experience
            if experience.num_old < self.learner.num_seen:  # trained again: its classes return
                experience = replace(experience, num_old=self.learner.num_seen)
            self.learner.begin(experience, task.images)

    def take(self, task: StreamTask) -> None:
        """What was learned last: a task that begins, or one whose state was restored."""
        self.learned = task
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


def _check_evaluation(eval_every: Any, peval_mode: Any) -> None:
    """What Avalanche asserts.

    Raises:
        InputError: it would fail.
    """
    name = "SemiSupervisedStrategy(eval_every)"
    if isinstance(eval_every, bool) or not isinstance(eval_every, int) or eval_every < -1:
        problem = f"expected a whole number from -1 on, got {str(eval_every)[:40]}"
        raise InputError(name, problem, "-1 never evaluates, 0 does after each experience")
    if peval_mode not in ("epoch", "iteration"):
        name = "SemiSupervisedStrategy(peval_mode)"
        raise InputError(name, f"{str(peval_mode)[:40]!r} is unknown", "use epoch or iteration")


def _few(class_ids: Sequence[int]) -> str:
    """Class ids in a line: the first ones of many."""
    return " ".join(map(str, class_ids[:8])) + (" ..." if len(class_ids) > 8 else "")
