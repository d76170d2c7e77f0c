"""What happens between the steps of a run: screen, metrics, checkpoints, signals."""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

import torch
from torch import Tensor

from contsemi.engine.loop import Hooks, Loop
from contsemi.errors import Diverged, Interrupted
from contsemi.report.console import Display
from contsemi.report.events import Progress
from contsemi.report.records import Records

__all__ = ["Signals", "Watch"]

# On an accelerator the host waits for the device only this often.
STEPS_BETWEEN_LOOKS = 20


class Signals:
    """Remembers a signal until a step is over; a second one ends the process at once."""

    def __init__(self) -> None:
        self.received: int | None = None

    @contextmanager
    def caught(self) -> Iterator[None]:
        """Catches SIGINT and SIGTERM inside the block."""
        if not _in_main_thread():
            yield
            return
        watched = (signal.SIGINT, signal.SIGTERM)
        before = {number: signal.signal(number, self._note) for number in watched}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.received is not None:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        self.received = number


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


class Watch(Hooks):
    """Looks at every step and tells the others what they have to know.

    Args:
        display: the screen.
        records: the files.
        signals: what may ask to stop.
        save: saves the run inside a task, given (epoch, next iteration).
        every: seconds between saves; 0 for none inside a task.
        tasks: tasks of the stream.
    """

    def __init__(
        self,
        *,
        display: Display,
        records: Records,
        signals: Signals,
        save: Callable[[int, int], None],
        every: float,
        tasks: int,
    ) -> None:
        self.display, self.records, self.signals = display, records, signals
        self.save, self.every, self.tasks = save, every, tasks
        self.steps_done = 0
        self.images_done = 0
        self.accuracies: list[float] = []
        self.seconds_before = 0.0
        self._steps_here = self._images_here = 0
        self._finite: Tensor | None = None
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
        """Remembers, without waiting for the device, whether the loss was finite."""
        finite = torch.isfinite(loop.loss.detach())
        self._finite = finite if self._finite is None else self._finite & finite
        if loop.loss.device.type == "cpu":
            self.check(loop)

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
        asked = self.signals.received is not None
        if asked or (self.every and time.monotonic() - self.saved_at >= self.every):
            self.check(loop)
            self.save(loop.epoch + last, 0 if last else loop.iteration + 1)
            self.saved_at = time.monotonic()
        if self.signals.received is not None:
            raise Interrupted(self.signals.received)

    def look(self, loop: Loop) -> None:
        """Reads the losses, shows them and writes them down."""
        learner = loop.learner
        experience = learner.experience
        assert experience is not None
        self.check(loop)
        values = [value.detach() for value in loop.terms.values()]
        losses = dict(zip(loop.terms, torch.stack(values).tolist() if values else [], strict=True))
        for name, value in losses.items():
            self.records.metric(
                step=self.steps_done, task=experience.index, name=f"loss/{name}", value=value
            )
        per_task = learner.epochs * learner.steps_per_epoch
        left = (self.tasks - experience.index) * per_task - learner.step_in_task
        spent = (time.monotonic() - self.started) / max(self._steps_here, 1)
        self.display.progress(
            Progress(
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
        )

    def check(self, loop: Loop) -> None:
        """Stops the run at a loss that is not finite; such a state is never saved.

        Raises:
            Diverged: it names where, the terms and the images.
        """
        if self._finite is None or bool(self._finite):
            return
        experience, batch = loop.learner.experience, loop.batch
        assert experience is not None
        assert batch is not None
        terms = ", ".join(f"{name} {value.item():.4g}" for name, value in loop.terms.items())
        ids = torch.cat([batch.labelled_ids, batch.unlabelled_ids])[:8].tolist()
        raise Diverged(
            f"loss: not finite in task {experience.index + 1}, epoch {loop.epoch + 1}, "
            f"step {loop.iteration + 1} ({terms}), learning rate {_rate(loop):.3g}, "
            f"images {ids}...; lower optim.lr or set optim.clip"
        )


def _rate(loop: Loop) -> float:
    optimizer = loop.learner.optimizer
    return float(optimizer.param_groups[0]["lr"]) if optimizer is not None else 0.0
