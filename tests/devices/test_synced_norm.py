"""Synchronised BatchNorm against torch's own over all rows.

What only a GPU has is replaced by its definition in float64, and ``native_batch_norm_backward`` by
the rule of its CUDA kernel, which takes the saved statistics where the CPU takes the running ones.
"""

import pytest
import torch
from torch import nn

from contsemi.devices import synced_norm
from contsemi.devices.ranks import ALONE
from contsemi.devices.synced_norm import SyncedBatchNorm, synchronise

COUNTS = ((5, 3), (7, 1), (4, 0))  # rows of two processes; a lone row, and none


def inputs(counts, dtype):
    draw = torch.Generator().manual_seed(0)
    images = torch.randn(sum(counts), 3, 4, 4, generator=draw, dtype=dtype) * 3 + 5
    rows = torch.randn(sum(counts), 6, generator=draw, dtype=dtype)
    return images.to(memory_format=torch.channels_last), rows


def layers(dtype):
    torch.manual_seed(1)
    found = nn.Sequential(nn.BatchNorm2d(3), nn.BatchNorm1d(6)).to(dtype)
    for norm in found:
        nn.init.normal_(norm.weight)
        nn.init.normal_(norm.bias)
    return found


def passes(norms, images, rows):
    """Two steps in training, one without gradient, one in evaluation; outputs and gradients."""
    found = []
    for norm, given in zip(norms, (images, rows), strict=True):
        x = given.clone().requires_grad_()
        out = norm(x)
        (out * given.sin()).sum().backward()
        with torch.no_grad():
            norm(2 * given)
        found.append((out.detach(), x.grad, norm.eval()(given).detach()))
    return found


@pytest.fixture(scope="module")
def synced(in_ranks):
    def job(ranks):
        found = {}
        for dtype in (torch.float64, torch.float32):
            for counts in COUNTS:
                norms = layers(dtype)
                synchronise(norms, ranks)
                assert all(isinstance(norm, SyncedBatchNorm) for norm in norms)
                start = sum(counts[: ranks.rank])
                own = slice(start, start + counts[ranks.rank])
                images, rows = inputs(counts, dtype)
                outputs = passes(norms, images[own], rows[own])
                grads = {name: p.grad for name, p in norms.named_parameters()}
                found[dtype, counts] = outputs, grads, norms.state_dict()
        return found

    return in_ranks(job)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
@pytest.mark.parametrize("counts", COUNTS, ids=str)
def test_equals_one_process(counts, dtype, synced):
    norms = layers(dtype)
    expected = passes(norms, *inputs(counts, dtype))
    parts = [each[dtype, counts] for each in synced]
    for i, values in enumerate(expected):
        for j, value in enumerate(values):
            together = torch.cat([part[0][i][j] for part in parts])
            torch.testing.assert_close(together, value)
    for name, param in norms.named_parameters():
        torch.testing.assert_close(sum(part[1][name] for part in parts), param.grad)
    for part in parts:  # the same names, so that checkpoints fit either way
        assert part[2].keys() == norms.state_dict().keys()
        for name, value in norms.state_dict().items():
            torch.testing.assert_close(part[2][name], value)


def test_nothing_is_replaced_for_one_process():
    norms = layers(torch.float32)
    before = list(norms)
    synchronise(norms, ALONE)
    assert list(norms) == before


def test_bf16_rows_have_float32_statistics(in_ranks):
    def job(ranks):
        norm = nn.Sequential(nn.BatchNorm2d(3))
        synchronise(norm, ranks)
        x = inputs((8,), torch.float32)[0].bfloat16()[4 * ranks.rank : 4 * ranks.rank + 4]
        out = norm(x)
        return out.dtype, norm[0].running_mean.tolist()

    reference = nn.BatchNorm2d(3)
    reference(inputs((8,), torch.float32)[0].bfloat16().float())
    for dtype, mean in in_ranks(job):
        assert dtype == torch.bfloat16
        assert mean == pytest.approx(reference.running_mean.tolist(), rel=1e-5)


# Layouts of what a layer may get: of images, channels last and not, rows, volumes, slices.
LAYOUTS = {
    "images": lambda x: x,
    "channels_last": lambda x: x.to(memory_format=torch.channels_last),
    "transposed": lambda x: x.transpose(2, 3),
    "every_other_row": lambda x: x[::2],
    "rows": lambda x: x[:, :, 0, 0],
    "sequences": lambda x: x[..., 0],
    "volumes": lambda x: x[..., None].expand(*x.shape, 2),
    "one_pixel": lambda x: x[:, :, :1, :1],
}


def on_gpu(x, of_channel):
    """A vector [C] beside x [N, C, ...]."""
    return of_channel.double().view(1, -1, *(1 for _ in x.shape[2:]))


def over_rows(x):
    return x.double().transpose(0, 1).flatten(1).sum(1)


def batch_norm_stats(x, eps):
    rows = x.double().transpose(0, 1).flatten(1)
    return rows.mean(1).to(kind(x)), (rows.var(1, correction=0) + eps).rsqrt().to(kind(x))


def kind(x):
    return torch.promote_types(x.dtype, torch.float32)


