"""What the embedding of an image was when it came before."""

import torch
from torch import Tensor

from contsemi.blocks.block import Block
from contsemi.blocks.by_id import ById
from contsemi.types import Experience


class Visits(Block):
    """The embeddings of the last two visits of each image of a task, labelled or not.

    A task begins without any.

    Attributes:
        ids: int64 [M], the task's images in ascending order.
        latest, before: tables of these; ``before`` has the images that came at least twice.
    """

    ids: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.latest, self.before = ById(), ById()
        self.register_buffer("ids", torch.empty(0, dtype=torch.int64))

    def begin(self, experience: Experience) -> None:
        """Makes room for a task's images."""
        ids = torch.unique(torch.cat([experience.labelled, experience.unlabelled]))
        self.ids = ids.to(self.ids.device)
        for table in (self.latest, self.before):
            table.resize(len(ids))

    def places(self, ids: Tensor) -> Tensor:
        """Where in the tables images int64 [N] are; -1 for those that are not of the task."""
        if not len(self.ids):
            return torch.full_like(ids, -1)
        place = torch.searchsorted(self.ids, ids).clamp(max=len(self.ids) - 1)
        return torch.where(self.ids[place] == ids, place, -1)

    @torch.no_grad()
    def push(self, rows: Tensor, ids: Tensor) -> None:
        """A visit: rows [N, D] of images int64 [N]; of an id that comes twice the last row counts.

        Images that are not of the task are left out.
        """
        places = self.places(ids)
        if not self.latest.allocated:
            self.latest.push(rows[:0], places=places[:0])
        earlier, known = self.latest.at(places)
        self.before.push(earlier, places=torch.where(known, places, -1))
        self.latest.push(rows, places=places)

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
        own, known = self.before.at(self.places(ids))
        others_own, known_others = self.before.at(self.places(others))
        allow = allow & known[:, None] & known_others
        scores = (own @ others_own.T).masked_fill(~allow, -torch.inf)
        best = scores.topk(min(k, len(others)), dim=1)
        nobody = torch.zeros_like(allow)
        return nobody.scatter(1, best.indices, best.values > -torch.inf)
