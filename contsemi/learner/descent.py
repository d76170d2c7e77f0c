"""From a loss to new weights: its gradients over all processes, and one step of the optimiser."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from contsemi.config import Optim
from contsemi.devices.ranks import Ranks
from contsemi.devices.scaling import Scaling
from contsemi.learner import optimisers
from contsemi.models.network import Network


@dataclass(eq=False)
class Descent:
    """How the parameters of a learner move.

    Attributes:
        optim: the configuration.
        network: that is trained.
        parts: further modules with parameters of their own: the objective and the distiller.
        scaling: of the loss, where its precision needs one.
        ranks: the processes that train together.
        optimizer: ``None`` before the first task, and where nothing is trained.
    """

    optim: Optim
    network: Network
    parts: Sequence[nn.Module]
    scaling: Scaling
    ranks: Ranks
    optimizer: torch.optim.Optimizer | None = None

    def begin(self) -> None:
        """Makes the optimiser of parameters that may have grown; its state of old ones is kept."""
        fresh = optimisers.make(self.optim, [self.network, *self.parts])
        if self.optimizer is not None:
            optimisers.restore(fresh, optimisers.state(self.optimizer))
        self.optimizer = fresh

    def backward(self, loss: Tensor) -> None:
        """Fresh gradients of a loss; none where nothing that trains is in it.

        Raises:
            RuntimeError: no task has begun.
        """
        optimisers.drop_gradients(self._made("backward"))
        if loss.requires_grad:
            self.scaling.backward(loss)
            self.ranks.sum_gradients([self.network], self.parts)

    def step(self, done: int, total: int) -> None:
        """One step.

        Args:
            done: steps of the task already done.
            total: steps of the whole task.

        Raises:
            RuntimeError: no task has begun.
        """
        optimisers.step(self._made("update"), self.optim, done, total, self.scaling)

    def _made(self, what: str) -> torch.optim.Optimizer:
        if self.optimizer is None:
            raise RuntimeError(f"{what}() before begin()")
        return self.optimizer

    def state(self) -> dict[str, Any]:
        """What must survive, by the names that a saved state has."""
        own = optimisers.state(self.optimizer) if self.optimizer else {}
        return {"optimizer": own, "scaling": self.scaling.state()}

    def load(self, state: Mapping[str, Any]) -> None:
        """Takes what :meth:`state` gave back; what is missing starts anew."""
        if self.optimizer is not None:
            optimisers.restore(self.optimizer, state.get("optimizer", {}))
        self.scaling.load(state.get("scaling", {}))
