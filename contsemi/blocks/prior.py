"""How much each class is used by a task's unlabelled images, for methods that share them out."""

import torch
from torch import Tensor

from contsemi.blocks.block import Block
from contsemi.losses.numerics import wide
from contsemi.types import Experience

_MOMENTUM = 0.99  # of the estimate, a step
_LEAST = 1e-6  # of a share


class Prior(Block):
    """The shares of the classes, or of free clusters.

    Args:
        kind: ``even``; ``labels``, as the task's labelled images are divided, which says something
            where these are a share of the images and nothing where they are so many a class; or
            ``estimated``, the running mean of what is predicted, which begins there.
        clusters: how many there are, where they stand for no class; their estimate begins evenly
            in each task, as no label says anything of them.

    Source: Berthelot et al. 2020 (ReMixMatch), section 3.1, for both of the latter.
    """

    shares: Tensor

    def __init__(self, kind: str, clusters: int = 0) -> None:
        super().__init__()
        self.kind, self.clusters = kind, clusters
        kept = kind != "even"
        self.register_buffer("shares", torch.empty(0), persistent=kept)  # [num_seen], unnormalised
        self._next: Tensor | None = None

    def begin(self, experience: Experience) -> None:
        """Counts the labels; a class without any is taken for an average one."""
        if self.kind == "even":
            return
        if self.clusters:
            self.shares = torch.ones(self.clusters, device=self.shares.device)
            return
        counts = torch.bincount(experience.labels.cpu(), minlength=experience.num_seen).float()
        known = counts[counts > 0]
        average = known.mean() if len(known) else torch.ones(())
        self.shares = counts.where(counts > 0, average).to(self.shares.device)

    def forward(self, columns: Tensor, log_probs: Tensor) -> Tensor | None:
        """The shares [K] of some classes, which sum to 1; ``None`` for even ones.

        Args:
            columns: int64 [K].
            log_probs: [N, K], predicted for images of this step; the estimate follows them once
                the step is taken.
        """
        if self.kind == "even":
            return None
        own = self.shares.index_select(0, columns)
        own = own / own.sum()
        if self.kind == "estimated":
            now = log_probs.detach().to(own).exp().mean(0)
            own = _MOMENTUM * own + (1 - _MOMENTUM) * now
            self._next = self.shares.index_copy(0, columns, own)
        return own.clamp_min(_LEAST)

    def of_scores(
        self, scores: Tensor, *, temperature: float, columns: Tensor | None = None
    ) -> Tensor | None:
        """The same, where the predictions are the softmax of scores over a temperature.

        Args:
            scores: [N, C] of this step's unlabelled views.
            temperature: divides them.
            columns: int64 [K], the classes that take part; ``None`` for all.
        """
        if self.kind == "even":
            return None
        if columns is None:
            columns = torch.arange(scores.shape[1], device=scores.device)
        log_probs = (wide(scores.detach()[:, columns]) / temperature).log_softmax(1)
        return self.forward(columns, log_probs)

    def after_step(self) -> None:
        """The estimate follows the step that was taken."""
        if self._next is not None:
            self.shares, self._next = self._next, None
