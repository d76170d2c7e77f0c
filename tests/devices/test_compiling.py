"""The compiled backbone against the plain one: outputs, gradients, graphs, and real steps."""

import copy
import shutil

import pytest
import torch
from torch._dynamo.utils import counters

from contsemi.devices import compiling
from contsemi.devices.ranks import Ranks
from contsemi.errors import InputError
from contsemi.learner.learner import Learner
from contsemi.learner.loop import Hooks, fit
from contsemi.models.ema import Ema, frozen_copy
from contsemi.models.network import freeze_batch_norm

CPU = torch.device("cpu")
# Adam would make full steps of what is rounding in gradients that are zero.
GENTLY = ("optim.epochs=1", "optim.name=sgd", "optim.lr=0.01")


@pytest.fixture
def network(small):
    return Learner(small("method=nncsl")).network


@pytest.fixture
def captured(monkeypatch):
    """Modes capture their graphs, and torch's own kernels run them."""
    real, asked = torch.compile, []

    def compile_(function, *, mode):
        asked.append(mode)
        return real(function, backend="eager")

    monkeypatch.setattr(torch, "compile", compile_)
    torch._dynamo.reset()
    counters.clear()
    yield asked
    torch._dynamo.reset()
    counters.clear()


def views(rows, side):
    draw = torch.Generator().manual_seed(rows)
    return torch.randn(rows, 3, side, side, generator=draw).to(memory_format=torch.channels_last)


def test_none_is_the_network_itself(network):
    assert compiling.compiler("none", CPU)(network) is network


@pytest.mark.parametrize("mode", ["default", "reduce-overhead", "max-autotune"])
@pytest.mark.quick(1)
def test_outputs_and_gradients_are_those_of_the_network(mode, network, captured):
    plain, run = copy.deepcopy(network), compiling.compiler(mode, CPU)(network)
    assert captured == [mode]
    expected, found = (each(views(6, 16), ("projector",)) for each in (plain, run))
    assert counters["stats"]["unique_graphs"] == 1
    assert found["projector"].equal(expected["projector"])
    for outputs in (expected, found):
        outputs["projector"].square().mean().backward()
    pairs = zip(plain.parameters(), network.parameters(), strict=True)
    assert all(a.grad.equal(b.grad) for a, b in pairs if a.grad is not None)
    assert any(param.grad is not None for param in network.backbone.parameters())
    assert all(a.equal(b) for a, b in zip(plain.buffers(), network.buffers(), strict=True))


@pytest.mark.thorough
def test_later_tasks_with_more_rows_and_copies_compile_nothing(network, captured):
    """Two sides, of: network, EMA copy, past, and from the second task on frozen BatchNorm."""
    compiled, graphs = compiling.compiler("default", CPU), []
    for task in range(4):
        if task == 1:
            freeze_batch_norm(network)
        past, teacher = frozen_copy(network), Ema(network, 0.9).network
        for side in (16, 8):
            images = views(20 + 7 * task, side)
            compiled(network)(images, ("projector",)).features.sum().backward()
            with torch.no_grad():
                assert compiled(past)(images, ()).features.equal(past(images, ()).features)
                compiled(teacher)(images, ())
        graphs.append(counters["stats"]["unique_graphs"])
    assert graphs == [6, 8, 8, 8]
    assert not counters["graph_break"]


def test_evaluation_and_pieces_run_as_they_always_do(small, stream_of, captured):
    config = small("compile=default", "optim.epochs=1")
    stream, test = stream_of(config)
    learner = Learner(config)
    learner.pieces = 2
    fit(learner, stream.experiences[0], stream.images)
    learner.predict(test.images[:20])
    assert "unique_graphs" not in counters["stats"]


@pytest.mark.parametrize(
    ("device", "variable", "names"),
    [("cpu", "CXX", "g++"), ("cuda", "CC", "gcc or clang")],
)
def test_a_missing_compiler_is_named(device, variable, names, monkeypatch):
    monkeypatch.setattr(compiling.sys, "platform", "linux")
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.delenv(variable, raising=False)
    with pytest.raises(InputError) as caught:
        compiling.compiler("default", torch.device(device))
    problem = f"compile: default needs a compiler, and {names} is not here"
    assert str(caught.value).startswith(f"{problem}; install it, set {variable}, or use")
    monkeypatch.setenv(variable, "my-own")
    with pytest.raises(InputError, match="and my-own is not here"):
        compiling.compiler("default", torch.device(device))


def test_several_processes_are_refused():
    with pytest.raises(InputError, match="compile: default is for one process, and 2 train; use"):
        compiling.compiler("default", CPU, Ranks(size=2))


class Losses(Hooks):
    def __init__(self, steps):
        self.values, self.steps = [], steps

    def after_training_iteration(self, loop):
        self.values.append(loop.loss.detach().cpu())
        loop.stop = loop.learner.step_in_task >= self.steps


def losses(config, stream, test):
    """Of the first steps of two tasks, and the scores afterwards."""
    learner, hooks = Learner(config), Losses(4)
    for experience in stream.experiences[:2]:
        fit(learner, experience, stream.images, hooks)
    return torch.stack(hooks.values), learner.predict(test.images[:50]).cpu()


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler here")
def test_steps_on_real_images_are_those_without(small, stream_of):
    words = ("method=nncsl", "precision=fp32", *GENTLY)
    config = small(*words)
    stream, test = stream_of(config)
    expected = losses(config, stream, test)
    found = losses(small(*words, "compile=default"), stream, test)
    for ours, plain in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, plain, rtol=0, atol=0.02)  # some ReLUs change their side


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler here")
def test_compiled_gradients_are_those_of_double_precision(network):
    draw = torch.Generator().manual_seed(0)
    weights = torch.randn(48, network.num_features, generator=draw)
    exact = copy.deepcopy(network).double()
    (exact(views(48, 16).double(), ()).features * weights).sum().backward()
    run = compiling.compiler("default", CPU)(network)
    (run(views(48, 16), ()).features * weights).sum().backward()
    pairs = zip(exact.backbone.parameters(), network.backbone.parameters(), strict=True)
    for expected, found in pairs:
        gap = (expected.grad - found.grad).norm() / expected.grad.norm()
        assert gap < 1e-5


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
@pytest.mark.parametrize("mode", ["default", "reduce-overhead"])
@pytest.mark.parametrize("method", ["nncsl", "dino"])
def test_steps_on_a_gpu_are_those_without(method, mode, small, stream_of):
    words = (f"method={method}", "device=cuda", "precision=fp32", *GENTLY)
    config = small(*words)
    stream, test = stream_of(config)
    expected = losses(config, stream, test)
    found = losses(small(*words, f"compile={mode}"), stream, test)
    for ours, plain in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, plain, rtol=0.02, atol=0.05)
