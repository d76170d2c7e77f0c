"""The pretended GPU itself."""

import copy

import pytest
import torch
from torch import nn

CUDA = torch.device("cuda:0")


def test_tensors_of_both_sides_do_not_mix(gpu):
    there, here = torch.ones(3, device=CUDA), torch.ones(3)
    assert there.device == CUDA and there.is_cuda
    with pytest.raises(RuntimeError, match="same device"):
        there + here
    with pytest.raises(RuntimeError, match="same device"):
        torch.where(there > 0, there, here)
    with pytest.raises(TypeError, match="numpy"):
        there.numpy()
    assert (there + 1 + torch.tensor(2.0)).tolist() == [4, 4, 4]  # a single number may


def test_waits_are_counted_where_they_are(gpu):
    there = torch.arange(4.0, device=CUDA)
    assert not gpu.waits
    for wait in (
        lambda: there.sum().item(),
        lambda: there.cpu(),
        lambda: there.nonzero(),
        lambda: there[there > 1],
        lambda: bool((there > 1).all()),
        lambda: torch.empty(4).copy_(there),
        lambda: there.unique(),
    ):
        gpu.waits.clear()
        wait()
        assert gpu.waits.total() == 1
    gpu.waits.clear()
    there.add_(1)[[0, 2]].mul(2).to(CUDA, torch.float64)
    there[torch.tensor([0, 1])] = torch.zeros(2).to(CUDA)
    assert not gpu.waits


def test_what_comes_home_is_a_copy(gpu):
    there = torch.zeros(3, device=CUDA)
    home = there.cpu()
    there += 1
    assert home.tolist() == [0, 0, 0]
    assert there.to(CUDA) is there


def test_a_copy_home_has_to_be_waited_for(gpu):
    there = torch.zeros(3, device=CUDA)
    for late in (
        lambda: there.to("cpu", non_blocking=True),
        lambda: torch.empty(3).copy_(there, non_blocking=True),
    ):
        with pytest.raises(AssertionError, match="read at home"):
            late()
    assert torch.zeros(3).to(CUDA, non_blocking=True).is_cuda


def test_views_and_gradients(gpu):
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten())
    images = torch.randn(2, 3, 5, 5)
    twin = copy.deepcopy(net).to(CUDA).to(memory_format=torch.channels_last)
    again = copy.deepcopy(twin)
    for each, x in ((net, images), (twin, images.to(CUDA)), (again, images.to(CUDA))):
        optimiser = torch.optim.SGD(each.parameters(), lr=0.1, momentum=0.9, foreach=True)
        for _ in range(2):
            optimiser.zero_grad()
            each(x).square().mean().backward()
            optimiser.step()
    for name, value in net.state_dict().items():
        for other in (twin, again):
            torch.testing.assert_close(other.state_dict()[name].cpu(), value)
    row = torch.zeros(2, 3, device=CUDA)
    row[1].fill_(5)
    row.view(-1)[0] = 7
    assert row.tolist() == [[7, 0, 0], [5, 5, 5]]
