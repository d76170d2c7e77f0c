"""Synchronised BatchNorm against torch's own over all rows."""

import pytest
import torch
from torch import nn

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
