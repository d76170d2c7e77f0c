"""What the training loop tells the display; plain numbers, so that no step waits for the device."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Where training stands.

    Attributes:
        task, epoch: index from 0 of what is running.
        step: steps already done in this epoch.
        tasks: number of tasks; ``None`` where the stream's length is unknown.
        epochs, steps: epochs of a task and steps of an epoch.
        losses: terms of the loss by name, as last read from the device.
        accuracies: class-incremental accuracy on each task so far, fractions; ``None`` where not
            measured yet.
        images_per_second: images trained a second; ``None`` while unknown.
        seconds_left: until the end of the run; ``None`` while unknown.
    """

    task: int
    tasks: int | None
    epoch: int
    epochs: int
    step: int
    steps: int
    losses: Mapping[str, float] = field(default_factory=dict)
    accuracies: Sequence[float | None] = ()
    images_per_second: float | None = None
    seconds_left: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskDone:
    """A task is learned and every task so far is measured.

    Attributes:
        task: its index from 0.
        tasks: number of tasks, or ``None`` where unknown.
        class_incremental: row of the accuracy matrix up to this task, fractions.
        forgetting: mean over the earlier tasks of max minus last so far; ``None`` for the first.
        seconds: wall-clock time of the task, evaluation included.
    """

    task: int
    tasks: int | None
    class_incremental: Sequence[float | None]
    forgetting: float | None = None
    seconds: float | None = None
