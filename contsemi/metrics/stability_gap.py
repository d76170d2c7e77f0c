"""The stability gap: how deep earlier tasks fall when a new one begins, and how soon they rise."""

from dataclasses import dataclass

import numpy as np

from contsemi.metrics.matrix import Undefined, mean_of
from contsemi.metrics.trajectory import Trajectory

RECOVERED = 0.95  # of the accuracy before


@dataclass(frozen=True, slots=True)
class Gap:
    """What one switch of tasks did to one earlier task.

    Attributes:
        task: the earlier task, from 0.
        switch: the task that began.
        before: accuracy at the end of task ``switch`` − 1.
        lowest: lowest accuracy during task ``switch``.
        recovery: optimiser steps from the switch to the first evaluation, not before the lowest,
            with at least 95% of ``before``; undefined where the task did not recover.
    """

    task: int
    switch: int
    before: float
    lowest: float
    recovery: int | Undefined

    @property
    def depth(self) -> float:
        """``before`` − ``lowest``; negative where the task only gained."""
        return self.before - self.lowest


def gaps(trajectory: Trajectory) -> list[Gap]:
    """Every switch and every task before it, as far as both sides were measured.

    Args:
        trajectory: evaluations while the stream was learned.

    >>> from contsemi.metrics.trajectory import as_trajectory
    >>> gaps(as_trajectory([1, 2, 3], [0, 1, 1], [[0.75, 0], [0.5, 0.5], [0.75, 0.75]]))
    [Gap(task=0, switch=1, before=0.75, lowest=0.5, recovery=2)]
    """
    found = []
    for switch in range(1, trajectory.tasks):
        end, during = trajectory.end_of(switch - 1), trajectory.while_training(switch)
        if end is None or not during.size:
            continue
        for task in range(switch):
            before, series = trajectory.accuracy[end, task], trajectory.accuracy[during, task]
            if np.isnan(before) or np.isnan(series).any():
                continue
            bottom = int(series.argmin())
            back = np.flatnonzero(series[bottom:] >= RECOVERED * before)
            recovery: int | Undefined = Undefined(
                f"task {task + 1} did not come back to {RECOVERED:.0%} during task {switch + 1}"
            )
            if back.size:
                at = trajectory.steps[during[bottom + back[0]]]
                recovery = int(at - trajectory.steps[end])
            found.append(
                Gap(
                    task=task,
                    switch=switch,
                    before=float(before),
                    lowest=float(series[bottom]),
                    recovery=recovery,
                )
            )
    return found


def gap_depth(trajectory: Trajectory) -> float | Undefined:
    """The mean depth over all switches and the tasks before each.

    Args:
        trajectory: evaluations while the stream was learned.

    >>> from contsemi.metrics.trajectory import as_trajectory
    >>> gap_depth(as_trajectory([1, 2, 3], [0, 1, 1], [[0.75, 0], [0.5, 0.5], [0.75, 0.75]]))
    0.25
    """
    found = gaps(trajectory)
    if not found:
        return Undefined("no switch of tasks was measured on both sides")
    return float(np.mean([gap.depth for gap in found]))


def recovery_steps(trajectory: Trajectory) -> float | Undefined:
    """The mean recovery in optimiser steps; undefined if one task never came back.

    Leaving those out would make the worst learner look quick.

    Args:
        trajectory: evaluations while the stream was learned.

    >>> from contsemi.metrics.trajectory import as_trajectory
    >>> recovery_steps(as_trajectory([1, 2, 3], [0, 1, 1], [[0.75, 0], [0.5, 0.5], [0.75, 0.75]]))
    2.0
    """
    found = gaps(trajectory)
    if not found:
        return Undefined("no switch of tasks was measured on both sides")
    return mean_of(gap.recovery for gap in found)
