"""Which classes the labelled rows of a step are drawn from, where not all of them fit into one.

The task's own classes come in every step, and of the others as many as there is room for, drawn
without replacement, each set of them as likely as any other. A class that is one of ``n`` drawn out
of ``N`` stands for ``N / n`` classes: with these weights the expectation of a sum over labelled
rows is the sum over the rows of all classes, and the weights always sum to as many classes as there
are. So a mean loss of labels, its gradient, and what a set of supports says for each class and in
all are unbiased; their quotient, a class's probability, is one of two unbiased sums.

Source: Horvitz and Thompson 1952, for samples with unequal chances.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from contsemi.errors import InputError
from contsemi.seeding import generator
from contsemi.types import Experience


@dataclass(frozen=True, slots=True, eq=False)
class ClassDraw:
    """The classes of each step of a task: a function of counters alone.

    Attributes:
        always: int64 [K], columns that come in every step.
        others: int64 [N], columns of which some come.
        number: n < N, how many of them.
        seed, task: name the draw.
    """

    always: Tensor
    others: Tensor
    number: int
    seed: int
    task: int

    @staticmethod
    def of(
        columns: Tensor, experience: Experience, most: int | None, seed: int
    ) -> "ClassDraw | None":
        """The draw of a task; ``None`` where all classes come.

        Args:
            columns: int64 [C], classes that have labelled rows.
            experience: the task.
            most: classes of a step; ``None`` for all.
            seed: the run's.

        Raises:
            InputError: there is no room beside the task's own classes.
        """
        if most is None or len(columns) <= most:
            return None
        refuse_too_few([experience], most)
        own = torch.isin(columns, torch.tensor(experience.columns, dtype=columns.dtype))
        always, others = columns[own], columns[~own]
        return ClassDraw(always, others, most - len(always), seed, experience.index)

    def columns(self, epoch: int, step: int) -> Tensor:
        """The classes int64 [K + n] of a step, those that always come first."""
        draw = generator(self.seed, "classes", self.task, epoch, step)
        chosen = torch.randperm(len(self.others), generator=draw)[: self.number].sort().values
        return torch.cat([self.always, self.others[chosen]])

    @property
    def weights(self) -> Tensor:
        """For how many classes each of :meth:`columns` stands, float32 [K + n]; the same always."""
        drawn = torch.full((self.number,), len(self.others) / self.number)
        return torch.cat([torch.ones(len(self.always)), drawn])


def refuse_too_few(experiences: Iterable[Experience], most: int | None) -> None:
    """Refuses a number of classes that leaves no room for those of earlier tasks.

    Args:
        experiences: the tasks.
        most: classes of a step; ``None`` for all.

    Raises:
        InputError: the first task that it does not suffice for.
    """
    for each in experiences:
        own = len(each.columns)
        if most is not None and own >= most < each.num_seen:
            problem = f"is {most}, and task {each.index + 1} has {own} classes of its own"
            fix = f"give more than {own}, as these come in every step, or null"
            raise InputError("batch.classes_per_step", problem, fix)
