"""Running networks: one forward a side, and un-augmented images without a trace."""

import pytest
import torch
from torch import nn

from contsemi.learner.forward import Embedder, by_side, run_groups
from contsemi.models.network import Network
from contsemi.views import Augment

HEADS = ("projector", "prototypes")


class Tiny(nn.Module):
    """A backbone with batch statistics that counts its calls."""

    num_features = 6

    def __init__(self):
        super().__init__()
        self.convolution = nn.Conv2d(3, 6, 3)
        self.norm = nn.BatchNorm2d(6)
        self.sizes = []

    def forward(self, images):
        self.sizes.append(tuple(images.shape[::3]))
        return self.norm(self.convolution(images)).relu().mean((2, 3))


@pytest.fixture
def network():
    made = Network(Tiny(), HEADS, [8, 4], torch.Generator().manual_seed(0))
    made.grow(3, torch.Generator().manual_seed(1))
    return made


def groups():
    draw = torch.Generator().manual_seed(2)
    sizes = [(5, 8), (4, 6), (3, 8)]
    return [torch.randn(n, 3, side, side, generator=draw) for n, side in sizes]


def test_one_forward_a_side(network):
    outputs = run_groups(network, by_side(groups()), HEADS)
    assert network.backbone.sizes == [(8, 8), (4, 6)]
    assert [len(each) for each in outputs] == [5, 4, 3]


def test_neighbours_in_memory_are_joined_without_a_copy():
    room = torch.randn(9, 4, 4, 3).permute(0, 3, 1, 2)
    joined = by_side([room[:5], room[5:8]])
    assert torch.equal(joined.sides[0][1], room[:8])
    assert joined.sides[0][1].data_ptr() == room.data_ptr()


@pytest.mark.parametrize(
    "parts",
    [
        lambda room: [room[5:8], room[:5]],
        lambda room: [room[:5], room[6:8]],
        lambda room: [room[:5], room[5:8].clone()],
        lambda room: [room[::2], room[5:8]],
        lambda room: [room[:5], room[5:8].contiguous()],
    ],
)
def test_others_are_copied(parts):
    groups = parts(torch.randn(9, 4, 4, 3).permute(0, 3, 1, 2))
    assert torch.equal(by_side(groups).sides[0][1], torch.cat(groups))


def test_together_equals_apart_in_eval_mode(network):
    network.eval()
    together = run_groups(network, by_side(groups()), HEADS)
    for found, images in zip(together, groups(), strict=True):
        apart = network(images, HEADS)
        torch.testing.assert_close(found.features, apart.features)
        for head in HEADS:
            torch.testing.assert_close(found[head], apart[head])


def test_groups_of_one_side_share_batch_statistics(network):
    first, _, last = groups()
    shared = run_groups(network, by_side([first, last]), HEADS)
    joined = network(torch.cat([first, last]), HEADS)
    torch.testing.assert_close(torch.cat([each.features for each in shared]), joined.features)
    assert not torch.allclose(shared[0].features, network(first, HEADS).features)


def test_nothing_to_run(network):
    assert run_groups(network, by_side([]), HEADS) == []
    assert network.backbone.sizes == []


@pytest.fixture
def run_embed(network, small):
    augment = Augment(small().views)

    def run(images, chunk, precision=torch.float32, ids=None):
        embed = Embedder(augment, chunk, torch.device("cpu"), precision)
        return embed(network, images, HEADS, ids)

    return run


@pytest.mark.parametrize("training", [True, False])
def test_embedding_leaves_no_trace(training, network, run_embed):
    network.train(training)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    images = torch.randint(0, 256, (7, 3, 8, 8), dtype=torch.uint8)
    outputs = run_embed(images, chunk=4)
    assert {module.training for module in network.modules()} == {training}
    after = network.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert not outputs.features.requires_grad
    assert network.backbone.sizes == [(4, 8), (3, 8)]


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_embedding_is_float32_and_does_not_depend_on_the_chunk(precision, run_embed):
    images = torch.randint(0, 256, (7, 3, 8, 8), dtype=torch.uint8)
    whole, parts = run_embed(images, 7, precision), run_embed(images, 2, precision)
    tolerance = {"rtol": 0, "atol": 1e-5 if precision == torch.float32 else 3e-2}
    for found, expected in (
        (parts.features, whole.features),
        (parts["prototypes"], whole["prototypes"]),
    ):
        assert found.dtype == torch.float32
        torch.testing.assert_close(found, expected, **tolerance)


def test_images_are_read_by_their_ids(run_embed):
    images = torch.randint(0, 256, (9, 3, 8, 8), dtype=torch.uint8)
    ids = torch.tensor([7, 0, 3, 3, 8])
    some, all_of_them = run_embed(images, 2, ids=ids), run_embed(images[ids], 2)
    assert torch.equal(some["prototypes"], all_of_them["prototypes"])
