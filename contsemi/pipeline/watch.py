"""What happens between the steps of a run: screen, metrics, checkpoints, signals."""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Literal

import torch
from torch import Tensor

from contsemi.errors import Diverged
from contsemi.learner.loop import Hooks, Loop
from contsemi.pipeline.signals import Signals
from contsemi.records.records import Records
from contsemi.report.screen.console import Display
from contsemi.report.screen.events import Progress

__all__ = ["Watch"]

# On an accelerator the host waits for the device only this often.
STEPS_BETWEEN_LOOKS = 20

# What checkpoint.seconds=auto means: this many seconds of work are lost at most, unless saving so
# often would take more than this share of the time.
AUTO_SECONDS = 60.0
AUTO_SHARE = 0.01


@dataclass(frozen=True, slots=True)
class _Seen:
    """A step whose loss the host has not looked at yet."""

    good: Tensor
    task: int
    epoch: int
    iteration: int
    rate: float
    terms: dict[str, Tensor]
    ids: tuple[Tensor, Tensor]


class Watch(Hooks):
    """Looks at every step and tells the others what they have to know.

    Args:
        display: the screen.
        records: the files.
        signals: what may ask to stop.
        save: saves the run inside a task, given (epoch, next iteration).
        every: seconds between saves; 0 for none inside a task, ``"auto"`` for 60 or more, so that
            saving takes at most a hundredth of the time.
        tasks: tasks of the stream.
        max_loss: a loss above it, in size, ends the run as one that is not finite does; 0 for no
            limit.
    """

    def __init__(
        self,
        *,
        display: Display,
        records: Records,
        signals: Signals,
        save: Callable[[int, int], None],
        every: float | Literal["auto"],
        tasks: int,
        max_loss: float = 0.0,
    ) -> None:
        self.display, self.records, self.signals = display, records, signals
        self.save, self.every, self.tasks = save, every, tasks
        self.steps_done = 0
        self.images_done = 0
        self.accuracies: list[float] = []
        self.seconds_before = 0.0
        self.save_seconds = 0.0  # that the last save has taken
        self._steps_here = self._images_here = 0
        self._largest = max_loss or torch.finfo(torch.float32).max
        self._unseen: list[_Seen] = []
        self.begin()

    def begin(self) -> None:
        """Training begins now; what came before does not count."""
        self.saved_at = self.started = time.monotonic()

    @property
    def seconds(self) -> float:
        """Wall-clock seconds of the run, those before a resumption included."""
        return self.seconds_before + time.monotonic() - self.started

    @property
    def images_per_second(self) -> float:
        """Images trained a second in this process, evaluation included."""
        return self._images_here / max(time.monotonic() - self.started, 1e-9)

    def before_backward(self, loop: Loop) -> None:
        """Remembers, without waiting for the device, whether the loss was sound."""
        batch, experience = loop.batch, loop.learner.experience
        assert batch is not None
        assert experience is not None
        self._unseen.append(
            _Seen(
                good=loop.loss.detach().abs() <= self._largest,  # false for NaN, too
                task=experience.index,
                epoch=loop.epoch,
                iteration=loop.iteration,
                rate=loop.learner.rate,
                terms={name: value.detach() for name, value in loop.terms.items()},
                ids=(batch.labelled_ids, batch.unlabelled_ids),
            )
        )
        if loop.loss.device.type == "cpu":
            self.check()

    def after_training_iteration(self, loop: Loop) -> None:
        """Counts; looks at the device, the clock and the signals where it is time."""
        learner, batch = loop.learner, loop.batch
        assert batch is not None
        images = len(batch.labelled_ids) + len(batch.unlabelled_ids)
        self.steps_done += 1
        self._steps_here += 1
        self.images_done += images
        self._images_here += images
        last = loop.iteration == learner.steps_per_epoch - 1
        if last or self.steps_done % STEPS_BETWEEN_LOOKS == 0:
            self.look(loop)
        asked = self.signals.asked()
        if asked or self._due():
            self.check()
            self.save(loop.epoch + last, 0 if last else loop.iteration + 1)
            self.saved_at = time.monotonic()
        if asked:
            raise self.signals.interruption(asked)

    def _due(self) -> bool:
        longer = self.save_seconds * (1 / AUTO_SHARE - 1)
        every = max(AUTO_SECONDS, longer) if isinstance(self.every, str) else self.every
        return every > 0 and time.monotonic() - self.saved_at >= every

    def look(self, loop: Loop) -> None:
        """Reads the losses, shows them and writes them down."""
        learner = loop.learner
        experience = learner.experience
        assert experience is not None
        self.check()
        values = [value.detach() for value in loop.terms.values()]
        losses = dict(zip(loop.terms, torch.stack(values).tolist() if values else [], strict=True))
        for name, value in losses.items():
            self.records.metric(
                step=self.steps_done, task=experience.index, name=f"loss/{name}", value=value
            )
        per_task = learner.epochs * learner.steps_per_epoch
        left = (self.tasks - experience.index) * per_task - learner.step_in_task
        spent = (time.monotonic() - self.started) / max(self._steps_here, 1)
        place = Progress(
            task=experience.index,
            tasks=self.tasks,
            epoch=loop.epoch,
            epochs=learner.epochs,
            step=loop.iteration + 1,
            steps=learner.steps_per_epoch,
            losses=losses,
            accuracies=self.accuracies,
            images_per_second=self.images_per_second,
            seconds_left=left * spent,
        )
        self.display.progress(place)
        self.records.write_progress(asdict(place))

    def check(self) -> None:
        """Stops the run at the first loss that is not sound; nothing after it is ever saved.

        Raises:
            Diverged: it names where, the terms and the images.
        """
        unseen, self._unseen = self._unseen, []
        if not unseen:
            return
        good = torch.stack([each.good for each in unseen]).tolist()  # one wait for all
        if all(good):
            return
        bad = unseen[good.index(False)]
        terms = ", ".join(f"{name} {value.item():.4g}" for name, value in bad.terms.items())
        ids = torch.cat(bad.ids)[:8].tolist()
        raise Diverged(
            f"loss: not finite or too large in task {bad.task + 1}, epoch {bad.epoch + 1}, "
            f"step {bad.iteration + 1} ({terms}), learning rate {bad.rate:.3g}, "
            f"images {ids}...; lower optim.lr or set optim.clip, and start anew"
        )
