"""Evaluation while training: every few steps, on test images that are chosen once for the run.

One pass over the chosen images of the tasks seen so far gives both accuracies of every task, so an
evaluation costs no more than those images, however many tasks there are. It reads the network and
draws from no generator that training uses: the weights are the same with it and without it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from contsemi.data.scenario import TestSet
from contsemi.evaluation.answers import Evaluation, evaluate
from contsemi.evaluation.predicts import Predicts
from contsemi.learner.loop import Hooks, Loop
from contsemi.seeding import generator
from contsemi.stores.store import Images


def fixed_subset(
    tasks: Sequence[TestSet], images: int, seed: int, purpose: str = "evaluate"
) -> list[TestSet]:
    """A random part of each test task; the same for the same seed, whenever it is drawn.

    Args:
        tasks: the test tasks of the whole stream.
        images: most test images over all tasks, shared out evenly; 0 for all images.
        seed: of the run.
        purpose: of the draw; another one draws another part.

    Returns:
        The tasks with fewer images, at least one each.
    """
    if not images:
        return list(tasks)
    share = max(1, images // len(tasks))
    chosen = []
    for number, task in enumerate(tasks):
        draw = generator(seed, purpose, number)
        kept = torch.randperm(len(task.indices), generator=draw)[:share].sort().values
        chosen.append(
            TestSet(indices=task.indices[kept], targets=task.targets[kept], columns=task.columns)
        )
    return chosen


@dataclass(eq=False)
class Trace(Hooks):
    """Evaluates inside tasks and hands every row on.

    Besides every n-th step the last step of each task is measured, so that the fall at the next
    switch has something to fall from.

    Attributes:
        images: uint8 [N, 3, S, S], or a store: the test images.
        tasks: of :func:`fixed_subset`.
        every_steps: evaluate after so many steps of a task; 0 for none by steps.
        every_epochs: evaluate after so many epochs of a task; 0 for none by epochs.
        record: is given each row and the task in training, from 0.
        asked: what predicts; ``None`` for the learner of the loop.
    """

    images: Images
    tasks: Sequence[TestSet]
    every_steps: int
    every_epochs: int
    record: Callable[[Evaluation, int], None]
    asked: Predicts | None = None

    def after_training_iteration(self, loop: Loop) -> None:
        """Evaluates where it is time."""
        learner = loop.learner
        steps = learner.steps_per_epoch
        if self.due(loop.epoch, loop.iteration, steps, learner.epochs):
            asked = self.asked or learner.inference
            measured = evaluate(asked, self.images, self.tasks, loop.task + 1, predictors=False)
            self.record(measured, loop.task)

    def due(self, epoch: int, iteration: int, steps: int, epochs: int) -> bool:
        """Whether the step that is just over is one to evaluate after.

        Args:
            epoch: of the step, from 0.
            iteration: of the step in it, from 0.
            steps: of an epoch.
            epochs: of the task.
        """
        done = epoch * steps + iteration + 1
        if done == epochs * steps:
            return True
        at_step = self.every_steps and done % self.every_steps == 0
        whole = iteration == steps - 1
        return bool(
            at_step or (self.every_epochs and whole and (epoch + 1) % self.every_epochs == 0)
        )
