"""BatchNorm over the rows of all ranks, on CPUs and GPUs; torch's own runs on GPUs alone."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from contsemi.devices.ranks import Ranks


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
            kind = torch.promote_types(input.dtype, torch.float32)
            weight = torch.ones(self.num_features, dtype=kind, device=input.device)
            bias = torch.zeros_like(weight)
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
        x = x.contiguous(memory_format=_format(x))
        mean, variance, counts = _moments(x, weight, eps, ranks)
        scale, count = (variance + eps).rsqrt(), counts.sum()
        normed = x.clone()
        if x.numel():
            normed = _normalised(x, weight, bias, mean, variance, eps)
        ctx.save_for_backward(x, weight, mean, scale, counts)
        ctx.ranks = ranks
        ctx.mark_non_differentiable(mean, variance, count)
        return normed, mean, variance, count

    @staticmethod
    def backward(ctx: Any, grad: Tensor | None, *_: Any) -> tuple[Tensor | None, ...]:
        if grad is None:
            return None, None, None, None, None
        x, weight, mean, scale, counts = ctx.saved_tensors
        grad = grad.contiguous(memory_format=_format(x))
        own = mean.new_zeros(2, len(mean))
        if x.numel():
            own[0], own[1] = _sums(grad, x, weight, mean, scale)
        sums = ctx.ranks.sum(own.clone())
        slope = grad.clone()
        if x.numel():
            slope = _slope(grad, x, weight, mean, scale, sums, counts)
        return slope, own[1] * scale, own[0], None, None


def _moments(x: Tensor, weight: Tensor, eps: float, ranks: Ranks) -> tuple[Tensor, Tensor, Tensor]:
    """Mean [C], variance [C] and numbers of values a channel by rank [R, 1], of all ranks' rows.

    torch's own ``batch_norm_gather_stats_with_counts`` is not taken: a rank without rows gives it
    NaN, and to leave such ranks out the host would wait for the device.

    Source: Chan, Golub and LeVeque 1983, for parts of different sizes.
    """
    own = weight.new_zeros(2, len(weight))
    if x.numel():
        own[0], own[1] = _own_moments(x, weight, eps)
    values = own.new_full((1,), x.numel() / len(weight))
    everyone = ranks.gather(torch.cat([own.flatten(), values])[None])
    means, variances = everyone[:, :-1].view(ranks.size, 2, -1).unbind(1)
    counts = everyone[:, -1:]
    total = counts.sum()
    mean = (counts * means).sum(0) / total
    variance = (counts * (variances + (means - mean).square())).sum(0) / total
    return mean, variance, counts


# Four things are done with whole tensors [N, C, ...]: on GPUs by the kernels of torch's own
# SyncBatchNorm, which runs there alone, elsewhere by operations that every device has. ``scale``
# [C] is 1 / sqrt(variance + eps).


def _on_gpu(x: Tensor) -> bool:
    return x.is_cuda


def _own_moments(x: Tensor, weight: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """Mean and variance [C] of the own rows, in the weight's precision."""
    if _on_gpu(x):
        mean, scale = torch.batch_norm_stats(x, eps)
        return mean, (scale.square().reciprocal() - eps).clamp(min=0)
    # the scratch says in which precision: statistics of bfloat16 rows are float32
    scratch = weight.new_zeros(2, len(weight))
    mean, variance = torch.batch_norm_update_stats(x, scratch[0], scratch[1], 0.0)
    return mean, variance


def _normalised(
    x: Tensor, weight: Tensor, bias: Tensor, mean: Tensor, variance: Tensor, eps: float
) -> Tensor:
    """(x - mean) / sqrt(variance + eps) * weight + bias."""
    if _on_gpu(x):
        return torch.batch_norm_elemt(x, weight, bias, mean, (variance + eps).rsqrt(), eps)
    return torch.native_batch_norm(x, weight, bias, mean, variance, False, 0.0, eps)[0]


def _sums(
    grad: Tensor, x: Tensor, weight: Tensor, mean: Tensor, scale: Tensor
) -> tuple[Tensor, Tensor]:
    """The sums [C] of grad and of grad * (x - mean) over the own rows."""
    if _on_gpu(x):
        of_bias, of_x, _, _ = torch.batch_norm_backward_reduce(
            grad, x, mean, scale, weight, True, False, False
        )
        return of_bias, of_x
    variance = scale.square().reciprocal()
    # CPUs read the running statistics here, GPUs the saved ones: both are given
    _, of_weight, of_bias = torch.ops.aten.native_batch_norm_backward(
        grad, x, weight, mean, variance, mean, scale, False, 0.0, [False, True, True]
    )
    return of_bias, of_weight / scale


def _slope(
    grad: Tensor,
    x: Tensor,
    weight: Tensor,
    mean: Tensor,
    scale: Tensor,
    sums: Tensor,
    counts: Tensor,
) -> Tensor:
    """The gradient with respect to x, given both sums [2, C] over the rows of all ranks."""
    if _on_gpu(x):
        numbers = counts.flatten().int()
        return torch.batch_norm_backward_elemt(
            grad, x, mean, scale, weight, sums[0], sums[1], numbers
        )
    factor = weight * scale
    of_bias, of_x = sums / counts.sum()
    steepness = -factor * scale.square() * of_x
    offset = -factor * of_bias - steepness * mean
    shape = (1, -1, *(1 for _ in x.shape[2:]))
    constant = torch.addcmul(offset.view(shape), x, steepness.view(shape))
    return torch.addcmul(constant, grad, factor.view(shape)).to(grad.dtype)


def _format(x: Tensor) -> torch.memory_format:
    """The layout that x has, or is brought to: the kernels read channels first or last."""
    last = {4: torch.channels_last, 5: torch.channels_last_3d}.get(x.ndim)
    if last is not None and x.is_contiguous(memory_format=last):
        return last
    return torch.contiguous_format
