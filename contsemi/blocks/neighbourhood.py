"""Which images of a task lie next to each other, as far as the training has seen them."""

import torch
from torch import Tensor

from contsemi.blocks.block import Block
from contsemi.blocks.by_id import ById
from contsemi.types import Experience


class Neighbourhood(Block):
    """A table of neighbours by place in the pool, renewed for each image when it comes in a batch.

    So it costs no pass of its own over the images, and no entry is older than an epoch.

    Args:
        neighbours: K.

    Source: Zheng et al. 2021 (WCL), whose k-NN multi-crop is not in the official code.
    """

    def __init__(self, neighbours: int) -> None:
        super().__init__()
        self.neighbours = neighbours
        self.stored = ById()

    def begin(self, experience: Experience) -> None:
        """Makes room for the task's images and forgets those of the task before."""
        self.stored.begin(experience)

    @torch.no_grad()
    def push(self, rows: Tensor, places: Tensor) -> None:
        """Looks for the neighbours of unit embeddings [N, D] of images at places int64 [N].

        Then it stores these. Fewer neighbours than K, at the beginning, are filled up with the
        image itself.
        """
        near = places[:, None].repeat(1, self.neighbours)
        if self.stored.allocated:
            others = places[:, None] != torch.arange(self.stored.slots, device=places.device)
            found = self.stored.search(rows, self.neighbours, others)
            width = found.index.shape[1]
            near[:, :width] = torch.where(found.found, found.index, near[:, :width])
        self.stored.push(rows, places=places, near=near)

    def forward(self, places: Tensor) -> Tensor:
        """The places [N, K] of the neighbours of images int64 [N]; itself before it came."""
        own = places[:, None].expand(-1, self.neighbours)
        if not self.stored.allocated:
            return own
        near = self.stored["near"][places]
        return torch.where(near < 0, own, near)
