"""Network and heads: which are evaluated, how they grow, where their randomness comes from."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from contsemi.errors import InputError
from contsemi.models.heads import USUAL, Head, Prototypes, clusters, mlp, prototypes, usual_heads
from contsemi.models.network import Network, freeze_batch_norm
from contsemi.models.pixels import build as pixels
from contsemi.models.resnet_slim import build as resnet_slim


def draw(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


HEADS = tuple(name for name in USUAL if name != "clusters")  # which are declared


def network(heads: tuple[str, ...] = HEADS, classes: int = 3) -> Network:
    made = Network(pixels(size=2), heads, [8, 8, 4], draw())
    made.grow(classes, draw(1))
    return made


def images(rows: int = 6) -> Tensor:
    return torch.randn(rows, 3, 2, 2, generator=draw(2))


def test_projector_is_that_of_nncsl() -> None:
    kinds = [type(layer) for layer in mlp(512, [512, 512, 128])]
    assert kinds == [nn.Linear, nn.BatchNorm1d, nn.ReLU] * 2 + [nn.Linear]
    assert sum(p.numel() for p in mlp(512, [512, 512, 128]).parameters()) == 593_024


@pytest.mark.parametrize(
    ("asked", "given"),
    [
        ((), ()),
        (("classifier",), ("classifier",)),
        (("projector",), ("projector",)),
        (("prototypes",), ("projector", "prototypes")),
        (("predictor",), ("projector", "predictor")),
        (("classifier", "prototypes"), ("projector", "prototypes", "classifier")),
    ],
)
def test_only_heads_asked_for_are_evaluated(asked: tuple[str, ...], given: tuple[str, ...]) -> None:
    made = network()
    called: list[str] = []
    for name in HEADS:
        made.get_submodule(name).register_forward_hook(lambda *_, name=name: called.append(name))
    outputs = made(images(), asked)
    assert tuple(outputs.heads) == given and sorted(called) == sorted(given)
    assert outputs.features.shape == (6, 12)


def test_shapes() -> None:
    outputs = network()(images(), HEADS)
    shapes = {name: tuple(value.shape) for name, value in outputs.heads.items()}
    assert shapes == {
        "projector": (6, 4),
        "predictor": (6, 4),
        "auxiliary": (6, 4),
        "mapped": (6, 4),
        "prototypes": (6, 3),
        "classifier": (6, 3),
    }


def test_prototypes_bring_the_projector_and_nothing_else() -> None:
    assert network(("prototypes",)).heads == ("projector", "prototypes")
    assert network(("classifier",)).heads == ("classifier",)
    assert network(()).heads == ()


def test_unknown_and_missing_heads_are_errors() -> None:
    with pytest.raises(InputError, match=r"no .*, only"):
        network(("clasifier",))
    with pytest.raises(InputError, match=r"no .classifier., only"):
        network(("prototypes",))(images(), ("classifier",))


def test_scores_are_cosines_and_gradients_are_not_projected() -> None:
    made = network()
    outputs = made(images(), ("prototypes",))
    z = outputs["projector"].detach().double().numpy()
    w = made.prototypes.weight.detach().double().numpy()
    np.testing.assert_allclose(np.linalg.norm(w, axis=1), 1, rtol=1e-6)
    unit = z / np.linalg.norm(z, axis=1, keepdims=True)
    np.testing.assert_allclose(outputs["prototypes"].detach(), unit @ w.T, atol=1e-6)
    outputs["prototypes"].sum().backward()
    expected = np.tile(unit.sum(0), (3, 1))
    np.testing.assert_allclose(made.prototypes.weight.grad, expected, atol=1e-5)


def test_after_step_puts_rows_back_on_the_sphere_in_place() -> None:
    made = network()
    weight = made.prototypes.weight
    with torch.no_grad():
        weight.mul_(torch.tensor([[0.1], [2.0], [30.0]]))
    direction = torch.nn.functional.normalize(weight.detach(), dim=1)
    made.after_step()
    assert made.prototypes.weight is weight
    torch.testing.assert_close(weight.detach(), direction)


def test_scores_keep_their_precision_under_autocast() -> None:
    head = Prototypes(16)
    head.grow(5, draw())
    z = torch.randn(7, 16, generator=draw(1))
    plain = head(z)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(head(z), plain)
        assert head(z.bfloat16()).dtype == torch.float32


def test_grow_keeps_old_rows_bit_equal_and_old_outputs() -> None:
    made = network(classes=2).eval()
    before = {k: v.clone() for k, v in made.state_dict().items()}
    outputs = made(images(), HEADS)
    made.grow(7, draw(3))
    assert made.num_classes == 7
    for name, value in made.state_dict().items():
        assert torch.equal(value[: len(before[name])] if value.ndim else value, before[name])
    grown = made(images(), HEADS)
    for name in ("prototypes", "classifier"):
        assert grown[name].shape == (6, 7)
        # Rows are bit-equal; a product of another shape may add in another order.
        torch.testing.assert_close(grown[name][:, :2], outputs[name], rtol=1e-6, atol=1e-6)
        assert made.get_submodule(name).weight.requires_grad
    norms = made.prototypes.weight.detach().norm(dim=1)
    torch.testing.assert_close(norms, torch.ones(7))


def test_growing_in_steps_draws_only_new_rows() -> None:
    made = network(classes=2)
    parameters = made.class_parameters()
    made.grow(2, draw(9))
    assert all(a is b for a, b in zip(made.class_parameters(), parameters, strict=True))
    made.grow(4, draw(9))
    assert [len(p) for p in made.class_parameters()] == [4, 4, 4]
    with pytest.raises(ValueError, match="cannot shrink"):
        made.grow(3, draw())


def test_same_generator_same_weights_whatever_the_global_state() -> None:
    torch.manual_seed(0)
    first = network()
    torch.manual_seed(1)
    for p, q in zip(first.parameters(), network().parameters(), strict=True):
        assert torch.equal(p, q)


def test_building_leaves_the_global_state_alone() -> None:
    state = torch.random.get_rng_state()
    made = Network(pixels(size=2), HEADS, [8, 4], draw(5))
    made.grow(3, draw(6))
    assert torch.equal(torch.random.get_rng_state(), state)


def test_runs_in_float64_and_channels_last() -> None:
    made = network().double()
    outputs = made(images().double(), HEADS)
    assert {value.dtype for value in outputs.heads.values()} == {torch.float64}
    conv = Network(resnet_slim(width=4, blocks=[1, 1], stem_stride=1), (), [1], draw())
    conv.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    kept: list[bool] = []
    conv.backbone.stages.register_forward_hook(
        lambda *args: kept.append(args[2].is_contiguous(memory_format=torch.channels_last))
    )
    conv(torch.randn(2, 3, 8, 8).to(memory_format=torch.channels_last), ())
    assert kept == [True]


@pytest.mark.parametrize("directions", ["unit", "weight_norm", "gain"])
def test_directions_of_every_kind_give_cosines(directions: str) -> None:
    made = Network(pixels(size=2), (prototypes(directions), clusters(5, directions)), [4], draw())
    made.grow(3, draw(1))
    outputs = made(images(), ("prototypes", "clusters"))
    assert outputs["clusters"].shape == (6, 5)
    for name in ("prototypes", "clusters"):
        head = made.get_submodule(name)
        rows = torch.nn.functional.normalize(outputs["projector"], dim=1)
        unit = torch.nn.functional.normalize(head.weight, dim=1)
        torch.testing.assert_close(outputs[name], rows @ unit.T)
    assert len(made.direction_parameters()) == (4 if directions == "gain" else 2)
    assert len(made.class_parameters()) == (2 if directions == "gain" else 1)


def test_weight_norm_has_no_gradient_along_a_row_and_unit_returns_after_a_step() -> None:
    for directions, projected in (("weight_norm", True), ("unit", False)):
        head = Prototypes(4, directions)
        head.grow(3, draw())
        head(torch.randn(5, 4, generator=draw(3))).square().sum().backward()
        along = (head.weight.grad * head.weight).sum(1).abs().max()
        assert (along < 1e-6) == projected
        with torch.no_grad():
            head.weight.mul_(3)
        head.after_step()
        norms = head.weight.norm(dim=1)
        assert torch.allclose(norms, torch.ones(3)) != projected


def test_a_gain_scales_its_row_and_grows_with_ones() -> None:
    head = Prototypes(4, "gain")
    head.grow(2, draw())
    with torch.no_grad():
        head.gain.copy_(torch.tensor([2.0, 0.5]))
    head.grow(3, draw(1))
    assert head.gain.tolist() == [2.0, 0.5, 1.0]
    rows = torch.randn(5, 4, generator=draw(3))
    plain = torch.nn.functional.cosine_similarity(rows[:, None], head.weight[None], dim=2)
    torch.testing.assert_close(head(rows), plain * head.gain)


def test_frozen_batch_norm_keeps_its_statistics_and_learns_its_scale() -> None:
    made = network()
    made.train()
    freeze_batch_norm(made)
    norm = next(m for m in made.modules() if isinstance(m, nn.BatchNorm1d))
    before = norm.running_mean.clone()
    made(images(), ("projector",))["projector"].sum().backward()
    assert torch.equal(norm.running_mean, before)
    assert norm.weight.grad is not None


def test_mlp_without_norm_and_with_gelu_is_that_of_dino() -> None:
    kinds = [type(layer) for layer in mlp(384, [2048, 2048, 256], norm=False, activation="gelu")]
    assert kinds == [nn.Linear, nn.GELU, nn.Linear, nn.GELU, nn.Linear]


@pytest.mark.parametrize(("head", "source"), [("classifier", "features"), ("mapped", "projector")])
def test_a_detached_head_learns_and_leaves_alone_what_it_stands_on(head: str, source: str) -> None:
    nets = [
        Network(resnet_slim(width=4, blocks=[1], stem_stride=1), heads, [8, 4], draw())
        for heads in (HEADS, (*HEADS, replace(usual_heads([8, 4])[head], detached=True)))
    ]
    for each in nets:
        each.grow(3, draw(1))
    nets[1].load_state_dict(nets[0].state_dict())
    live, probed = (each(torch.randn(5, 3, 4, 4, generator=draw(2)), HEADS) for each in nets)
    assert torch.equal(live[head], probed[head])
    for made, outputs, reaches in zip(nets, (live, probed), (True, False), strict=True):
        outputs[head].sum().backward()
        assert all(p.grad is not None for p in made.get_submodule(head).parameters())
        assert all((p.grad is not None) is reaches for p in made.backbone.parameters())
        if source == "projector":
            projector = made.get_submodule("projector").parameters()
            assert all((p.grad is not None) is reaches for p in projector)


def test_mapped_is_linear_in_the_embeddings() -> None:
    made = network()
    outputs = made(images(), ("mapped",))
    layer = made.get_submodule("mapped")
    assert isinstance(layer, nn.Linear)
    torch.testing.assert_close(outputs["mapped"], layer(outputs["projector"]))
    assert network(("mapped",)).heads == ("projector", "mapped")


def test_heads_stand_on_others_and_on_extras_of_the_backbone() -> None:
    """Whatever the order in which they are declared; each is built once."""

    def linear(name: str, on: str, size: int) -> Head:
        return Head(name=name, on=on, build=lambda width, draw: nn.Linear(width, size))

    heads = (linear("third", "second", 2), linear("second", "first", 7), linear("first", "map", 5))
    made = Network(resnet_slim(width=4, blocks=[1, 1], stem_stride=1), heads, [4], draw())
    assert made.heads == ("first", "second", "third")
    assert made.get_submodule("first").in_features == 8
    assert made.get_submodule("third").in_features == 7
    rows = torch.randn(3, 3, 8, 8, generator=draw(1))
    outputs = made(rows, ("third",))
    assert outputs["map"].shape == (3, 16, 8) and outputs["third"].shape == (3, 16, 2)
    torch.testing.assert_close(outputs["map"].mean(1), outputs.features)
    assert not made.asks_extras(()) and made.asks_extras(("second",))
    assert made(rows, ()).heads == {}


def test_a_head_that_stands_on_itself_or_on_nothing_is_refused() -> None:
    def head(name: str, on: str) -> Head:
        return Head(name=name, on=on, build=lambda width, draw: nn.Linear(width, 2))

    for heads in ((head("a", "b"), head("b", "a")), (head("a", "nowhere"),)):
        with pytest.raises(InputError, match=r"stands on itself|no 'nowhere'"):
            Network(pixels(size=2), heads, [4], draw())
