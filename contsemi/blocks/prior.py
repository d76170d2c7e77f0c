"""How much each class is used by a task's unlabelled images, for methods that share them out."""

import torch
from torch import Tensor

from contsemi.blocks.block import Block
from contsemi.types import Experience

__all__ = ["Prior"]

_MOMENTUM = 0.99  # of the estimate, a step


class Prior(Block):
    """The shares of the classes.

    Args:
        kind: ``even``; ``labels``, as the task's labelled images are divided, which says something
            where these are a share of the images and nothing where they are so many a class; or
            ``estimated``, the running mean of what is predicted, which begins there.

    Source: Berthelot et al. 2020 (ReMixMatch), section 3.1, for both of the latter.
    """

    shares: Tensor

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        kept = kind != "even"
        self.register_buffer("shares", torch.empty(0), persistent=kept)  # [num_seen], unnormalised

    def begin(self, experience: Experience) -> None:
        """Counts the labels; a class without any is taken for an average one."""
        if self.kind == "even":
            return
        counts = torch.bincount(experience.labels.cpu(), minlength=experience.num_seen).float()
        known = counts[counts > 0]
        average = known.mean() if len(known) else torch.ones(())
        self.shares = counts.where(counts > 0, average).to(self.shares.device)

    def forward(self, columns: Tensor, log_probs: Tensor) -> Tensor | None:
        """The shares [K] of some classes, which sum to 1; ``None`` for even ones.

        Args:
            columns: int64 [K].
            log_probs: [N, K], predicted for images of this step; the estimate follows them.
        """
        if self.kind == "even":
            return None
        own = self.shares.index_select(0, columns)
        own = own / own.sum()
        if self.kind == "estimated":
            now = log_probs.detach().to(own).exp().mean(0)
            own = _MOMENTUM * own + (1 - _MOMENTUM) * now
            self.shares = self.shares.index_copy(0, columns, own)
        return own.clamp_min(1e-6)
