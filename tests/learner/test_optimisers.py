"""Optimisers from the configuration, and their state through growing heads."""

from pathlib import Path

import pytest
import torch
import yaml
from torch import Tensor, nn

from contsemi.config import Optim
from contsemi.errors import InputError
from contsemi.learner import optimisers
from contsemi.models.network import Network
from contsemi.models.pixels import build as pixels
from contsemi.models.resnet18 import build as resnet18

CONF = sorted((Path(__file__).parents[2] / "conf" / "optim").glob("*.yaml"))
NAMES = ("sgd", "lars", "adamw")


def optim(name: str, **changes: object) -> Optim:
    values: dict[str, object] = {
        "name": name,
        "epochs": 1,
        "lr": 0.1,
        "start_lr": 0.0,
        "final_lr": 0.0,
        "warmup": 0.0,
        "curve": "half",
        "classifier_lr": None,
        "momentum": 0.9,
        "nesterov": False,
        "weight_decay": 0.01,
        "final_weight_decay": None,
        "adapt_vectors": False,
        "adapt_shortcut_norms": False,
        "clip": 0.0,
        "clip_by": "all",
        "max_loss": 1e6,
        "freeze_batch_norm": False,
        "freeze_directions": 0,
    }
    return Optim.model_validate(values | changes)


def step(
    optimizer: torch.optim.Optimizer, rate: float, clip: float = 0.0, **changes: object
) -> None:
    """One step at a rate that the schedule leaves alone."""
    given = optim("sgd", lr=rate, final_lr=rate, clip=clip, **changes)
    optimisers.step(optimizer, given, done=0, total=1)


