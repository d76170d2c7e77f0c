import copy

import pytest
import torch

from contsemi import compose
from contsemi.models.heads import Classifier
from contsemi.seeding import generator
from contsemi.strategies.baselines.model import Features, ImagesByRow, Logits
from contsemi.strategies.scores import UNSEEN
from contsemi.views import Augment


@pytest.fixture
def pixels():
    images = torch.randint(0, 256, (30, 3, 8, 8), generator=generator(0), dtype=torch.uint8)
    return ImagesByRow(images, compose.load(["device=cpu"]), torch.device("cpu"), torch.float32)


class Flat(torch.nn.Module):
    def forward(self, images):
        return images.flatten(1)


def test_the_views_of_a_step_are_those_of_the_learner(pixels):
    config = compose.load(["device=cpu"])
    rows = torch.tensor([3, 1, 4, 1])
    pixels.at(2, 7)
    draw = generator(config.seed, "views", 2, 7)
    expected = Augment(config.views).view("labelled", pixels.images.take(rows), 1, draw)
    assert torch.equal(pixels.views(rows), expected)


def test_one_batch_has_one_set_of_views_in_a_step_and_another_in_the_next(pixels):
    rows = torch.arange(8)
    student = Features(Flat(), pixels)
    teacher = copy.deepcopy(student)
    assert teacher.pixels is pixels
    first = student(rows)
    assert torch.equal(first, teacher(rows))
    assert not torch.equal(first, student(rows.clone()))
    pixels.at(0, 1)
    assert not torch.equal(first, student(rows))
    assert len(pixels.drawn) == 1


def test_nothing_is_random_in_evaluation(pixels):
    rows = torch.arange(8)
    features = Features(Flat(), pixels).eval()
    expected = Augment(compose.load([]).views).test(pixels.images.take(rows)).flatten(1)
    assert torch.equal(features(rows), expected)
    assert not pixels.drawn


@pytest.mark.parametrize("frozen", [True, False])
def test_the_statistics_of_a_frozen_backbone_stay_in_every_copy(pixels, frozen):
    backbone = torch.nn.Sequential(torch.nn.BatchNorm2d(3), torch.nn.Flatten())
    backbone.frozen = frozen
    student = Features(backbone, pixels)
    for network in (student, copy.deepcopy(student)):
        before = network.backbone[0].running_mean.clone()
        torch.nn.Sequential(network).train()
        network(torch.arange(8))
        assert torch.equal(network.backbone[0].running_mean, before) == frozen


@pytest.mark.parametrize("masked", [True, False])
def test_unseen_columns_neither_count_nor_learn(pixels, masked):
    classifier = Classifier(5)
    classifier.grow(4, generator(0))
    pixels.num_seen = 2
    logits = Logits(classifier, pixels, masked=masked)
    features = torch.randn(6, 5, generator=generator(1))
    out = logits(features)
    plain = classifier(features)
    assert torch.equal(out[:, :2], plain[:, :2])
    torch.nn.functional.cross_entropy(out, torch.tensor([0, 1, 0, 1, 0, 1])).backward()
    if masked:
        assert (out[:, 2:] == UNSEEN).all()
        expected = torch.nn.functional.cross_entropy(plain[:, :2], torch.tensor([0, 1, 0, 1, 0, 1]))
        (grad,) = torch.autograd.grad(expected, classifier.weight)
        assert (classifier.weight.grad[2:] == 0).all()
        torch.testing.assert_close(classifier.weight.grad, grad)
    else:
        assert torch.equal(out, plain)
        assert (classifier.weight.grad[2:] != 0).any()
