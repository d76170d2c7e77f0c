"""The slow copy: what is averaged, what is not, and how it grows."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from contsemi.learner.networks import Networks
from contsemi.models.ema import Ema, frozen_copy
from contsemi.models.heads import USUAL
from contsemi.models.network import Network
from contsemi.models.pixels import build as pixels
from contsemi.types import Needs, Teacher


def draw(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


HEADS = tuple(name for name in USUAL if name != "clusters")  # which are declared


def network(heads: tuple[str, ...] = HEADS, classes: int = 3) -> Network:
    made = Network(pixels(size=2), heads, [8, 4], draw())
    made.grow(classes, draw(1))
    return made


def images(seed: int = 2) -> Tensor:
    return 3 + torch.randn(6, 3, 2, 2, generator=draw(seed))


def shift(made: Network, seed: int) -> None:
    noise = draw(seed)
    with torch.no_grad():
        for param in made.parameters():
            param.add_(torch.randn(param.shape, generator=noise))


def test_parameters_follow_the_moving_average() -> None:
    made = network(("projector", "classifier"))
    ema = Ema(made, 0.9)
    expected = [p.detach().double().numpy() for p in made.parameters()]
    for seed in range(3):
        shift(made, seed)
        ema.update(made)
        followed = [p.detach().double().numpy() for p in made.parameters()]
        expected = [0.9 * a + 0.1 * b for a, b in zip(expected, followed, strict=True)]
    for found, value in zip(ema.network.parameters(), expected, strict=True):
        np.testing.assert_allclose(found, value, rtol=1e-5, atol=1e-6)


def test_prototypes_stay_on_the_sphere() -> None:
    made = network()
    ema = Ema(made, 0.5)
    shift(made, 0)
    made.after_step()
    before, followed = ema.network.prototypes.weight.clone(), made.prototypes.weight.detach()
    ema.update(made)
    mean = torch.nn.functional.normalize(0.5 * before + 0.5 * followed, dim=1)
    torch.testing.assert_close(ema.network.prototypes.weight.detach(), mean)


def test_momentum_one_stands_still_and_zero_copies() -> None:
    made = network(("classifier",))
    still, copied = Ema(made, 1.0), Ema(made, 0.0)
    before = made.classifier.weight.detach().clone()
    shift(made, 0)
    still.update(made)
    copied.update(made)
    assert torch.equal(still.network.classifier.weight, before)
    torch.testing.assert_close(copied.network.classifier.weight, made.classifier.weight.detach())


def test_running_statistics_are_the_copys_own() -> None:
    made = network()
    made(images(), HEADS)
    ema = Ema(made, 0.9)
    start = {k: v.clone() for k, v in ema.network.named_buffers()}
    for name, value in made.named_buffers():
        assert torch.equal(start[name], value)
    made(images(3), HEADS)
    ema.update(made)
    for name, value in ema.network.named_buffers():
        assert torch.equal(value, start[name])
    ema(images(3), HEADS)
    moved = [n for n, v in ema.network.named_buffers() if not torch.equal(v, start[n])]
    assert len(moved) == len(start) > 0


def test_takes_no_gradient() -> None:
    ema = Ema(network(), 0.9)
    assert not any(p.requires_grad for p in ema.network.parameters())
    assert not ema(images(), HEADS)["prototypes"].requires_grad


def test_growth_takes_new_rows_from_the_network_and_keeps_old_ones() -> None:
    made = network(classes=2)
    ema = Ema(made, 0.9)
    shift(made, 0)
    old = [p.clone() for p in ema.network.class_parameters()]
    made.grow(5, draw(4))
    ema.grow(made)
    assert ema.network.num_classes == 5
    for found, kept, live in zip(
        ema.network.class_parameters(), old, made.class_parameters(), strict=True
    ):
        assert torch.equal(found[:2], kept) and torch.equal(found[2:], live.detach()[2:])
        assert not found.requires_grad
    ema.update(made)


def test_state_goes_through_a_file() -> None:
    made = network()
    ema, other = Ema(made, 0.9), Ema(network(), 0.9)
    shift(made, 0)
    ema.update(made)
    other.load_state_dict(ema.state_dict())
    for a, b in zip(ema.network.parameters(), other.network.parameters(), strict=True):
        assert torch.equal(a, b)


def test_frozen_copy_does_not_move_with_the_network() -> None:
    made = network()
    made(images(), HEADS)
    past = frozen_copy(made)
    assert made.training and all(p.requires_grad for p in made.parameters())
    assert not past.training and not any(p.requires_grad for p in past.parameters())
    before = past(images(3), HEADS)
    shift(made, 0)
    made(images(3), HEADS)
    made.grow(6, draw(5))
    after = past(images(3), HEADS)
    assert past.num_classes == 3
    assert all(torch.equal(before[name], after[name]) for name in HEADS)


REFERENCE = Path(__file__).parents[1] / "reference" / "parts"


class Small(nn.Sequential):
    """The layers of a recorded network; no directions to bring back."""

    def after_step(self) -> None: ...


@pytest.mark.parametrize("path", sorted(REFERENCE.glob("fixmatch_ema*.npz")), ids=lambda p: p.stem)
def test_copied_statistics_equal_the_official_code(path: Path) -> None:
    """FixMatch: parameters averaged, buffers copied."""
    data = np.load(path, allow_pickle=False)
    rows, width = data["ema_0.weight_0"].shape
    made = Small(nn.Linear(width, rows), nn.BatchNorm1d(rows)).double()

    def state(who: str, step: int) -> dict[str, Tensor]:
        found = {name: data[f"{who}_{name}_{step}"] for name in made.state_dict()}
        return {name: torch.from_numpy(np.asarray(value)) for name, value in found.items()}

    made.load_state_dict(state("ema", 0))
    ema = Ema(made, float(data["decay"]), buffers="copied")  # type: ignore[arg-type]
    for step in range(1, int(data["steps"]) + 1):
        made.load_state_dict(state("net", step))
        ema.update(made)  # type: ignore[arg-type]
        for name, value in ema.network.state_dict().items():
            np.testing.assert_allclose(value, data[f"ema_{name}_{step}"], rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("path", sorted(REFERENCE.glob("mixmatch_ema*.npz")), ids=lambda p: p.stem)
def test_averaged_statistics_and_a_network_that_shrinks_equal_the_official_code(path: Path) -> None:
    """MixMatch as released: all floats averaged, and those of the network then made smaller."""
    data = np.load(path, allow_pickle=False)
    rows, width = data["ema_0.weight_0"].shape
    made = Small(nn.Linear(width, rows), nn.BatchNorm1d(rows))

    def state(who: str, step: int) -> dict[str, Tensor]:
        found = {name: data[f"{who}_{name}_{step}"] for name in made.state_dict()}
        return {name: torch.from_numpy(np.asarray(value)) for name, value in found.items()}

    made.load_state_dict(state("ema", 0))
    shrink = float(data["weight_decay"])
    ema = Ema(made, float(data["decay"]), buffers="averaged", shrink=shrink)  # type: ignore[arg-type]
    assert not ema.network.training
    for step in range(1, int(data["steps"]) + 1):
        made.load_state_dict(state("net_before", step))
        ema.update(made)  # type: ignore[arg-type]
        for who, found in (("ema", ema.network), ("net", made)):
            for name, value in found.state_dict().items():
                if value.is_floating_point():
                    expected = data[f"{who}_{name}_{step}"]
                    np.testing.assert_allclose(value, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("restarts", [False, True])
def test_a_slow_network_lives_on_or_begins_each_task_anew(restarts: bool) -> None:
    made = network(("classifier",), classes=0)
    networks = Networks(made, Needs(teacher=Teacher((0.9, 0.9), restarts=restarts)), 0)
    networks.grow(2, draw())
    first = networks.teacher
    shift(made, 3)
    networks.follow(0, total=1)
    networks.grow(4, draw())
    assert first is not None and networks.teacher is not None
    own, followed = (list(n.backbone.parameters()) for n in (networks.teacher.network, made))
    weights = [n.get_submodule("classifier").weight for n in (networks.teacher.network, made)]
    assert (networks.teacher is first) == (not restarts)
    assert torch.equal(*weights) == bool(restarts)
    assert all(map(torch.equal, own, followed)) or not restarts