def draw(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def network(classes: int) -> Network:
    made = Network(pixels(size=2), ("prototypes", "classifier"), [6, 4], draw())
    made.grow(classes, draw(1))
    return made


def train(
    made: Network, optimizer: torch.optim.Optimizer, steps: int, columns: int, clip: float = 0.0
) -> None:
    noise = draw(2)
    for _ in range(steps):
        images = torch.randn(5, 3, 2, 2, generator=noise)
        outputs = made(images, ("prototypes", "classifier"))
        loss = sum(outputs[head][:, :columns].square().sum() for head in outputs.heads)
        optimizer.zero_grad()
        loss.backward()
        step(optimizer, 0.1, clip)


@pytest.mark.parametrize("path", CONF, ids=lambda path: path.stem)
def test_configurations_are_valid(path: Path) -> None:
    values = Optim.model_validate(yaml.safe_load(path.read_text()))
    assert len(optimisers.make(values, [network(2)]).param_groups) == 2


@pytest.mark.parametrize("name", NAMES)
def test_biases_and_norms_are_not_decayed(name: str) -> None:
    made = network(3)
    groups = optimisers.make(optim(name), [made]).param_groups
    assert [group["weight_decay"] for group in groups] == [0.01, 0.0]
    assert all(p.ndim > 1 for p in groups[0]["params"])
    assert all(p.ndim == 1 for p in groups[1]["params"])
    assert sum(len(group["params"]) for group in groups) == len(list(made.parameters()))
    if name == "lars":
        assert [group["adapt"] for group in groups] == [True, False]


def test_all_modules_count_once_and_frozen_parameters_not() -> None:
    made, extra = network(2), nn.Linear(3, 3)
    extra.bias.requires_grad_(False)
    groups = optimisers.make(optim("sgd"), [made, nn.Module(), extra, made]).param_groups
    named = [name for group in groups for name in group["param_names"]]
    assert len(named) == len(set(named)) == len(list(made.parameters())) + 1
    assert "2.weight" in named and "2.bias" not in named


def test_nothing_to_train_is_an_input_error() -> None:
    with pytest.raises(InputError, match="no parameter"):
        optimisers.make(optim("sgd"), [nn.Identity()])


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_equals_torch(name: str) -> None:
    made, other = network(3), network(3)
    optimizer = optimisers.make(optim(name, weight_decay=0.0), [made])
    if name == "sgd":
        plain: torch.optim.Optimizer = torch.optim.SGD(other.parameters(), 0.1, momentum=0.9)
    else:
        plain = torch.optim.AdamW(other.parameters(), 0.1, weight_decay=0.0)
    noise = draw(4)
    for _ in range(3):
        for mine, theirs in zip(made.parameters(), other.parameters(), strict=True):
            mine.grad = torch.randn(mine.shape, generator=noise)
            theirs.grad = mine.grad.clone()
        step(optimizer, 0.1)
        plain.step()
    for mine, theirs in zip(made.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs)


def test_rate_is_that_of_the_step() -> None:
    made = network(2)
    before = made.classifier.weight.detach().clone()
    optimizer = optimisers.make(optim("sgd", momentum=0.0, weight_decay=0.0), [made])
    made.classifier.weight.grad = torch.ones_like(made.classifier.weight)
    step(optimizer, 0.25)
    torch.testing.assert_close(made.classifier.weight.detach(), before - 0.25)


def test_clipping_bounds_the_norm_of_all_gradients() -> None:
    made = network(2)
    optimizer = optimisers.make(optim("sgd", momentum=0.0, weight_decay=0.0), [made])
    before = [p.detach().clone() for p in made.parameters()]
    for param in made.parameters():
        param.grad = torch.full_like(param, 100.0)
    step(optimizer, 1.0, clip=0.5)
    moved = [(p - b).square().sum() for p, b in zip(made.parameters(), before, strict=True)]
    torch.testing.assert_close(
        torch.stack(moved).sum().sqrt(), torch.tensor(0.5), rtol=1e-4, atol=0
    )


def snapshot(optimizer: torch.optim.Optimizer) -> dict[str, dict[str, Tensor]]:
    return {
        name: {key: value.clone() for key, value in tensors.items()}
        for name, tensors in optimisers.state(optimizer).items()
    }


@pytest.mark.parametrize("name", NAMES)
def test_state_goes_with_growing_heads(name: str) -> None:
    made = network(2)
    old = optimisers.make(optim(name), [made])
    train(made, old, 3, 2)
    before = snapshot(old)
    made.grow(5, draw(3))
    new = optimisers.make(optim(name), [made])
    optimisers.restore(new, optimisers.state(old))
    after = optimisers.state(new)
    assert after.keys() == before.keys()
    for key, tensors in before.items():
        for kind, value in tensors.items():
            found = after[key][kind]
            if found.shape == value.shape:
                assert torch.equal(found, value)
            else:
                assert len(found) == 5 and torch.equal(found[:2], value)
                assert (found[2:] == 0).all()
    train(made, new, 1, 5)


@pytest.mark.parametrize("name", NAMES)
def test_restored_state_goes_on_bit_equal(name: str) -> None:
    made = network(3)
    optimizer = optimisers.make(optim(name), [made])
    train(made, optimizer, 2, 3)
    weights = {key: value.clone() for key, value in made.state_dict().items()}
    saved = snapshot(optimizer)
    train(made, optimizer, 2, 3)

    other = network(3)
    other.load_state_dict(weights)
    resumed = optimisers.make(optim(name), [other])
    optimisers.restore(resumed, saved)
    train(other, resumed, 2, 3)
    for mine, theirs in zip(made.parameters(), other.parameters(), strict=True):
        assert torch.equal(mine, theirs)


def test_state_keeps_the_memory_format_of_the_parameter() -> None:
    conv = nn.Conv2d(4, 4, 3).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = optimisers.make(optim("sgd"), [conv])
    momentum = torch.randn(4, 4, 3, 3)
    optimisers.restore(optimizer, {"0.weight": {"momentum_buffer": momentum}})
    found = optimisers.state(optimizer)["0.weight"]["momentum_buffer"]
    assert torch.equal(found, momentum)
    assert found.is_contiguous(memory_format=torch.channels_last)


def test_each_tensor_is_clipped_alone() -> None:
    small, large = (torch.nn.Parameter(torch.zeros(2)) for _ in range(2))
    small.grad, large.grad = torch.tensor([0.3, 0.4]), torch.tensor([30.0, 40.0])
    optimizer = torch.optim.SGD([small, large], lr=1.0)
    step(optimizer, 1.0, clip=1.0, clip_by="tensor")
    torch.testing.assert_close(small.detach(), torch.tensor([-0.3, -0.4]))
    torch.testing.assert_close(large.detach(), torch.tensor([-0.6, -0.8]))


def test_the_classifier_has_a_rate_of_its_own_and_no_decay() -> None:
    given = optim("sgd", lr=0.4, final_lr=0.4, classifier_lr=0.1, final_weight_decay=0.03)
    made = network(3)
    optimizer = optimisers.make(given, [made])
    for param in made.parameters():
        param.grad = torch.zeros_like(param)
    optimisers.step(optimizer, given, done=5, total=10)
    by_name = {
        name: (group["lr"], group["weight_decay"])
        for group in optimizer.param_groups
        for name in group["param_names"]
    }
    assert by_name["0.classifier.weight"] == by_name["0.classifier.bias"] == (0.1, 0.0)
    assert by_name["0.prototypes.weight"] == (0.4, pytest.approx(0.02))
    assert by_name["0.projector.0.bias"] == (0.4, 0.0)


def test_vectors_are_adapted_where_the_configuration_says_so() -> None:
    optimizer = optimisers.make(optim("lars", adapt_vectors=True), [network(2)])
    assert len(optimizer.param_groups) == 1 and optimizer.param_groups[0]["adapt"]


@pytest.mark.parametrize("adapt", [True, False])
def test_norms_of_shortcuts_are_adapted_where_the_configuration_says_so(adapt: bool) -> None:
    """The 1 x 1 convolutions of a ResNet-18 with their BatchNorm: three stages change the shape."""
    made = resnet18(width=4, stem="cifar", padding=1)
    groups = optimisers.make(optim("lars", adapt_shortcut_norms=adapt), [made]).param_groups
    adapted = {
        name
        for group in groups
        for name, param in zip(group["param_names"], group["params"], strict=True)
        if group["adapt"] and param.ndim == 1
    }
    scales = {f"0.stages.{block}.shortcut.1.weight" for block in (2, 4, 6)}
    assert adapted == (scales if adapt else set())
    assert all(group["weight_decay"] == 0.0 for group in groups if not group["adapt"])


@pytest.mark.parametrize("name", NAMES)
def test_a_parameter_may_get_its_first_gradient_after_the_others(name: str) -> None:
    early, late = nn.Linear(2, 1, bias=False), nn.Linear(2, 1, bias=False)
    optimizer = optimisers.make(optim(name), [early, late])
    early(torch.ones(1, 2)).sum().backward()
    step(optimizer, 0.1)
    before = late.weight.detach().clone()
    (early(torch.ones(1, 2)) + late(torch.ones(1, 2))).sum().backward()
    step(optimizer, 0.1)
    assert not torch.equal(late.weight, before)
    restored = optimisers.make(optim(name), [early, late])
    optimisers.restore(restored, {})
    step(restored, 0.1)


@pytest.mark.parametrize("nesterov", [False, True])
def test_momentum_looks_ahead_or_not(nesterov: bool) -> None:
    """Sutskever et al. 2013 in its usual form: the gradient and the new velocity after it."""
    layer = nn.Linear(3, 2, bias=False).double()
    weight = layer.weight.detach().clone()
    made = optimisers.make(optim("sgd", nesterov=nesterov, weight_decay=0.0), [layer])
    velocity = torch.zeros_like(weight)
    for i in range(3):
        grad = torch.randn(2, 3, generator=draw(i)).double()
        layer.weight.grad = grad.clone()
        step(made, 0.1)
        velocity = 0.9 * velocity + grad
        weight -= 0.1 * (grad + 0.9 * velocity if nesterov else velocity)
        torch.testing.assert_close(layer.weight.detach(), weight)


def test_the_backbone_may_have_a_smaller_rate_along_the_same_curve() -> None:
    made = network(3)
    given = optim("sgd", lr=0.4, final_lr=0.4, backbone_lr=0.1, momentum=0.0, weight_decay=0.0)
    with_backbone = nn.ModuleDict({"backbone": nn.Linear(2, 2), "classifier": nn.Linear(2, 2)})
    before = {name: p.detach().clone() for name, p in with_backbone.named_parameters()}
    optimizer = optimisers.make(given, [with_backbone, made])
    for p in with_backbone.parameters():
        p.grad = torch.ones_like(p)
    optimisers.step(optimizer, given, done=0, total=1)
    for name, p in with_backbone.named_parameters():
        rate = 0.1 if name.startswith("backbone") else 0.4
        torch.testing.assert_close(before[name] - p.detach(), torch.full_like(p, rate))
