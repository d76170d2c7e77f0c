"""What every baseline has in common with the methods that it is compared with."""

from collections.abc import Iterator, Sequence
from typing import Any

from avalanche.training.plugins import EvaluationPlugin
from torch import Tensor, float16, float32, nn

from contsemi.config import Config
from contsemi.data.sampler import steps_per_epoch
from contsemi.devices.precision import channels_last, choose_device, choose_precision
from contsemi.learner import optimisers, schedules
from contsemi.learner.loop import Hooks
from contsemi.models import build_backbone
from contsemi.models.network import Network
from contsemi.seeding import derive, generator
from contsemi.stores.store import Images, image_bytes
from contsemi.strategies.baselines.batches import Batches, Source, endless
from contsemi.strategies.baselines.model import Features, ImagesByRow, Logits
from contsemi.types import Experience


class Conditions:
    """Network, optimiser, schedule and batches, with the seeds of the learner.

    The classifier has all columns of the stream from the start, since Avalanche compares logits and
    copies over time; its rows are drawn task by task, as those of a head that grows.

    Args:
        config: the run.
        experiences: the tasks.
        images: uint8 [N, 3, S, S], or a store: what their indices point into.
        masked: see :class:`~contsemi.strategies.baselines.model.Logits`.

    Attributes:
        network, features, logits: the network and its two parts as Avalanche calls them.
        optimizer: one for the whole stream, as in the learner.
        experience: the task at hand, or the last one of a joint run; ``None`` before the first.
        epochs, steps_per_epoch, step_in_task: of that task, as in the learner.
        hooks: told of each step.
    """

    def __init__(
        self,
        config: Config,
        experiences: Sequence[Experience],
        images: Images,
        *,
        masked: bool,
    ) -> None:
        self.config, self.experiences, self.hooks = config, experiences, Hooks()
        self.device = choose_device(config.device)
        self.precision = choose_precision(config.precision, self.device)
        if self.precision == float16:  # Avalanche's plugins know no scaled loss
            self.precision = float32
        draw = generator(config.seed, "network")
        backbone = build_backbone(config.model, draw, side=config.views.test_size)
        self.network = Network(backbone, ("classifier",), config.projector, draw)
        for each in experiences:
            self.network.grow(each.num_seen, generator(config.seed, "grow", each.index))
        channels_last(self.network.to(self.device))
        self.optimizer = optimisers.make(config.optim, [self.network])
        self.pixels = ImagesByRow(images, config, self.device, self.precision)
        self.features = Features(backbone, self.pixels)
        classifier: Any = self.network.classifier
        self.logits = Logits(classifier, self.pixels, masked=masked)
        self.image_bytes = image_bytes(images)
        self.experience: Experience | None = None
        self.epochs = config.optim.epochs
        self.steps_per_epoch = self.step_in_task = 0

    @property
    def arguments(self) -> dict[str, Any]:
        """What every constructor of an Avalanche strategy takes."""
        return {
            "model": nn.Sequential(self.features, self.logits),
            "optimizer": self.optimizer,
            "criterion": nn.CrossEntropyLoss(),
            "train_mb_size": self.config.batch.labelled,
            "train_epochs": self.epochs,
            "eval_mb_size": self.config.batch.test,
            "device": self.device,
            "evaluator": EvaluationPlugin(),
        }

    def begin(self, experiences: Sequence[Experience]) -> None:
        """A task begins, or several that are learned together, with the steps of all of them."""
        batch = self.config.batch.unlabelled
        self.steps_per_epoch = sum(
            steps_per_epoch(len(each.unlabelled), batch) for each in experiences
        )
        self.experience, self.step_in_task = experiences[-1], 0
        self.pixels.num_seen = experiences[-1].num_seen
        self.begin_step()

    def begin_step(self) -> None:
        """A step begins: new views, and the rate of the schedule."""
        self.pixels.at(self._task, self.step_in_task)
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate

    @property
    def rate(self) -> float:
        """The learning rate of the step at hand."""
        total = self.epochs * self.steps_per_epoch
        return schedules.learning_rate(self.config.optim, self.step_in_task, total)

    def update(self) -> None:
        """One step of the optimiser."""
        total = self.epochs * self.steps_per_epoch
        optimisers.step(self.optimizer, self.config.optim, self.step_in_task, total)
        self.step_in_task += 1

    def batches(self, *parts: tuple[Any, int]) -> Batches:
        """A loader of the task's steps.

        Args:
            parts: datasets and rows of each in a batch; the memory comes second.
        """
        sources = [self._source(part, i > 0) for i, part in enumerate(parts) if len(part[0])]
        return Batches(sources, self.steps_per_epoch)

    def endless(self, memory: Any, size: int) -> Iterator[list[Tensor]] | None:
        """Batches of the memory without end; ``None`` while it is empty."""
        return endless(self._source((memory, size), True)) if len(memory) else None

    def _source(self, part: tuple[Any, int], memory: bool) -> Source:
        seed = derive(self.config.seed, "memory") if memory else self.config.seed
        return Source(*part, seed=seed, task=self._task)

    @property
    def _task(self) -> int:
        return 0 if self.experience is None else self.experience.index
