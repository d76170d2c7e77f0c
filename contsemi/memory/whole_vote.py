"""The soft vote of a whole memory: exact while that is affordable, else by a checked summary.

Which of the two is decided by the number of rows. A summary is only used where it is measured to be
right: the distance between its class probabilities and the exact ones, on queries between stored
rows, must be at most :data:`BOUND`. As many groups are looked at row by row as that takes; where
that would be most of them, the vote is exact after all.
"""

import torch
from torch import Tensor
from torch.nn import functional

from contsemi.losses.nearest_stream import Votes, support_votes
from contsemi.memory.summary import Summary
from contsemi.types.soft_labels import SoftLabels

BOUND = 0.01  # mean L1 distance of class probabilities
_EXACT_UP_TO = 50_000  # rows: fewer are not cheaper by a summary
_EXACT_UP_TO_GPU = 1_000_000
_RANK, _NEAR, _CHECKED = 16, 8, 256
_MIXED = 0.5  # how far a query of the check lies on the way to another row


class WholeVote:
    """What all rows say of each query.

    Args:
        rows: [M, D] unit rows, M > 0; they stand still.
        labels: [M, C] soft labels.
        exact_up_to: rows up to which the vote is exact; ``None`` for the device's own limit.

    Attributes:
        reason: how it votes and why, in a few words; empty before the first vote.
    """

    def __init__(
        self, rows: Tensor, labels: Tensor | SoftLabels, *, exact_up_to: int | None = None
    ) -> None:
        self._rows, self._labels = rows, labels
        gpu = rows.device.type == "cuda"
        own = _EXACT_UP_TO_GPU if gpu else _EXACT_UP_TO
        self._limit = own if exact_up_to is None else exact_up_to
        self._summary: Summary | None = None
        self._near = 0
        self.reason = ""

    def __call__(self, queries: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
        """The votes of all rows; differentiable in the queries.

        Args:
            queries: [N, D] embeddings.
            temperature: divides the cosines; the same in each call.

        Returns:
            logarithms of the summed weights: [N, C] of the classes and [N] of all; see
            :class:`contsemi.losses.nearest_stream.Votes`.
        """
        if not self.reason:
            self.reason = self._choose(temperature)
        if self._summary is None:
            votes = self._exact(queries, temperature)
        else:
            votes = self._summary.votes(queries, temperature=temperature, near=self._near)
        return votes.log_votes, votes.log_total

    def _exact(self, queries: Tensor, temperature: float) -> Votes:
        return support_votes(queries, self._rows, self._labels, temperature=temperature)

    @torch.no_grad()
    def _choose(self, temperature: float) -> str:
        count = len(self._rows)
        if count <= self._limit:
            return f"{count:,} rows vote exactly"
        draw = torch.Generator().manual_seed(0)
        summary = Summary(
            self._rows, self._labels, groups=int(4 * count**0.5), rank=_RANK, draw=draw
        )
        ends = torch.randint(count, (2, _CHECKED), generator=draw).to(self._rows.device)
        one, other = (self._rows[end].float() for end in ends)
        queries = functional.normalize(one + _MIXED * other, dim=1)
        exact = self._exact(queries, temperature).log_probs().exp()
        near, distance = _NEAR, torch.inf
        while 4 * near <= len(summary):
            found = summary.votes(queries, temperature=temperature, near=near).log_probs().exp()
            distance = float((found - exact).abs().sum(1).mean())
            if distance <= BOUND:
                self._summary, self._near = summary, near
                return (
                    f"{count:,} rows vote as {len(summary):,} groups, {near} of them row by row "
                    f"(measured error {distance:.4f})"
                )
            near *= 2
        return f"{count:,} rows vote exactly: a summary is wrong by {distance:.4f}"
