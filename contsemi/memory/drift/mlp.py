"""A small network on top of an affine map."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from contsemi.memory.drift.drift import Drift, Map
from contsemi.memory.moments import fit_affine


@dataclass(kw_only=True, eq=False)
class Mlp(Drift):
    """What the affine map leaves, by one hidden layer."""

    ridge: float  # pull of the affine map towards the identity, relative to the mean variance
    steps: int  # of the small network's training
    batch: int  # images of each of its steps
    lr: float  # its learning rate at first, which falls to 0
    weight_decay: float  # its weight decay

    def fitted(self, old: Tensor, new: Tensor, weights: Tensor, draw: torch.Generator) -> Map:
        """Trained on images drawn by their weights."""
        affine = fit_affine(old, new, weights=weights, ridge=self.ridge)
        return self._network(affine, old, new, weights, draw)

    def _network(
        self,
        linear: Callable[[Tensor], Tensor],
        old: Tensor,
        new: Tensor,
        weights: Tensor,
        draw: torch.Generator,
    ) -> Map:
        """What the linear map leaves, by one hidden layer that begins at nothing."""
        width = old.shape[1]
        into = torch.randn(width, 2 * width, generator=draw).to(old.device) * (2 / width) ** 0.5
        first = [into, into.new_zeros(2 * width), into.new_zeros(2 * width, width)]
        params = [nn.Parameter(x) for x in first]
        shares = weights.cpu()

        def network(rows: Tensor) -> Tensor:
            return linear(rows) + functional.relu(rows @ params[0] + params[1]) @ params[2]

        with torch.enable_grad():
            optimiser = torch.optim.AdamW(params, lr=self.lr, weight_decay=self.weight_decay)
            for step in range(self.steps):
                rows = torch.multinomial(shares, self.batch, replacement=True, generator=draw)
                rows = rows.to(old.device)
                for group in optimiser.param_groups:
                    group["lr"] = self.lr * (1 - step / self.steps)
                loss = (functional.normalize(network(old[rows]), dim=1) - new[rows]).square().sum(1)
                optimiser.zero_grad(set_to_none=True)
                loss.mean().backward()  # type: ignore[no-untyped-call]
                optimiser.step()
        return network
