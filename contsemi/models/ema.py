"""Slow and frozen copies of a network."""

import copy
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from contsemi.models.network import Network
from contsemi.types import Outputs


def frozen_copy(network: Network) -> Network:
    """A copy in eval mode that takes no gradient: the past of a distiller."""
    return copy.deepcopy(network).eval().requires_grad_(False)


class Ema(nn.Module):
    """A copy whose parameters follow those of a network by an exponential moving average.

    Parameters only: the copy starts with the network's BatchNorm statistics, and keeps its own
    from then on, gathered by its own forward passes in train mode, as in the official codes of
    SwAV, DINO, MSF and others. So it has to see the large views of each step (:meth:`forward`,
    without gradient); a prediction then uses ``ema.network.eval()`` with these statistics.

    Args:
        network: what is followed; its present state is the start.
        momentum: share kept of the copy's parameters in each update, in [0, 1]. May be changed
            between steps.
        buffers: whose statistics it has: its ``own``; ``copied`` at each update from the network
            (FixMatch); ``averaged`` like the parameters. But for its own it runs in eval mode.
        shrink: share that each update takes off all floating-point entries of the network itself,
            its statistics too, as the released code of MixMatch does.

    Attributes:
        network: the copy; its parameters take no gradient.
    """

    def __init__(
        self, network: Network, momentum: float, *, buffers: str = "own", shrink: float = 0.0
    ) -> None:
        super().__init__()
        self.momentum, self.buffer_rule, self.shrink = momentum, buffers, shrink
        self.network = copy.deepcopy(network).train(buffers == "own").requires_grad_(False)

    @torch.no_grad()
    def forward(self, images: Tensor, heads: Sequence[str]) -> Outputs:
        """As :meth:`Network.forward`, without gradient."""
        outputs: Outputs = self.network(images, heads)
        return outputs

    @torch.no_grad()
    def update(self, network: Network) -> None:
        """Follows ``network``; to be called after its optimiser step and ``after_step``."""
        own: list[Tensor] = list(self.network.parameters())
        followed: list[Tensor] = list(network.parameters())
        statistics = _floating(network.buffers())
        if self.buffer_rule == "averaged":
            own += _floating(self.network.buffers())
            followed += statistics
        if own:
            torch._foreach_lerp_(own, followed, 1 - self.momentum)
        if self.buffer_rule == "copied":
            for mine, theirs in zip(self.network.buffers(), network.buffers(), strict=True):
                mine.copy_(theirs)
        if self.shrink:
            torch._foreach_mul_([*network.parameters(), *statistics], 1 - self.shrink)
        self.network.after_step()  # the mean of unit directions is shorter than one

    @torch.no_grad()
    def grow(self, network: Network) -> None:
        """After ``network`` grew: new classes start as they are there, old ones stay."""
        old = self.network.num_classes
        self.network.grow(network.num_classes, torch.Generator())
        for own, followed in zip(
            self.network.class_parameters(), network.class_parameters(), strict=True
        ):
            own[old:] = followed[old:]


def _floating(buffers: Iterable[Tensor]) -> list[Tensor]:
    return [buffer for buffer in buffers if buffer.is_floating_point()]
