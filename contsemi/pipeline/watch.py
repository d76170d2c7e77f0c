"""What happens between the steps of a run: screen, metrics, checkpoints, signals."""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

import torch
from torch import Tensor

from contsemi.errors import Diverged
from contsemi.learner.loop import Hooks, Loop
from contsemi.pipeline.interval import Interval
from contsemi.pipeline.pace import DAY, Pace, smaller
from contsemi.pipeline.setting import Setting
from contsemi.pipeline.standing import Place
from contsemi.pipeline.tally import Tally
from contsemi.report.screen.events import Progress
from contsemi.report.words import duration

# On an accelerator the host waits for the device only this often.
STEPS_BETWEEN_LOOKS = 20
ESTIMATED_FROM = 2  # steps


@dataclass(frozen=True, slots=True)
class _Seen:
    """A step whose loss the host has not looked at yet."""

    loss: Tensor
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
        setting: the run, whose screen, records and signals it serves.
        tally: told of each step.
        interval: says when to save inside a task.
        save: saves the run, given where to go on.

    Attributes:
        accuracies: on the tasks so far, for the screen.
    """

    def __init__(
        self,
        setting: Setting,
        tally: Tally,
        interval: Interval,
        *,
        save: Callable[[Place], None],
    ) -> None:
        self.display, self.records, self.signals = setting.display, setting.records, setting.signals
        self.tasks, self.tally = setting.tasks, tally
        self.interval, self.save = interval, save
        self.accuracies: list[float] = []
        self.config, self.threads = setting.config, setting.threads
        self.pace = Pace()
        self._shown = self._began = 0.0
        self.largest = setting.config.optim.max_loss or torch.finfo(torch.float32).max
        self._unseen: list[_Seen] = []

    def before_training_epoch(self, loop: Loop) -> None:
        """Shows a bar before the first step, which may take minutes."""
        if not loop.epoch:
            self.pace.begin()
        if not self.tally.steps_here:
            self._show(loop, {}, loop.learner.step_in_task % max(loop.learner.steps_per_epoch, 1))

    def before_forward(self, loop: Loop) -> None:
        """A step begins."""
        self._began = time.monotonic()

    def after_update(self, loop: Loop) -> None:
        """A step is over; the host does not wait for an accelerator, so it is timed on CPUs."""
        if loop.loss.device.type != "cpu":
            return
        if ratio := self.pace.step(time.monotonic() - self._began):
            number = self.threads.number
            fix = "; threads=1 waits least, and the same command goes on with it"
            self.display.note(
                f"steps take {ratio:.1f} times longer than the first ones did: the machine is busy"
                + (fix if number > 1 else "")
            )

    def before_backward(self, loop: Loop) -> None:
        """Remembers, without waiting for the device, whether the loss was sound."""
        loss = loop.loss.detach()
        at_hand = loop.loss.device.type == "cpu"
        if at_hand and abs(loss.item()) <= self.largest:  # false for NaN, too
            return
        batch = loop.batch
        assert batch is not None
        self._unseen.append(
            _Seen(
                loss=loss,
                good=loss.abs() <= self.largest,
                task=loop.task,
                epoch=loop.epoch,
                iteration=loop.iteration,
                rate=loop.learner.rate,
                terms={name: value.detach() for name, value in loop.terms.items()},
                ids=(batch.labelled_ids, batch.unlabelled_ids),
            )
        )
        if at_hand:
            self.check()

    def after_training_iteration(self, loop: Loop) -> None:
        """Counts; looks at the device, the clock and the signals where it is time."""
        learner, batch = loop.learner, loop.batch
        assert batch is not None
        self.tally.step(len(batch.labelled_ids) + len(batch.unlabelled_ids))
        last = loop.iteration == learner.steps_per_epoch - 1
        # Before the host waits for the device: one that is gone would never let it finish.
        asked = self.signals.asked()
        if last or self.tally.steps % STEPS_BETWEEN_LOOKS == 0:
            self.look(loop)
        elif self.tally.steps_here <= ESTIMATED_FROM or time.monotonic() - self._shown >= 1:
            self.check()
            self._show(loop, self._losses(loop), loop.iteration + 1)
        if self.tally.steps_here == ESTIMATED_FROM:
            self._say_days(loop)
        if asked or self.interval.due:
            self.check()
            inside = (loop.epoch + last, 0 if last else loop.iteration + 1)
            self.save(Place(loop.task, inside))
        if asked:
            raise self.signals.interruption(asked)

    def look(self, loop: Loop) -> None:
        """Reads the losses, shows them and writes them down."""
        self.check()
        losses = self._losses(loop)
        for name, value in losses.items():
            self.records.metric(
                step=self.tally.steps, task=loop.task, name=f"loss/{name}", value=value
            )
        self._show(loop, losses, loop.iteration + 1)

    def _losses(self, loop: Loop) -> dict[str, float]:
        values = [value.detach() for value in loop.terms.values()]
        return dict(zip(loop.terms, torch.stack(values).tolist() if values else [], strict=True))

    def _show(self, loop: Loop, losses: dict[str, float], step: int) -> None:
        learner = loop.learner
        self._shown = time.monotonic()
        known = self.tally.steps_here >= ESTIMATED_FROM
        self.display.progress(
            place := Progress(
                task=loop.task,
                tasks=self.tasks,
                epoch=loop.epoch,
                epochs=learner.epochs,
                step=step,
                steps=learner.steps_per_epoch,
                losses=losses,
                accuracies=self.accuracies,
                images_per_second=self.tally.images_per_second if known else None,
                seconds_left=self._seconds_left(loop) if known else None,
            )
        )
        self.records.write_progress(asdict(place))

    def _seconds_left(self, loop: Loop) -> float:
        learner = loop.learner
        per_task = learner.epochs * learner.steps_per_epoch
        left = (self.tasks - loop.task) * per_task - learner.step_in_task
        return left * self.tally.seconds_a_step

    def _say_days(self, loop: Loop) -> None:
        """What a run of days could be tried on first."""
        left = self._seconds_left(loop)
        if left >= DAY:
            self.display.note(
                f"about {duration(left)} at this speed; this finishes sooner: "
                f"python -m contsemi.run {smaller(self.config)}"
            )

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
        problem, fix = (
            "not finite",
            "lower optim.lr, set optim.clip or precision=fp32, and start anew",
        )
        if bad.task == bad.epoch == bad.iteration == 0:
            fix = "nothing was learned yet: set precision=fp32, or mend a part of your own"
        if bad.loss.isfinite():
            problem = f"{bad.loss.item():.4g} is larger than optim.max_loss={self.largest:g}"
            fix = "raise optim.max_loss; or, where the loss grows, lower optim.lr, and start anew"
        raise Diverged(
            f"loss: {problem} in task {bad.task + 1}, epoch {bad.epoch + 1}, "
            f"step {bad.iteration + 1} ({terms}), learning rate {bad.rate:.3g}, "
            f"images {ids}...; {fix}"
        )
