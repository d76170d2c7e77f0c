"""The networks of a run: how they follow, freeze, and come back."""

import pytest
import torch

from contsemi.learner.networks import Networks
from contsemi.models.network import Network
from contsemi.models.resnet_slim import build
from contsemi.types import Needs, Teacher


def draw(seed=0):
    return torch.Generator().manual_seed(seed)


def network():
    return Network(build(width=4, blocks=[1], stem_stride=1), ("classifier",), [4], draw())


def made(keep=2, **needs):
    return Networks(network(), Needs(**needs), keep)


def moved(networks, seed):
    """The student somewhere else, statistics too."""
    for value in networks.student.state_dict().values():
        if value.is_floating_point():
            value.copy_(torch.randn(value.shape, generator=draw(seed)))


def same(one, other):
    ours, theirs = one.state_dict(), other.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[k], theirs[k]) for k in ours)


@pytest.mark.parametrize("buffers", ["own", "copied", "averaged"])
def test_the_statistics_of_the_teacher_are_its_own_or_the_student_s(buffers):
    networks = made(teacher=Teacher((0.9, 0.5), buffers))
    networks.grow(2, draw(1))
    before = {name: value.clone() for name, value in networks.teacher.network.named_buffers()}
    weights = networks.teacher.network.classifier.weight.clone()
    moved(networks, 3)
    networks.follow(0, 5)
    student = dict(networks.student.named_buffers())
    for name, value in networks.teacher.network.named_buffers():
        if buffers == "averaged" and value.is_floating_point():
            torch.testing.assert_close(value, 0.9 * before[name] + 0.1 * student[name])
        else:
            assert torch.equal(value, student[name] if buffers == "copied" else before[name])
    expected = 0.9 * weights + 0.1 * networks.student.classifier.weight
    torch.testing.assert_close(networks.teacher.network.classifier.weight, expected)


@pytest.mark.parametrize("keep", [0, 1, 2])
def test_the_newest_networks_are_kept_and_restored(keep):
    networks, frozen = made(keep), []
    for task in range(4):
        networks.grow(2 * (task + 1), draw(task))
        moved(networks, 10 + task)
        frozen.insert(0, {k: v.clone() for k, v in networks.student.state_dict().items()})
        networks.freeze()
    assert len(networks.pasts) == keep
    again = made(keep)
    again.restore_pasts(networks.state(), newest=8)
    again.grow(8, draw(9))
    again.restore(networks.state())
    assert same(again.student, networks.student)
    for ours, theirs, weights in zip(again.pasts, networks.pasts, frozen, strict=False):
        assert same(ours, theirs) and ours.num_classes == theirs.num_classes
        assert torch.equal(ours.classifier.weight, weights["classifier.weight"])


def test_who_predicts():
    networks = made(teacher=Teacher((0.9, 0.9)))
    assert networks.predicting is networks.student
    networks.grow(2, draw())
    assert networks.predicting is networks.teacher.network is networks.by_name("predicting")
    assert networks.by_name("student") is networks.student
    with pytest.raises(ValueError, match="no network 'past'"):
        networks.by_name("past")
