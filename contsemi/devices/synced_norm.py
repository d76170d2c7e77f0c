"""BatchNorm over the rows of all ranks, on CPUs and GPUs; torch's own runs on GPUs alone."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from contsemi.devices.ranks import Ranks

__all__ = ["SyncedBatchNorm", "synchronise"]


class SyncedBatchNorm(_BatchNorm):
    """A BatchNorm whose statistics in training are those of all ranks' rows.

    Args:
        norm: the layer whose parameters and buffers it takes over, by the same names.
        ranks: the processes.
    """

    def __init__(self, norm: _BatchNorm, ranks: Ranks) -> None:
        super().__init__(
            norm.num_features,
            norm.eps,
            norm.momentum,
            affine=False,
            track_running_stats=norm.track_running_stats,
        )
        self.affine, self.ranks = norm.affine, ranks
        self._parameters, self._buffers = norm._parameters, norm._buffers
        self.training = norm.training

    def _check_input_dim(self, input: Tensor) -> None:
        """Any number of dimensions will do."""

    def forward(self, input: Tensor) -> Tensor:
        """[N, C, ...] to the same; the ranks may have different numbers of rows, or none."""
        if not self.training:
            return super().forward(input)
        weight: Tensor = self.weight
        bias: Tensor = self.bias
        if not self.affine:
            weight, bias = input.new_ones(self.num_features), input.new_zeros(self.num_features)
        normed, mean, variance, count = _Normalise.apply(input, weight, bias, self.eps, self.ranks)
        self._follow(mean, variance * count / (count - 1).clamp(min=1))
        return normed  # type: ignore[no-any-return]

    @torch.no_grad()
    def _follow(self, mean: Tensor, variance: Tensor) -> None:
        """The running statistics take the batch's in."""
        if not self.track_running_stats or self.running_mean is None or self.running_var is None:
            return
        assert self.num_batches_tracked is not None
        self.num_batches_tracked.add_(1)
        if self.momentum is None:  # a plain mean over all batches
            share: float | Tensor = 1 / self.num_batches_tracked
        else:
            share = self.momentum
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), share)
        self.running_var.lerp_(variance.to(self.running_var.dtype), share)


def synchronise(module: nn.Module, ranks: Ranks) -> None:
    """Puts synchronised layers in the place of every BatchNorm; nothing for one process."""
    if ranks.alone:
        return
    for name, child in module.named_children():
        if isinstance(child, _BatchNorm):
            setattr(module, name, SyncedBatchNorm(child, ranks))
        else:
            synchronise(child, ranks)


class _Normalise(torch.autograd.Function):
    """(x - mean) / sqrt(variance + eps) * weight + bias, with the mean and variance of all ranks.

    The gradients of weight and bias are those of the own rows, as for every other parameter.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, eps: float, ranks: Ranks
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        ctx.set_materialize_grads(False)
        mean, variance, count = _moments(x, weight, eps, ranks)
        if x.numel():
            normed = torch.native_batch_norm(x, weight, bias, mean, variance, False, 0.0, eps)[0]
        else:
            normed = x.clone()
        ctx.save_for_backward(x, weight, mean, variance, count)
        ctx.eps, ctx.ranks = eps, ranks
        ctx.mark_non_differentiable(mean, variance, count)
        return normed, mean, variance, count

    @staticmethod
    def backward(ctx: Any, grad: Tensor | None, *_: Any) -> tuple[Tensor | None, ...]:
        if grad is None:
            return None, None, None, None, None
        x, weight, mean, variance, count = ctx.saved_tensors
        if x.numel():  # what it were if mean and variance were constants
            direct, of_weight, of_bias = torch.ops.aten.native_batch_norm_backward(
                grad, x, weight, mean, variance, mean, variance, False, ctx.eps, [True] * 3
            )
        else:
            direct, of_weight, of_bias = grad.clone(), mean * 0, mean * 0
        sums = ctx.ranks.sum(torch.stack([of_weight, of_bias]))
        scale = (variance + ctx.eps).rsqrt()
        shared = weight * scale / count
        slope = shared * scale * sums[0]
        offset = shared * sums[1] - slope * mean
        shape = (1, -1, *(1 for _ in x.shape[2:]))
        direct = direct - torch.addcmul(offset.view(shape), x, slope.view(shape)).to(direct.dtype)
        return direct, of_weight, of_bias, None, None


def _moments(x: Tensor, weight: Tensor, eps: float, ranks: Ranks) -> tuple[Tensor, Tensor, Tensor]:
    """Mean [C], variance [C] and number of values a channel, of all ranks' rows.

    Source: Chan, Golub and LeVeque 1983, for parts of different sizes.
    """
    own = weight.new_zeros(2, len(weight))
    if x.numel():  # one pass, as fast as torch's own; it gives 1 / sqrt(variance + eps)
        _, own[0], scale = torch.native_batch_norm(x, weight, None, None, None, True, 0.0, eps)
        own[1] = (scale.square().reciprocal() - eps).clamp_(min=0)
    values = own.new_full((1,), x.numel() / len(weight))
    everyone = ranks.gather(torch.cat([own.flatten(), values])[None])
    means, variances = everyone[:, :-1].view(ranks.size, 2, -1).unbind(1)
    counts = everyone[:, -1:]
    total = counts.sum()
    mean = (counts * means).sum(0) / total
    variance = (counts * (variances + (means - mean).square())).sum(0) / total
    return mean, variance, total
