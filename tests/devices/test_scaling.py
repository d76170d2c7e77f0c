"""float16 and its factor: small gradients survive, too large ones leave a step out."""

import pytest
import torch
from torch import nn

from contsemi.devices.precision import autocast
from contsemi.devices.scaling import Scaling
from contsemi.learner.learner import Learner

CPU = torch.device("cpu")


def step(scaling, layer, optimiser, factor):
    optimiser.zero_grad()
    with autocast(CPU, torch.float16):
        found = layer(torch.ones(2, 3)).float()
    scaling.backward((found * factor).sum())
    scaling.unscale(optimiser)
    grad = layer.weight.grad.clone()
    scaling.step(optimiser)
    return grad


def made(precision):
    layer = nn.Linear(3, 1, bias=False)
    return Scaling(CPU, precision), layer, torch.optim.SGD(layer.parameters(), lr=1.0)


def test_gradients_that_float16_cannot_hold_survive():
    """1e-8 is zero in float16; times 65536 it is not."""
    for precision in (torch.float16, torch.bfloat16):
        scaling, layer, optimiser = made(precision)
        grad = step(scaling, layer, optimiser, 1e-8)
        expected = 2e-8 if precision == torch.float16 else 0.0
        assert grad.flatten().tolist() == pytest.approx([expected] * 3, rel=1e-2, abs=1e-12)


def test_a_step_with_infinite_gradients_is_left_out_and_the_factor_halved():
    scaling, layer, optimiser = made(torch.float16)
    before, factor = layer.weight.clone(), scaling.state()["scale"]
    step(scaling, layer, optimiser, 1e4)
    assert torch.equal(layer.weight, before)
    assert scaling.state()["scale"] == factor / 2
    step(scaling, layer, optimiser, 1e-3)
    assert not torch.equal(layer.weight, before)


def test_the_factor_is_saved():
    scaling, layer, optimiser = made(torch.float16)
    step(scaling, layer, optimiser, 1e4)
    again = Scaling(CPU, torch.float16)
    again.load(scaling.state())
    assert again.state() == scaling.state()
    assert Scaling(CPU, torch.float32).state() == {}
    again.load({})  # of a run that had none
    assert again.state() == scaling.state()


def test_a_step_without_gradients_is_one():
    scaling, _, optimiser = made(torch.float16)
    scaling.unscale(optimiser)
    scaling.step(optimiser)


@pytest.mark.thorough
def test_a_learner_in_float16_learns_nearly_as_in_float32(small, stream_of):
    found = []
    for precision in ("fp32", "fp16"):
        config = small(f"precision={precision}", "optim.clip=1")
        stream, _ = stream_of(config)
        learner = Learner(config)
        learner.begin(stream.experiences[0], stream.images)
        losses = []
        for place in range(3):
            loss, _ = learner.loss(learner.forward(learner.batch(0, place)))
            learner.backward(loss)
            learner.update()
            losses.append(loss.item())
        found.append(losses)
        assert bool(learner.state()["scaling"]) == (precision == "fp16")
    assert found[1] == pytest.approx(found[0], rel=0.02)
