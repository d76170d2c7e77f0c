"""A step in pieces against the step in one, for every method; and its BatchNorm statistics."""

import copy
from dataclasses import replace

import pytest
import torch
from omegaconf import OmegaConf
from torch import nn

from contsemi.compose import resources
from contsemi.devices.micro_batches import in_pieces
from contsemi.devices.ranks import ALONE
from contsemi.learner.learner import Learner
from contsemi.learner.loop import fit
from contsemi.models.network import Network


def yaml_files(group):
    return sorted(path.stem for path in (resources.conf() / group).glob("*.yaml"))


def section(group, name):
    return OmegaConf.to_container(OmegaConf.load(resources.conf() / group / f"{name}.yaml"))


PAIRS = [
    (name, "none") for name in yaml_files("objective") if name not in ("none", "nearest", "known")
]
PAIRS += [("suave", name) for name in yaml_files("distiller") if name not in ("none", "lwf")]
PAIRS += [("fixmatch", "lwf")]  # whose classifier it keeps
PAIRS += [(name, "nnd") for name in ("swav", "dino", "daino")]


def configured(base, objective, distiller, **more):
    votes = {"neighbours": 5} if distiller == "nnd" else {}  # so that embeddings vote
    return base.model_copy(
        update={
            "objective": section("objective", objective) | more,
            "distiller": section("distiller", distiller) | votes,
        }
    )


class Tiny(nn.Module):
    """A backbone with BatchNorm in two dimensions."""

    num_features = 6

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU())

    def forward(self, images):
        return self.layers(images).mean((2, 3))


@pytest.fixture
def network():
    made = Network(Tiny(), ("projector", "classifier"), [5, 4], torch.Generator())
    made.grow(3, torch.Generator())
    return made.double()


@pytest.fixture
def images():
    return torch.randn(7, 3, 5, 5, generator=torch.Generator().manual_seed(0)).double()


@pytest.fixture(scope="module")
def base(small):
    return small(
        "precision=fp32",
        "optim.epochs=1",
        "model.blocks=[1,1]",
        "projector=[16,16]",
        "batch.unlabelled=21",
        "batch.labelled=7",
        "memory.embeddings=41",
        "memory.exemplars=33",
        "optim.freeze_batch_norm=true",
    )


def gradients(config, experiences, images, pieces, ranks=ALONE):
    """Of the first step of the second task in float64, where BatchNorm keeps the first's."""
    learner = Learner(config, ranks)
    learner.network.register_forward_pre_hook(lambda _, args: (args[0].double(), *args[1:]))
    for module in (learner.network, learner.objective, learner.distiller):
        module.double()
    fit(learner, experiences[0], images)
    learner.begin(experiences[1], images)
    if learner.networks.teacher is not None:  # the teacher's statistics are those of its batches
        learner.networks.teacher.network.eval()
    learner.pieces = pieces
    loss, terms = learner.loss(learner.forward(learner.batch(0, 0)))
    learner.backward(loss)
    modules = {"network": learner.network, "objective": learner.objective}
    found = {
        f"{owner}.{name}": None if param.grad is None else param.grad.clone()
        for owner, module in modules.items()
        for name, param in module.named_parameters()
    }
    return {name: value.detach() for name, value in terms.items()}, found


@pytest.fixture(scope="module")
def stream(base, stream_of):
    whole, _ = stream_of(base)
    return [replace(e, unlabelled=e.unlabelled[:21]) for e in whole.experiences[:2]], whole.images


def same(found, expected):
    """Close, each by its own scale; what is nothing but for rounding is so on both sides."""
    for some, others in zip(found, expected, strict=True):
        assert some.keys() == others.keys()
        nothing = 1e-12 * max(
            each.abs().max().item() for each in others.values() if each is not None
        )
        for name, value in some.items():
            assert (value is None) == (others[name] is None), name
            if value is None:
                continue
            scale = others[name].abs().max().item() or 1.0
            if scale > nothing:
                torch.testing.assert_close(value, others[name], rtol=1e-8, atol=1e-10 * scale)
            else:
                assert value.abs().max() <= nothing, name


@pytest.mark.parametrize("pair", PAIRS, ids="+".join)
@pytest.mark.quick(4)
def test_gradients_are_those_of_the_whole_batch(pair, base, stream):
    config = configured(base, *pair)
    same(gradients(config, *stream, 3), gradients(config, *stream, 1))


def test_two_processes_have_them_too(base, stream, in_ranks):
    config = configured(base, "suave", "nnd", mix_labelled=True, teacher=[0.9, 1.0])

    def job(ranks):
        return gradients(config, *stream, 3, ranks), gradients(config, *stream, 1, ranks)

    for found, expected in in_ranks(job):
        same(found, expected)


def parts_by_hand(network, images, pieces):
    """Each part by itself with a graph, and the rows put back in their order."""
    found = [network(images[j::pieces], ("projector", "classifier")) for j in range(pieces)]
    order = torch.cat([torch.arange(len(images))[j::pieces] for j in range(pieces)]).argsort()
    return [torch.cat([part[head] for part in found])[order] for head in found[0].heads]


def loss_of(embeddings, logits):
    """Couples all rows."""
    return (embeddings @ embeddings.T).logsumexp(1).mean() + logits.softmax(1).mean(
        0
    ).square().sum()


@pytest.mark.parametrize("pieces", [2, 3])
def test_batch_statistics_are_those_of_each_part(pieces, network, images):
    other = copy.deepcopy(network)
    found = in_pieces(network, pieces)(images, ("projector", "classifier"))
    loss_of(found["projector"], found["classifier"]).backward()
    loss_of(*parts_by_hand(other, images, pieces)).backward()
    for param, expected in zip(network.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(param.grad, expected.grad, rtol=1e-9, atol=1e-12)


def test_running_statistics_learn_the_mean_of_the_parts_once(network, images):
    norms = [m for m in network.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    before = [norm.running_mean.clone() for norm in norms]
    alone = copy.deepcopy(network)
    targets = []
    for part in (images[0::3], images[1::3], images[2::3]):
        each = copy.deepcopy(alone)
        each(part, ("projector",))
        targets.append([m.running_mean for m in each.modules() if hasattr(m, "running_mean")])
    found = in_pieces(network, 3)(images, ("projector",))
    learned = [norm.running_mean.clone() for norm in norms]
    for i, norm in enumerate(norms):
        expected = torch.stack([target[i] for target in targets]).mean(0)
        torch.testing.assert_close(norm.running_mean, expected, rtol=1e-9, atol=1e-12)
        assert not torch.equal(norm.running_mean, before[i])
        assert norm.momentum == 0.1
    found["projector"].sum().backward()
    for norm, kept in zip(norms, learned, strict=True):
        assert torch.equal(norm.running_mean, kept)
        assert norm.track_running_stats


def test_no_part_has_one_row(network, images):
    """BatchNorm would refuse it."""
    found = in_pieces(network, 64)(images, ("projector",))
    assert found["projector"].shape == (7, 4)
    assert (
        in_pieces(network, 2)(images[:1].repeat(2, 1, 1, 1), ("projector",)).features.shape[0] == 2
    )


def test_one_piece_is_the_network_itself(network):
    assert in_pieces(network, 1) is network


def test_only_one_part_is_held(network, images):
    """The graph of a step holds no activation of the network, whatever its size."""
    saved = []
    with torch.autograd.graph.saved_tensors_hooks(
        lambda t: saved.append(t.shape) or t, lambda t: t
    ):
        found = in_pieces(network, 2)(images, ("projector", "classifier"))
    assert saved == [images.shape]
    assert found["projector"].requires_grad
