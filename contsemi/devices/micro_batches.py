"""A network that runs a batch in parts, for a device that cannot hold the activations of all rows.

Objectives compare all rows of a batch with each other, so that the loss cannot be summed over
parts. It need not be: the parts are run without a graph, the loss is of all their outputs, and its
gradient with respect to these is brought back through each part, which is run once more with a
graph. Two forward passes in place of one, and the activations of one part at a time.

Each part has BatchNorm statistics of its own, as in every accumulation of gradients; without
BatchNorm, or with frozen statistics, the gradients are those of the whole batch. The running
statistics take the mean of the parts' in, once a batch. The networks draw nothing at random in
their forward pass, so that both passes of a part agree.

Source: Gao et al. 2021, Scaling Deep Contrastive Learning Batch Size under Memory Limited Setup
(GradCache).
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from contsemi.devices.ranks import ALONE, Ranks
from contsemi.models.network import Network
from contsemi.types import Forward, Outputs


def in_pieces(network: Network, pieces: int, ranks: Ranks = ALONE) -> Forward:
    """The same network, by parts of the rows; itself where there is one part.

    Part j has the rows j, j + pieces, ...: some of each group and view.

    Args:
        network: in the mode it is to run in.
        pieces: into which the rows of a forward pass are split; fewer where a part would be left
            with one row, which BatchNorm cannot take.
        ranks: the processes, each of which runs as many parts.
    """
    if pieces == 1:
        return network

    def run(images: Tensor, heads: Sequence[str]) -> Outputs:
        # The ranks wait for each other in every BatchNorm: none of them may leave a part out.
        parts = pieces if not ranks.alone else max(1, min(pieces, len(images) // 2))
        plan = _Plan(network, tuple(heads), parts, _autocast(images.device.type))
        features, *values = _InPieces.apply(plan, images, *plan.params)
        return Outputs(features, dict(zip(plan.names, values, strict=True)), plan.directions)

    return run


@dataclass(slots=True)
class _Plan:
    """What both passes of one batch have in common."""

    network: Network
    heads: tuple[str, ...]
    pieces: int
    autocast: Callable[[], AbstractContextManager[Any]]
    params: list[nn.Parameter] = field(init=False)
    names: tuple[str, ...] = ()
    directions: dict[str, Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.params = [param for param in self.network.parameters() if param.requires_grad]

    def part(self, rows: Tensor, number: int) -> Tensor:
        return rows[number :: self.pieces]


class _InPieces(torch.autograd.Function):
    """Images [N, 3, s, s] and parameters -> features and heads [N, ...], in float32."""

    @staticmethod
    def forward(ctx: Any, plan: _Plan, images: Tensor, *params: Tensor) -> tuple[Tensor, ...]:
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(images)
        ctx.plan = plan
        whole: list[Tensor] = []
        for number in range(plan.pieces):
            with _share_of_statistics(plan.network, number, plan.pieces):
                found = plan.network(plan.part(images, number), plan.heads).float()
            columns = [found.features, *found.heads.values()]
            if not whole:
                plan.names, plan.directions = tuple(found.heads), dict(found.directions)
                whole = [each.new_empty((len(images), *each.shape[1:])) for each in columns]
            for complete, each in zip(whole, columns, strict=True):
                plan.part(complete, number).copy_(each)
        return tuple(whole)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        plan: _Plan = ctx.plan
        (images,) = ctx.saved_tensors
        totals: list[Tensor | None] = [None] * len(plan.params)
        for number in range(plan.pieces):
            with torch.enable_grad(), plan.autocast(), _statistics_stand_still(plan.network):
                found = plan.network(plan.part(images, number), plan.heads).float()
            pairs = [
                (value, plan.part(grad, number))
                for value, grad in zip([found.features, *found.heads.values()], grads, strict=True)
                if grad is not None and value.requires_grad
            ]
            if not pairs:
                continue
            values, slopes = zip(*pairs, strict=True)
            parts = torch.autograd.grad(values, plan.params, slopes, allow_unused=True)
            totals = [_sum(total, part) for total, part in zip(totals, parts, strict=True)]
        return None, None, *totals


def _sum(total: Tensor | None, part: Tensor | None) -> Tensor | None:
    """A parameter that the loss does not depend on gets no gradient at all."""
    if total is None or part is None:
        return part if total is None else total
    return total + part


def _autocast(device: str) -> Callable[[], AbstractContextManager[Any]]:
    """Makes the present precision of products anew, for the backward pass, which is outside."""
    enabled, dtype = torch.is_autocast_enabled(device), torch.get_autocast_dtype(device)
    return lambda: torch.autocast(device, dtype, enabled=enabled)


def _learning_statistics(network: nn.Module) -> list[_BatchNorm]:
    norms = (module for module in network.modules() if isinstance(module, _BatchNorm))
    return [norm for norm in norms if norm.training and norm.track_running_stats]


@contextmanager
def _share_of_statistics(network: nn.Module, number: int, pieces: int) -> Iterator[None]:
    """Makes the updates by all parts one of the usual weight by the mean of their statistics.

    Updates r <- r + w_j (b_j - r) in a row, with w_j = m / (K - m (K - j)) for j = 1, ..., K, give
    (1 - m) r + m (b_1 + ... + b_K) / K.
    """
    norms = _learning_statistics(network)
    momenta = [norm.momentum for norm in norms]
    try:
        for norm, m in zip(norms, momenta, strict=True):
            if m is not None:  # else it is a plain mean over all parts anyway
                norm.momentum = m / (pieces - m * (pieces - 1 - number))
        yield
    finally:
        for norm, m in zip(norms, momenta, strict=True):
            norm.momentum = m


@contextmanager
def _statistics_stand_still(network: nn.Module) -> Iterator[None]:
    """The second pass of a part normalises as the first did, and learns nothing."""
    norms = _learning_statistics(network)
    try:
        for norm in norms:
            norm.track_running_stats = False
        yield
    finally:
        for norm in norms:
            norm.track_running_stats = True
