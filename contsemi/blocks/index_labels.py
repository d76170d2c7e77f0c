"""Soft classes of a task's images by an index of their embeddings, renewed each epoch."""

from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from contsemi.assign.propagation import propagated
from contsemi.assign.smoothing import comatch, nearest_mean, simmatch
from contsemi.assign.targets import label_rows
from contsemi.blocks.sized import Sized
from contsemi.types import Experience, Outputs, Pool


class IndexLabels(Sized):
    """What near images say of an image.

    Rows of the index are the task's unlabelled images and the labelled ones at hand, exemplars
    among these, as the network that predicts sees them when an epoch begins. Rows of the embedding
    memory are not: they lie in the space of the network before. Kinds:

    - ``propagation``: labels spread over the graph of nearest neighbours; a table by image.
    - ``comatch``: a share of what near images of the task are, by the graph's labels.
    - ``simmatch``: a share of what near labelled images are.
    - ``means``: an image whose class is not sure gets that of the nearest mean of labelled ones.

    Args:
        by: one of these.
        neighbours: K of the graph.
        spread: how far labels spread over it, in [0, 1).
        temperature: of cosines with rows or means.
        share: of ``comatch`` and ``simmatch``.
        threshold: of ``means``.
        head: whose embeddings are compared; ``None`` for the backbone's features.
    """

    # Its arguments -> the kinds that do not read them.
    unread_by: ClassVar = {
        "by": [],
        "neighbours": ["simmatch", "means"],
        "spread": ["simmatch", "means"],
        "temperature": ["propagation"],
        "share": ["propagation", "means"],
        "threshold": ["propagation", "comatch", "simmatch"],
    }
    refresh_every = "epoch"
    table: Tensor
    bank: Tensor
    labels: Tensor

    def __init__(
        self,
        by: str,
        *,
        neighbours: int,
        spread: float,
        temperature: float,
        share: float,
        threshold: float,
        head: str | None = "projector",
    ) -> None:
        super().__init__()
        self.head = head
        self.by, self.neighbours, self.spread = by, neighbours, spread
        self.temperature, self.share, self.threshold = temperature, share, threshold
        self.register_buffer("table", torch.empty(0, 0))  # [P, K], of the graph
        # [M, D], rows or means; zeros for a class without one, as no state holds what is no number
        self.register_buffer("bank", torch.empty(0, 0))
        self.register_buffer("labels", torch.empty(0, dtype=torch.int64))  # [M], of labelled rows

    def begin(self, experience: Experience) -> None:
        """Nothing is known of a task before its first :meth:`refresh`."""
        self.table, self.bank = self.table.new_empty(0, 0), self.bank.new_empty(0, 0)
        self.labels = self.labels.new_empty(0)

    @torch.no_grad()
    def refresh(self, pool: Pool) -> None:
        """Looks at all images of the task."""
        heads = () if self.head is None else (self.head,)
        labelled, columns = pool.labelled("predicting", *heads)
        anchors = self._unit(labelled)
        own = columns[:, None] == pool.columns
        if self.by in ("propagation", "comatch"):
            rows = self._unit(pool.outputs("predicting", *heads))
            self.table = self._spread(pool, rows, anchors, columns)
            self.bank = rows if self.by == "comatch" else self.bank
            return
        inside = own.any(1)
        self.bank, self.labels = anchors[inside], own[inside].int().argmax(1)
        if self.by == "means":
            member = label_rows(self.labels, self.bank.new_empty(0, len(pool.columns)))
            self.bank = functional.normalize(member.T @ self.bank, dim=1)

    def _spread(self, pool: Pool, rows: Tensor, anchors: Tensor, columns: Tensor) -> Tensor:
        """Classes [P, K] of the pool's images, among those that they may be of and have a label."""
        everywhere = torch.cat([pool.labels.to(columns), columns])
        classes = int(everywhere.max().clamp_min(pool.columns.max())) + 1
        known = label_rows(everywhere, rows.new_empty(0, classes))
        both = torch.cat([rows, anchors])
        cosines, near = pool.nearest(both, self.neighbours + 1)
        found = propagated(known, near, cosines.nan_to_num(neginf=0.0), alpha=self.spread)
        own = found[: len(rows), pool.columns]
        total = own.sum(1, keepdim=True)
        there = (known[:, pool.columns] > 0).any(0).to(own)
        even = (there if there.any() else torch.ones_like(there)).expand_as(own)
        even = even / even.sum(1, keepdim=True)
        return torch.where(total > 0, own / total.clamp_min(torch.finfo(own.dtype).tiny), even)

    def forward(self, probs: Tensor, rows: Tensor, places: Tensor) -> Tensor:
        """Soft classes [V * B, K] of views.

        Args:
            probs: [V * B, K], by the prototypes, view-major.
            rows: [V * B, D], unit embeddings of these views.
            places: int64 [B], of the images in the pool.
        """
        if self.by == "propagation":
            views = len(probs) // max(len(places), 1)
            found = self.table[places].to(probs).repeat(views, 1)
            return _among(found, probs, self.table.any(0))
        if self.by == "comatch":
            smooth = {"temperature": self.temperature, "share": self.share}
            return comatch(probs, rows, self.bank, self.table, **smooth)
        if not len(self.bank):  # no label has come
            return probs
        if self.by == "simmatch":
            smooth = {"temperature": self.temperature, "share": self.share}
            return simmatch(probs, rows, self.bank, self.labels, **smooth)
        there = self.bank.any(1)
        means = self.bank.where(there[:, None], torch.nan)
        by_means = {"threshold": self.threshold, "temperature": self.temperature}
        found = nearest_mean(probs, rows, means, **by_means)
        return _among(found, probs, there | (found == probs).all(1, keepdim=True))

    def _unit(self, outputs: Outputs) -> Tensor:
        rows = outputs.features if self.head is None else outputs[self.head]
        return functional.normalize(rows.float(), dim=1)


def _among(found: Tensor, probs: Tensor, there: Tensor) -> Tensor:
    """What the index says of classes that have a label; of the others it knows nothing.

    Args:
        found: [N, K], of the index, zero where a class has no label.
        probs: [N, K], which say how probable all of these classes together are, and each other one.
        there: bool [K] or [N, K], the classes that the index speaks of.
    """
    within = probs.where(there, 0).sum(1, keepdim=True)
    within = within.where(~there.all(-1, keepdim=True), 1)
    return torch.where(there, found * within, probs)
