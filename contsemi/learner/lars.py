"""LARS: a gradient step whose length on each tensor is a share of the tensor's own norm."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from contsemi.learner.eager import Eager

EPSILON = 1e-8  # of the official codes' denominator, when the norms are separate

_Factors = Tensor | float  # [n], one for each of n tensors, or one for all


class Lars(Eager):
    """SGD with momentum and layer-wise adapted rates, without a host synchronisation.

    The switches name where the published variants differ: PAWS and NNCSL have ``fold_rate`` and
    separate norms, Suave separate norms, DINO ``joint_norm``.

    Args:
        params: parameters, named parameters or groups. A group may set ``adapt=False``: plain
            momentum SGD, as PAWS and DINO treat 1-d tensors (which then want ``weight_decay=0``).
        lr: learning rate.
        momentum: of the gradient.
        weight_decay: wd, L2.
        trust: share of the tensor's norm that a step of learning rate 1 has.
        nesterov: whether to look ahead.
        fold_rate: whether the momentum buffer holds learning rate times gradient, so that a change
            of the rate does not touch the past, or only the gradient.
        joint_norm: whether the gradient g is measured with the decay, as |g + wd p|, or apart, as
            |g| + wd |p|. Where p or what is measured is zero the step is g + wd p, or g.

    Source: You et al. 2017; SwAV's and PAWS's code for the details.
    """

    def __init__(
        self,
        params: Any,
        *,
        lr: float,
        momentum: float,
        weight_decay: float,
        trust: float,
        nesterov: bool,
        fold_rate: bool,
        joint_norm: bool,
    ) -> None:
        self.fold_rate, self.joint_norm = fold_rate, joint_norm
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "weight_decay": weight_decay,
            "trust": trust,
            "nesterov": nesterov,
            "adapt": True,
        }
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One step on all parameters that have a gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            params: list[Tensor] = [p for p in group["params"] if p.grad is not None]
            grads = [p.grad for p in params if p.grad is not None]
            if params:
                self._move(params, grads, group)
        return loss

    def _move(self, params: list[Tensor], grads: list[Tensor], group: dict[str, Any]) -> None:
        """Momentum and the step itself, all in place: new tensors would cost more than the sums."""
        momentum, rate, nesterov = group["momentum"], group["lr"], group["nesterov"]
        buffers = [self._buffer(p) for p in params]
        of_grads, of_params = self._factors(params, grads, group)
        if self.fold_rate:
            of_grads, of_params, rate = of_grads * -rate, of_params * -rate, -1.0
        rest = momentum, rate, nesterov
        one_by_one = params[0].device.type == "cpu"
        if not one_by_one or isinstance(of_grads, float) or isinstance(of_params, float):
            _advance(params, grads, buffers, of_grads, of_params, *rest)
            return
        # matrices one by one, so that one is still in the cache when its next sum is made
        for i in range(len(params)):
            one = slice(i, i + 1)
            own = params[one], grads[one], buffers[one], of_grads[one], of_params[one]
            _advance(*own, *rest)

    def _factors(
        self, params: list[Tensor], grads: list[Tensor], group: dict[str, Any]
    ) -> tuple[_Factors, _Factors]:
        """Numbers a, b: for each tensor a g + b p takes the place of the gradient."""
        decay, trust = group["weight_decay"], group["trust"]
        if not group["adapt"]:
            return 1.0, decay
        sizes = torch.stack(torch._foreach_norm(params))
        measured = grads
        if self.joint_norm:
            measured = list(torch._foreach_add(grads, params, alpha=decay))
        lengths = torch.stack(torch._foreach_norm(measured))
        adapted = (sizes > 0) & (lengths > 0)
        if self.joint_norm:
            factors = torch.where(adapted, trust * sizes / lengths, 1.0)
            return factors, factors * decay
        factors = torch.where(adapted, trust * sizes / (lengths + decay * sizes + EPSILON), 1.0)
        return factors, torch.where(adapted, factors * decay, 0.0)

    def _buffer(self, param: Tensor) -> Tensor:
        state: dict[str, Tensor] = self.state[param]
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(param)
        return state["momentum_buffer"]


def _advance(
    params: list[Tensor],
    grads: list[Tensor],
    buffers: list[Tensor],
    of_grads: _Factors,
    of_params: _Factors,
    momentum: float,
    rate: float,
    nesterov: bool,
) -> None:
    """Each buffer takes a g + b p in, and each parameter moves by it."""
    torch._foreach_mul_(buffers, momentum)
    _add(buffers, grads, of_grads)
    _add(buffers, params, of_params)
    if nesterov:
        _add(params, params, of_params * -rate)
        _add(params, grads, of_grads * -rate)
        rate = rate * momentum
    torch._foreach_add_(params, buffers, alpha=-rate)


def _add(sums: list[Tensor], terms: list[Tensor], factors: _Factors) -> None:
    """Adds each term, times its factor, to its sum."""
    if isinstance(factors, Tensor):
        torch._foreach_addcmul_(sums, terms, list(factors.unbind()))
    elif factors:  # one for all of them is one kernel on a GPU
        torch._foreach_add_(sums, terms, alpha=factors)
