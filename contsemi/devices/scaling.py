"""Gradients of a float16 network: small ones would be zero, so the loss is made larger first.

With bfloat16 and float32 nothing is done. In float16 the host waits once a step, to know whether a
gradient was too large; that step is left out and the factor halved.

Source: Micikevicius et al. 2018, Mixed Precision Training.
"""

from collections.abc import Mapping

import torch
from torch import Tensor


class Scaling:
    """The factor of the loss, where the precision needs one.

    Args:
        device: where the network is.
        precision: of its products.
    """

    def __init__(self, device: torch.device, precision: torch.dtype) -> None:
        on = precision == torch.float16
        self._scaler = torch.amp.GradScaler(device.type, enabled=on)
        if on:
            # made at once: what is saved before the first step has to be whole
            self._scaler._lazy_init_scale_growth_tracker(device)

    def backward(self, loss: Tensor) -> None:
        """Gradients of the loss, times the factor."""
        self._scaler.scale(loss).backward()  # type: ignore[no-untyped-call]

    def unscale(self, optimizer: torch.optim.Optimizer) -> None:
        """Takes the factor out of the gradients, after those of all ranks are summed."""
        if self._scaler.is_enabled() and _has_gradients(optimizer):
            self._scaler.unscale_(optimizer)

    def step(self, optimizer: torch.optim.Optimizer) -> None:
        """A step of the optimiser, left out where a gradient is not finite."""
        if not self._scaler.is_enabled() or not _has_gradients(optimizer):
            optimizer.step()
            return
        self._scaler.step(optimizer)
        self._scaler.update()

    def state(self) -> dict[str, Tensor]:
        """The factor and the steps since it last changed, for a checkpoint; empty without one."""
        if not self._scaler.is_enabled():
            return {}
        state = self._scaler.state_dict()
        return {
            "scale": torch.tensor(state["scale"], dtype=torch.float64),
            "since": torch.tensor(state["_growth_tracker"], dtype=torch.int64),
        }

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Takes the state of :meth:`state` back; an empty one changes nothing."""
        if not self._scaler.is_enabled() or not state:
            return
        fresh = self._scaler.state_dict()
        fresh["scale"] = float(state["scale"])
        fresh["_growth_tracker"] = int(state["since"])
        self._scaler.load_state_dict(fresh)


def _has_gradients(optimizer: torch.optim.Optimizer) -> bool:
    return any(p.grad is not None for group in optimizer.param_groups for p in group["params"])