def batch_norm_elemt(x, weight, bias, mean, invstd, eps):
    weight, bias, mean, invstd = (on_gpu(x, each) for each in (weight, bias, mean, invstd))
    return ((x.double() - mean) * invstd * weight + bias).to(x.dtype)


def batch_norm_backward_reduce(grad, x, mean, invstd, weight, *wanted):
    of_bias = over_rows(grad)
    of_x = over_rows(grad.double() * (x.double() - on_gpu(x, mean)))
    sums = (of_bias.to(mean.dtype), of_x.to(mean.dtype))
    made = (*sums, (of_x * invstd).to(mean.dtype), sums[0])
    flags = (wanted[0], wanted[0], *wanted[1:])
    return tuple(each if flag else None for each, flag in zip(made, flags, strict=True))


def batch_norm_backward_elemt(grad, x, mean, invstd, weight, sum_dy, sum_dy_xmu, count):
    assert count.dtype == torch.int32
    mean, invstd, weight, sum_dy, of_x = (
        on_gpu(x, each) for each in (mean, invstd, weight, sum_dy, sum_dy_xmu)
    )
    number = count.sum().double()
    centred = grad.double() - sum_dy / number
    found = (centred - (x.double() - mean) * invstd.square() * of_x / number) * invstd * weight
    return found.to(grad.dtype)


def by_the_rule_of_cuda(
    grad, x, weight, mean, variance, saved_mean, saved_invstd, train, eps, mask
):
    """``native_batch_norm_backward`` outside training, from what was saved."""
    assert not train
    centred = x.double() - on_gpu(x, saved_mean)
    of_weight = over_rows(grad.double() * centred * on_gpu(x, saved_invstd)).to(weight.dtype)
    direct = grad.double() * on_gpu(x, weight) * on_gpu(x, saved_invstd)
    made = (direct.to(grad.dtype), of_weight, over_rows(grad).to(weight.dtype))
    return tuple(each if wanted else None for each, wanted in zip(made, mask, strict=True))


KERNELS = ("host", "host_by_the_rule_of_cuda", "cuda")


@pytest.fixture
def kernels(monkeypatch):
    def choose(name):
        if name == "cuda":
            monkeypatch.setattr(synced_norm, "_on_gpu", lambda x: True)
            for each in (
                batch_norm_stats,
                batch_norm_elemt,
                batch_norm_backward_reduce,
                batch_norm_backward_elemt,
            ):
                monkeypatch.setattr(torch, each.__name__, each)
        elif name == "host_by_the_rule_of_cuda":
            target = torch.ops.aten
            monkeypatch.setattr(target, "native_batch_norm_backward", by_the_rule_of_cuda)

    return choose


def one_layer(norm, x):
    """Output, gradients of rows, weight and bias, and buffers, of two steps."""
    for _ in range(2):
        rows = x.detach().clone(memory_format=torch.preserve_format).requires_grad_()
        norm.zero_grad()
        out = norm(rows)
        (out * rows.detach().sin()).sum().backward()
    buffers = [each.clone() for each in norm.buffers()]
    return [out.detach(), rows.grad, *(param.grad for param in norm.parameters()), *buffers]


@pytest.mark.parametrize("affine", [True, False], ids=["affine", "plain"])
@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_one_rank_alone_is_torchs_own_layer(layout, name, affine, kernels):
    draw = torch.Generator().manual_seed(2)
    whole = torch.randn(8, 3, 4, 5, generator=draw, dtype=torch.float64) * 3 + 5
    x = LAYOUTS[layout](whole)
    make = {2: nn.BatchNorm1d, 3: nn.BatchNorm1d, 4: nn.BatchNorm2d, 5: nn.BatchNorm3d}[x.ndim]
    norms = [make(3, affine=affine).double() for _ in range(2)]
    if affine:
        for norm in norms:
            norm.weight.data = torch.tensor([2.0, -0.5, 1.5], dtype=torch.float64)
            norm.bias.data = torch.tensor([0.3, 0.0, -1.0], dtype=torch.float64)
    expected = one_layer(norms[0], x)
    kernels(name)
    found = one_layer(SyncedBatchNorm(norms[1], ALONE), x)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("name", KERNELS)
def test_values_far_from_zero_and_nearly_constant(name, kernels):
    """In float32: the variance is not the small difference of great numbers."""
    draw = torch.Generator().manual_seed(3)
    x = 10 + 0.1 * torch.randn(64, 3, 4, 4, generator=draw)
    expected = one_layer(nn.BatchNorm2d(3).double(), x.double())
    kernels(name)
    found = one_layer(SyncedBatchNorm(nn.BatchNorm2d(3), ALONE), x)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one.to(other.dtype), other, rtol=1e-2, atol=1e-3)


def test_no_statistics_make_a_whole_output(monkeypatch):
    """The mean and variance of rows are taken without normalising them by the way."""
    calls = []
    real = torch.native_batch_norm
    monkeypatch.setattr(torch, "native_batch_norm", lambda *a: calls.append(a[5]) or real(*a))
    norm = SyncedBatchNorm(nn.BatchNorm2d(3), ALONE)
    norm(torch.randn(4, 3, 2, 2))
    assert calls == [False]
