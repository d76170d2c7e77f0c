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
        self.register_buffer("bank", torch.empty(0, 0))  # [M, D], rows or means
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
            sums = member.T @ self.bank
            there = member.sum(0)[:, None] > 0
            self.bank = functional.normalize(sums, dim=1).where(there, torch.nan)

    def _spread(self, pool: Pool, rows: Tensor, anchors: Tensor, columns: Tensor) -> Tensor:
        """Classes [P, K] of the pool's images, among those that they may be of."""
        everywhere = torch.cat([pool.labels.to(columns), columns])
        classes = int(everywhere.max().clamp_min(pool.columns.max())) + 1
        known = label_rows(everywhere, rows.new_empty(0, classes))
        both = torch.cat([rows, anchors])
        cosines, near = pool.nearest(both, self.neighbours + 1)
        found = propagated(known, near, cosines.nan_to_num(neginf=0.0), alpha=self.spread)
        own = found[: len(rows), pool.columns]
        total = own.sum(1, keepdim=True)
        even = torch.full_like(own, 1 / own.shape[1])
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
            return self.table[places].to(probs).repeat(views, 1)
        if self.by == "comatch":
            smooth = {"temperature": self.temperature, "share": self.share}
            return comatch(probs, rows, self.bank, self.table, **smooth)
        if not len(self.bank):  # no label has come
            return probs
        if self.by == "simmatch":
            smooth = {"temperature": self.temperature, "share": self.share}
            return simmatch(probs, rows, self.bank, self.labels, **smooth)
        return nearest_mean(
            probs, rows, self.bank, threshold=self.threshold, temperature=self.temperature
        )

    def _unit(self, outputs: Outputs) -> Tensor:
        rows = outputs.features if self.head is None else outputs[self.head]
        return functional.normalize(rows.float(), dim=1)
