"""What happens between the steps of a run: screen, metrics, checkpoints, signals."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from contsemi.errors import Diverged
from contsemi.learner.loop import Hooks, Loop
from contsemi.pipeline.interval import Interval
from contsemi.pipeline.setting import Setting
from contsemi.pipeline.standing import Place
from contsemi.pipeline.tally import Tally
from contsemi.report.screen.events import Progress

__all__ = ["Watch"]

# On an accelerator the host waits for the device only this often.
STEPS_BETWEEN_LOOKS = 20


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
        self.largest = setting.config.optim.max_loss or torch.finfo(torch.float32).max
        self._unseen: list[_Seen] = []

    def before_backward(self, loop: Loop) -> None:
        """Remembers, without waiting for the device, whether the loss was sound."""
        batch, experience = loop.batch, loop.learner.experience
        assert batch is not None
        assert experience is not None
        self._unseen.append(
            _Seen(
                good=loop.loss.detach().abs() <= self.largest,  # false for NaN, too
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
        self.tally.step(len(batch.labelled_ids) + len(batch.unlabelled_ids))
        last = loop.iteration == learner.steps_per_epoch - 1
        if last or self.tally.steps % STEPS_BETWEEN_LOOKS == 0:
            self.look(loop)
        asked = self.signals.asked()
        if asked or self.interval.due:
            self.check()
            inside = (loop.epoch + last, 0 if last else loop.iteration + 1)
            assert learner.experience is not None
            self.save(Place(learner.experience.index, inside))
        if asked:
            raise self.signals.interruption(asked)

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
                step=self.tally.steps, task=experience.index, name=f"loss/{name}", value=value
            )
        per_task = learner.epochs * learner.steps_per_epoch
        left = (self.tasks - experience.index) * per_task - learner.step_in_task
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
                images_per_second=self.tally.images_per_second,
                seconds_left=left * self.tally.seconds_a_step,
            )
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
        raise Diverged(
            f"loss: not finite or too large in task {bad.task + 1}, epoch {bad.epoch + 1}, "
            f"step {bad.iteration + 1} ({terms}), learning rate {bad.rate:.3g}, "
            f"images {ids}...; lower optim.lr or set optim.clip, and start anew"
        )
