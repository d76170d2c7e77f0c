"""Soft nearest neighbours of a very large memory: near rows exactly, the rest by their moments.

Cutting the vote to the k nearest rows gives another classifier: at a temperature of 0.1 most of the
weight lies in the many rows farther away. So rows are grouped, within their class, and what a group
says of a query follows from its size, mean and covariance: the mean of exp(q.x / t) is
exp(q.m / t + q'Cq / (2 t^2)) where the group is Gaussian along q. The groups that weigh most are
looked at row by row.
"""

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from contsemi.losses.nearest import LOWEST
from contsemi.losses.nearest_stream import Votes, row_votes, score_votes, sum_votes
from contsemi.losses.numerics import wide
from contsemi.types.soft_labels import SoftLabels

_ROUNDS = 8  # of k-means
_GATHERED = 1 << 27  # numbers of rows at a time on a GPU


class Summary:
    """Rows with soft labels, in groups with moments.

    Args:
        rows: [M, D] unit rows.
        labels: [M, C] soft labels.
        groups: about so many groups over all classes; each class has at least one.
        rank: directions of a group's covariance that are kept; what is left counts as round.
        draw: draws the first centres; on the CPU.
    """

    def __init__(
        self,
        rows: Tensor,
        labels: Tensor | SoftLabels,
        *,
        groups: int,
        rank: int,
        draw: torch.Generator,
    ) -> None:
        classes = labels.argmax(1) if isinstance(labels, Tensor) else labels.best()[1]
        own = _grouped(rows, classes, groups, draw)
        order = own.argsort(stable=True)
        self._rows = rows[order]
        self._labels = labels[order] if isinstance(labels, Tensor) else labels.rows(order)
        self._counts = torch.bincount(own)
        self._begins = self._counts.cumsum(0) - self._counts
        self._ends = self._counts.cumsum(0).tolist()
        self._longest = int(self._counts.max())
        parts = [self._part(group) for group in range(len(self._counts))]
        moments = [_moments(wide(self._rows[part]), rank) for part in parts]
        self._means, self._factors = (torch.stack([x[i] for x in moments]) for i in (0, 1))
        self._round = torch.stack([x[2] for x in moments])
        self._label_means = torch.stack([wide(self._labels[part]).mean(0) for part in parts])

    def __len__(self) -> int:
        return len(self._counts)

    def _part(self, group: int) -> slice:
        return slice(self._ends[group - 1] if group else 0, self._ends[group])

    def votes(self, queries: Tensor, *, temperature: float, near: int) -> Votes:
        """The votes of all rows; differentiable in the queries.

        Args:
            queries: [N, D] embeddings.
            temperature: divides the cosines.
            near: groups that are looked at row by row, for each query those that weigh most.
        """
        with torch.autocast(queries.device.type, enabled=False):
            unit = F.normalize(wide(queries), dim=1)
            weight = self._weight(unit, temperature)
            chosen = weight.detach().topk(min(near, len(self)), dim=1).indices
            far = weight.scatter(1, chosen, LOWEST)
            votes = score_votes(far, self._label_means, temperature)
            if not chosen.shape[1]:
                return votes
            rows = self._near if unit.device.type == "cpu" else self._near_without_a_wait
            return sum_votes(votes, rows(unit, chosen, temperature))

    def _weight(self, unit: Tensor, temperature: float) -> Tensor:
        """Log of the summed weight of each group for each query, [N, groups], by its moments."""
        along = torch.einsum("nd,gdr->ngr", unit, self._factors).square().sum(2) + self._round
        weight = unit @ self._means.T / temperature + along / (2 * temperature**2)
        # No row says more than exp(1 / t), whatever the moments promise.
        return weight.clamp_max(1 / temperature) + self._counts.log()

    def _near(self, unit: Tensor, chosen: Tensor, temperature: float) -> Votes:
        """The votes of the chosen groups' rows, group by group."""
        pairs = chosen.flatten()
        order = pairs.argsort(stable=True)
        asking = order // chosen.shape[1]
        found: list[Votes] = []
        start = 0
        for group, count in enumerate(torch.bincount(pairs, minlength=len(self)).tolist()):
            if not count:
                continue
            rows, labels = self._rows[self._part(group)], self._labels[self._part(group)]
            asked = unit[asking[start : start + count]]
            scores = asked @ F.normalize(rows.to(unit.dtype), dim=1).T / temperature
            found.append(score_votes(scores, labels, temperature))
            start += count
        back = order.argsort()
        votes = torch.cat([each.log_votes for each in found])[back]
        total = torch.cat([each.log_total for each in found])[back]
        return _over_groups(Votes(votes, total), chosen)

    def _near_without_a_wait(self, unit: Tensor, chosen: Tensor, temperature: float) -> Votes:
        """The same by pairs of a query and a group, each as long as the longest group.

        How many ask for which group is known to the device alone, and the host need not wait to
        know it. A few pairs at a time, whose rows the backward pass takes out anew.
        """
        group, asking = chosen.flatten(), torch.arange(chosen.numel(), device=chosen.device)
        asking = asking // chosen.shape[1]
        each = max(1, _GATHERED // max(1, self._longest * self._rows.shape[1]))
        # nothing is drawn inside, so no generator's state need be kept for the second pass
        anew = partial(checkpoint, self._of_pairs, use_reentrant=False, preserve_rng_state=False)
        found = [
            Votes(*anew(unit, asks, own, temperature))
            for asks, own in zip(torch.split(asking, each), torch.split(group, each), strict=True)
        ]
        votes = torch.cat([part.log_votes for part in found])
        total = torch.cat([part.log_total for part in found])
        return _over_groups(Votes(votes, total), chosen)

    def _of_pairs(
        self, unit: Tensor, asking: Tensor, group: Tensor, temperature: float
    ) -> tuple[Tensor, Tensor]:
        """Logarithms of the votes [P, C] and [P] of each pair's group."""
        within = torch.arange(self._longest, device=group.device)
        places = self._begins[group][:, None] + within
        there = within < self._counts[group][:, None]
        found = row_votes(
            unit[asking],
            self._rows,
            self._labels,
            places.masked_fill(~there, -1),
            temperature=temperature,
        )
        return found.log_votes, found.log_total


def _over_groups(votes: Votes, chosen: Tensor) -> Votes:
    """The votes of all groups [N, g] that each query has chosen, from those of the pairs [N g]."""
    shape = chosen.shape
    return Votes(
        votes.log_votes.view(*shape, -1).logsumexp(1), votes.log_total.view(shape).logsumexp(1)
    )


def _moments(rows: Tensor, rank: int) -> tuple[Tensor, Tensor, Tensor]:
    """Mean [D], scaled main directions [D, rank] and the variance [] in any other direction."""
    mean, width = rows.mean(0), rows.shape[1]
    values, vectors = torch.linalg.eigh((rows - mean).T @ (rows - mean) / len(rows))
    values, split = values.clamp_min(0), max(0, width - rank)
    rest = values[:split].sum() / max(1, split)
    return mean, (values[split:] - rest).clamp_min(0).sqrt() * vectors[:, split:], rest


def _grouped(rows: Tensor, classes: Tensor, groups: int, draw: torch.Generator) -> Tensor:
    """The group of each row, int64 [M]: k-means within each class; no group is empty."""
    own = torch.zeros_like(classes)
    for label in classes.unique().tolist():  # type: ignore[no-untyped-call,unused-ignore]
        places = (classes == label).nonzero().flatten()
        mine = wide(rows[places])
        count = min(len(mine), max(1, round(groups * len(mine) / len(rows))))
        first = torch.randperm(len(mine), generator=draw)[:count]
        centres = mine[first.to(mine.device)]
        for _ in range(_ROUNDS):
            nearest = torch.cdist(mine, centres).argmin(1)
            sizes = torch.bincount(nearest, minlength=count)[:, None]
            sums = torch.zeros_like(centres).index_add(0, nearest, mine)
            centres = torch.where(sizes > 0, sums / sizes.clamp_min(1), centres)
        own[places] = torch.cdist(mine, centres).argmin(1) + (own.max() + 1)
    numbered: Tensor = own.unique(return_inverse=True)[1]  # type: ignore[no-untyped-call,unused-ignore]
    return numbered
