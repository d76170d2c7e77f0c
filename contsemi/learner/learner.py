"""One network that learns a stream: what a task, a batch and a step are made of.

The learner owns everything that a run learns or remembers, and nothing else: no files, no screen,
no hidden label. Its state is named in one place, :meth:`Learner.state`.
"""

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from contsemi.blocks.block import blocks_of
from contsemi.blocks.past_rows import PastRows
from contsemi.config import Config
from contsemi.devices import precision
from contsemi.devices.compiling import compiler
from contsemi.devices.micro_batches import in_pieces
from contsemi.devices.ranks import ALONE, Ranks
from contsemi.devices.scaling import Scaling
from contsemi.devices.synced_norm import synchronise
from contsemi.learner import parts, schedules
from contsemi.learner.backgrounds import donors
from contsemi.learner.descent import Descent
from contsemi.learner.fitting import fitting
from contsemi.learner.forward import Embedder
from contsemi.learner.inference import Inference
from contsemi.learner.networks import Networks
from contsemi.learner.remember import remember
from contsemi.learner.seeing import Looks, see
from contsemi.learner.task import LabelledSource, TaskRows
from contsemi.learner.terms import Learning, checked_terms, weighted_sum
from contsemi.learner.viewing import make_views
from contsemi.memory.anchors import Anchors
from contsemi.memory.exemplars import Exemplars
from contsemi.models.initialise import drawing_from
from contsemi.models.network import Network
from contsemi.objectives.objective import Objective
from contsemi.predictors.predictor import Predictor
from contsemi.seeding import generator
from contsemi.stores.choosing import Stores
from contsemi.stores.store import Images
from contsemi.types import Batch, Experience, Step
from contsemi.views import Augment


