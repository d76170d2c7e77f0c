"""What the embedding of an image was when it came before."""

import torch
from torch import Tensor

from contsemi.blocks.bank import Bank
from contsemi.blocks.block import Block
from contsemi.types import Experience

__all__ = ["Visits"]


class Visits(Block):
    """The embeddings of the last two visits of each image, by its stream-wide id.

    Args:
        current_only: whether every task begins without any.

    Attributes:
        latest, before: banks by id; ``before`` has the images that came at least twice.
    """

    def __init__(self, *, current_only: bool = False) -> None:
        super().__init__()
        self.latest = Bank(0, "by_id", current_only=current_only)
        self.before = Bank(0, "by_id", current_only=current_only)

    def begin(self, experience: Experience) -> None:
        """Makes room for a task's images."""
        for bank in (self.latest, self.before):
            bank.begin(experience)

    @torch.no_grad()
    def push(self, rows: Tensor, ids: Tensor) -> None:
        """A visit: rows [N, D] of images int64 [N]; of an id that comes twice the last row counts.

        Images whose id is unknown (-1) or beyond those of the tasks begun are left out.
        """
        if not self.latest.allocated:
            self.latest.push(rows[:0], ids=ids[:0])
        earlier, known = self.latest.of_ids(ids)
        self.before.push(earlier, ids=torch.where(known, ids, -1))
        self.latest.push(rows, ids=ids)

    @torch.no_grad()
    def nearest(self, ids: Tensor, others: Tensor, k: int, allow: Tensor) -> Tensor:
        """Which of M other images were among the k nearest of each of N at the visit before.

        Args:
            ids: int64 [N].
            others: int64 [M]; one that never came before is nobody's neighbour.
            k: neighbours.
            allow: bool [N, M], which may be among them.

        Returns:
            bool [N, M]; none in the rows of images that did not come before.
        """
        own, known = self.before.of_ids(ids)
        others_own, known_others = self.before.of_ids(others)
        allow = allow & known[:, None] & known_others
        scores = (own @ others_own.T).masked_fill(~allow, -torch.inf)
        best = scores.topk(min(k, len(others)), dim=1)
        nobody = torch.zeros_like(allow)
        return nobody.scatter(1, best.indices, best.values > -torch.inf)
