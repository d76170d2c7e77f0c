"""Images shared out among clusters that are all used, earlier images of the task counted in."""

from functools import partial
from typing import Any, ClassVar

from torch import Tensor

from contsemi.assign.each_view import Assignment, each_view
from contsemi.assign.mira import mira
from contsemi.assign.sinkhorn import sinkhorn
from contsemi.blocks.block import Block
from contsemi.blocks.queue import Queue
from contsemi.types import Experience, Outputs, Step


class Shares(Block):
    """Sinkhorn-Knopp, or MIRA, over the batch and a queue.

    Args:
        head: the head whose scores share the images out.
        epsilon: temperature of the shares.
        iterations: of Sinkhorn-Knopp or MIRA.
        queue: earlier embeddings of each large view, of this task, that share the balance; 0 for
            none.
        queue_from: epoch of a task from which the queue is filled; it is used once full.
        assign: ``sinkhorn``, which uses all clusters evenly, or ``mira``, which need not.
        beta: weight of the mutual information, of ``mira``.

    Attributes:
        idle: what a part that takes these as its fields says of them (:class:`.discovery.Part`).

    Source: Caron et al. 2020, section 3.1 (SwAV); Lee et al. 2022 (MIRA).
    """

    idle: ClassVar[dict[str, dict[str, list[Any]]]] = {
        **{key: {"large_views": [0]} for key in ("epsilon", "iterations", "assign", "queue")},
        "queue_from": {"queue": [0], "large_views": [0]},
        "beta": {"assign": ["sinkhorn"], "large_views": [0]},
    }

    def __init__(
        self,
        head: str,
        *,
        epsilon: float,
        iterations: int,
        queue: int,
        queue_from: int,
        assign: str = "sinkhorn",
        beta: float = 0.0,
    ) -> None:
        super().__init__()
        self.head, self.epsilon, self.iterations = head, epsilon, iterations
        self.assign, self.beta = assign, beta
        self.queue, self.queue_from = (Queue(queue) if queue else None), queue_from

    def forward(
        self,
        step: Step,
        large: Outputs | None,
        columns: Tensor | None = None,
        prior: Tensor | None = None,
    ) -> Tensor:
        """The shares of the large views.

        Args:
            step: whose batch size and epoch count.
            large: outputs of the A large views by the network that decides.
            columns: int64 [K], the directions that take part; ``None`` for all.
            prior: [K] > 0, how much each is to be used; ``None`` for evenly.

        Returns:
            [A * B, K], without gradient.

        Raises:
            ValueError: there are no large views.
        """
        if large is None:
            raise ValueError("a step without the views that decide the assignments")
        scores, directions, rows = large[self.head].detach(), large.directions, None
        scores = scores if columns is None else scores[:, columns]
        if self.queue is not None and step.epoch >= self.queue_from:
            towards = directions[self.head]
            rows = self.queue.scores(towards if columns is None else towards[columns])
            self.queue.hold(large["projector"], batch_size=step.batch_size)
        balance: Assignment
        if self.assign == "mira":
            balance = partial(mira, temperature=self.epsilon, beta=self.beta)
        else:
            balance = partial(sinkhorn, epsilon=self.epsilon)
        balance = partial(balance, iterations=self.iterations, prior=prior)
        return each_view(balance, scores, batch_size=step.batch_size, queue=rows)

    def after_step(self) -> None:
        """The batch enters the queue."""
        if self.queue is not None:
            self.queue.push()

    def end(self, experience: Experience) -> None:
        """The queue is emptied: its rows are of this task's images."""
        if self.queue is not None:
            self.queue.clear()