class Learner:
    """A network with its objective, distiller, memory and optimiser.

    Args:
        config: the run.
        ranks: the processes that train together; this one alone if it is not given.
        reads_again: whether all tasks point into one array that can be read at any time, so that
            exemplars need not be copied.

    Attributes:
        networks: the network that is trained, its EMA copy, and the frozen ones.
        blocks: of objective and distiller.
        descent: how the parameters move.
        inference: says what images are of, and what it keeps for that.
        exemplars, embeddings, anchors: what is remembered of earlier tasks.
        pieces: into which the rows of a step are split, so that the device can hold one.
        rows: the rows of the present task, ``None`` between tasks.
        epochs, steps_per_epoch: of the current task; 0 epochs for an objective without training.
        labelled_source: when set, gives the images uint8 [L, 3, S, S] and columns [L] of the
            labelled part of a batch in place of the learner's own sampler.
    """

    def __init__(self, config: Config, ranks: Ranks = ALONE, *, reads_again: bool = False) -> None:
        self.config, self.ranks, self.reads_again = config, ranks, reads_again
        self.device = precision.choose_device(config.device, self.ranks)
        self.precision = precision.choose_precision(config.precision, self.device)
        self.compiled = compiler(config.compile, self.device, self.ranks)
        self.objective, weights = parts.build_part(config.objective, Objective, config.seed)
        self.distiller, distil_weights = parts.build_distiller(config.distiller, config.seed)
        self.weights = weights | distil_weights
        parts.refuse_nothing_to_learn_from(config, self.objective, weights)
        self.learning = Learning(config.method, trains=self.objective.needs.trains)
        self.blocks = [*blocks_of(self.objective), *blocks_of(self.distiller)]
        self.needs = parts.all_needs(self.objective, self.distiller, config.views)
        self.looks = Looks.of(self.needs)
        parts.check_policies(self.needs, config.views)
        parts.refuse_unweighted(config, self.objective, self.distiller)
        parts.refuse_untaught(config, self.objective, self.distiller)
        network = parts.build_network(config, self.needs)
        parts.check_sides(network, self.needs, config.views)
        synchronise(network, self.ranks)
        precision.channels_last(network.to(self.device))
        self.objective.to(self.device)
        self.distiller.to(self.device)
        scaling = Scaling(self.device, self.precision)
        own: list[nn.Module] = [self.objective, self.distiller]
        self.descent = Descent(config.optim, network, own, scaling, ranks)
        self.augment = Augment(config.views)
        self.stores = Stores(self.device, self.ranks.local_size)
        self.exemplars = Exemplars(config.memory.exemplars)
        self.anchors = Anchors(config.memory.anchors)
        known = parts.known_features(config, network, self.device, self.precision)
        self.embeddings = parts.build_embeddings(config, self.blocks, ranks)
        decides = Predictor.named(config.predict)
        parts.refuse_moving(config, decides, network, self.needs)
        # The features of a network that nothing trains do not move: there is nothing to follow.
        moves = self.needs.trains and not network.frozen
        pasts = max(self.needs.pasts, int(decides.needs_past and moves))
        self.networks = Networks(network, self.needs, pasts)
        chunk = config.batch.test
        embedder = Embedder(self.augment, chunk, self.device, self.precision, self.ranks, known)
        self.inference = Inference(
            config,
            decides,
            self.objective,
            self.needs.head_names,
            self.networks,
            embedder,
            self.exemplars,
            self.embeddings,
            self.anchors,
            self.draw_now,
        )
        self.labelled_source: LabelledSource | None = None
        self.rows: TaskRows | None = None
        self.pieces = config.batch.pieces
        self.step_in_task = 0
        self._refreshed = [block for block in self.blocks if block.refresh_every is not None]

    @property
    def network(self) -> Network:
        """The network that is trained."""
        return self.networks.student

    @property
    def optimizer(self) -> torch.optim.Optimizer | None:
        """Of all parameters that move; ``None`` before the first task."""
        return self.descent.optimizer

    @property
    def num_seen(self) -> int:
        """Columns seen so far."""
        return self.network.num_classes

    @property
    def epochs(self) -> int:
        """Epochs of a task."""
        return self.config.optim.epochs if self.needs.trains else 0

    @property
    def task(self) -> TaskRows:
        """The rows of the present task.

        Raises:
            RuntimeError: no task has begun.
        """
        if self.rows is None:
            raise RuntimeError("begin() has not been called, or end() has")
        return self.rows

    @property
    def experience(self) -> Experience | None:
        """The present task, ``None`` between tasks."""
        return None if self.rows is None else self.rows.experience

    @property
    def steps_per_epoch(self) -> int:
        """Steps of an epoch of the present task; 0 between tasks."""
        return 0 if self.rows is None else self.rows.steps_per_epoch

    @property
    def progress(self) -> float:
        """Share of the present task's steps already done, in [0, 1)."""
        return self.step_in_task / max(1, self.epochs * self.steps_per_epoch)

    @property
    def rate(self) -> float:
        """The learning rate of the step at hand."""
        total = self.epochs * self.steps_per_epoch
        return schedules.learning_rate(self.config.optim, self.step_in_task, total)

    @property
    def reads_embeddings(self) -> bool:
        """Whether a part learns from rows of the embedding memory."""
        return any(isinstance(each, PastRows) for each in self.blocks)

    @property
    def memory_bytes(self) -> int:
        """Bytes kept of earlier tasks, network copies not counted."""
        parts = [part for of in (self.objective, self.distiller) for part in of.modules()]
        own = sum(x.memory_bytes for x in (self.exemplars, self.embeddings, self.anchors))
        stored = sum(getattr(part, "memory_bytes", 0) for part in parts)
        return own + self.inference.decides.memory_bytes + stored

    # A task

    def begin(self, experience: Experience, images: Images) -> None:
        """A task begins: heads grow, samplers and optimiser are made.

        Args:
            experience: the task.
            images: uint8 [N, 3, S, S], 4 channels with masks, or a store: what its rows point into.

        Raises:
            InputError: a policy changes backgrounds, and there are no masks.
        """
        self._reach(images)
        experience = self.anchors.begin(experience, self.config.seed)
        self._grow(experience)
        self._enter(experience, images, step=0)

    def _reach(self, images: Images) -> None:
        if self.reads_again:
            self.exemplars.source = self.stores(images)

    def _enter(self, experience: Experience, images: Images, step: int) -> None:
        """Makes the samplers of a task that begins or goes on."""
        self.step_in_task = step
        own, kept = self.stores(images), self.exemplars
        self.augment.donors = donors(self.config, experience, own)
        self.rows = TaskRows(
            experience, own, kept, self.needs, self.config, device=self.device, ranks=self.ranks
        )
        self.inference.enter(self.rows)

    def _grow(self, experience: Experience) -> None:
        """Gives the heads the task's columns; optimiser state of old columns is kept."""
        draw = generator(self.config.seed, "grow", experience.index)
        self.networks.grow(experience.num_seen, draw)
        with drawing_from(generator(self.config.seed, "begin", experience.index)):
            self.objective.begin(experience)  # first, as its own parameters may grow
            self.distiller.begin(experience)
        if self.needs.trains:
            self.descent.begin()

    def end(self) -> None:
        """The task is over: the past is frozen and the memory takes the task in."""
        experience = self.task.experience
        self.objective.end(experience)
        self.distiller.end(experience)
        self.inference.decides.end(self.inference)
        beside = self.memory_bytes - self.exemplars.memory_bytes - self.embeddings.memory_bytes
        kept = self.exemplars, self.embeddings
        remember(self.inference.pool, self.inference, *kept, self.config, beside=beside)
        self.anchors.end(self.task.images, self.device)
        self.networks.freeze()
        self.rows = None
        self.inference.enter(None)

    # What is said of images

    def predict(self, images: Images) -> Tensor:
        """Scores [N, num_seen] of un-augmented images over all seen columns."""
        return self.inference.predict(images)

    # A step

    def batch(self, epoch: int, iteration: int) -> Batch:
        """The images of one step.

        Args:
            epoch: epoch in this task.
            iteration: step in this epoch.
        """
        return self.task.batch(epoch, iteration, self.labelled_source)

    def forward(self, batch: Batch) -> Step:
        """Augments the batch and runs every network that the needs name over it."""
        experience = self.task.experience
        for block in self._refreshed:
            if block.due(self.step_in_task, self.steps_per_epoch):
                block.refresh(self.inference.pool)
        views = make_views(
            batch,
            self.needs.views,
            self.augment,
            seed=(self.config.seed, experience.index, self.step_in_task),
            ranks=self.ranks,
            others=self.task.others(batch, self.step_in_task),
        )
        run = self.compiled
        if self.pieces > 1:
            run = partial(in_pieces, pieces=self.pieces, ranks=self.ranks)
        with precision.autocast(self.device, self.precision):
            # Batch statistics, or those of the first task where the configuration freezes them.
            self.networks.train(frozen=self.config.optim.freeze_batch_norm and experience.index > 0)
            runs = self.networks.runs(run, self.needs, self.progress)
            seen = see(views, self.looks, runs, batch.coarse, self.ranks)
        return Step(
            seen=seen,
            labels=batch.labels,
            labelled_ids=batch.labelled_ids,
            unlabelled_ids=batch.unlabelled_ids,
            places=batch.places,
            columns=self.task.columns,
            num_old=experience.num_old,
            num_seen=experience.num_seen,
            progress=self.progress,
            draw=partial(self.draw, self.step_in_task),
            epoch=self.step_in_task // max(1, self.steps_per_epoch),
            label_weights=batch.label_weights,
            by_age=batch.by_age,
        )

    def draw(self, step: int, purpose: str) -> torch.Generator:
        """A generator on the device for a purpose in a step of the present task."""
        task = self.task.experience.index
        return generator(self.config.seed, "draw", purpose, task, step, device=self.device)

    def draw_now(self, purpose: str) -> torch.Generator:
        """A generator for a purpose in the step at hand; a copy of a learner draws at its own."""
        return self.draw(self.step_in_task, purpose)

    def loss(self, step: Step) -> tuple[Tensor, dict[str, Tensor]]:
        """The weighted sum of all terms, and the terms by name.

        Raises:
            InputError: a term has no weight in the configuration.
        """
        terms = checked_terms(self.objective, step) | checked_terms(self.distiller, step)
        return weighted_sum(terms, self.weights, self.device), terms

    def backward(self, loss: Tensor) -> None:
        """Fresh gradients of the loss."""
        self.learning.see(self.task, loss)
        self.descent.backward(loss)
        frozen = self.config.optim.freeze_directions * self.steps_per_epoch
        if not self.task.experience.index and self.step_in_task < frozen:
            for param in self.network.direction_parameters():
                param.grad = None

    def update(self) -> None:
        """One optimiser step and all that follows it."""
        total = self.epochs * self.steps_per_epoch
        self.descent.step(self.step_in_task, total)
        self.network.after_step()
        self.networks.follow(self.step_in_task, total)
        self.objective.after_step()
        self.distiller.after_step()
        self.step_in_task += 1
        self.inference.forget()

    # State

    def state(self) -> dict[str, Any]:
        """All that must survive, as tensors by name, nested by owner."""
        return {
            **self.networks.state(),
            "objective": self.objective.state_dict(),
            "distiller": self.distiller.state_dict(),
            **self.descent.state(),
            "exemplars": self.exemplars.state(),
            "predictor": self.inference.decides.state(),
            "embeddings": self.embeddings.state(),
            "anchors": self.anchors.state(),
        }

    def restore(
        self,
        state: dict[str, Any],
        experience: Experience,
        images: Images,
        step: int | None,
        origin: tuple[object, str] = ("the state", "take another"),
    ) -> None:
        """Takes the state of a learner of the same configuration back.

        Args:
            state: of :meth:`state`; empty tensors may be missing.
            experience: the task in which, or after which, the state was saved.
            images: what the task's indices point into.
            step: steps done in that task; ``None`` if it was over: only exemplars are read.
            origin: what it was read from, and what to do where it does not fit.

        Raises:
            StateDamaged: it is the state of another learner.
        """
        self._reach(images)
        experience = self.anchors.begin(experience, self.config.seed)
        learned = experience.num_seen if step is None else experience.num_old
        with fitting(*origin):
            self.networks.restore_pasts(state, learned)
        self._grow(experience)  # here objective and distiller begin, whose faults are their own
        with fitting(*origin):
            self._take(state)
        if step is not None:
            self._enter(experience, images, step)

    def _take(self, state: dict[str, Any]) -> None:
        self.networks.restore(state)
        self.objective.load_state_dict(state.get("objective", {}))
        self.distiller.load_state_dict(state.get("distiller", {}))
        self.descent.load(state)
        for name in ("exemplars", "embeddings", "anchors"):
            own = {key: value.to(self.device) for key, value in state.get(name, {}).items()}
            getattr(self, name).load(own)
        kept = state.get("predictor", {})
        self.inference.decides.load({name: x.to(self.device) for name, x in kept.items()})
