"""Two and four processes have the losses of one: every method of the YAML files, in float64.

pytest tests/devices/test_ranks.py -m slow
"""

import traceback
from dataclasses import replace
from functools import cache

import pytest
import torch

from contsemi.compose import files, resources
from contsemi.devices.ranks import ALONE, Ranks
from contsemi.learner.learner import Learner
from contsemi.learner.loop import Hooks, fit


def yaml_files(group):
    return sorted(path.stem for path in (resources.conf() / group).glob("*.yaml"))


def section(group, name):
    return files.declared(group, name)[0]


PAIRS = [(name, "none") for name in yaml_files("objective") if name != "none"]
PAIRS += [("suave", name) for name in yaml_files("distiller") if name != "none"]
PAIRS += [(name, "nnd") for name in ("swav", "dino", "daino")]
PAIRS += [("suave", "nnd+projected")]
MIXED = {"mix_labelled": True, "mix_large": True, "teacher": [0.9, 1.0], "queue": 40}


class Losses(Hooks):
    """Notes every term of every step."""

    def __init__(self):
        self.steps = []

    def before_backward(self, loop):
        terms = {name: value.item() for name, value in loop.terms.items()}
        self.steps.append({"loss": loop.loss.item(), **terms})


@pytest.fixture(scope="module")
def base(small):
    """A small run whose batches and pools do not divide evenly."""
    return small(
        "precision=fp32",
        "optim.epochs=1",
        "optim.lr=0.003",
        "optim.warmup=0",
        "model.blocks=[1,1]",
        "projector=[16,16]",
        "batch.unlabelled=21",
        "batch.labelled=7",
        "memory.embeddings=41",
        "memory.exemplars=33",
    )


@pytest.fixture(scope="module")
def stream(base, stream_of):
    whole, test = stream_of(base)
    short = [replace(each, unlabelled=each.unlabelled[:43]) for each in whole.experiences[:2]]
    return short, whole.images, test.images[:31]


def configured(base, objective, distiller, **more):
    votes = {"neighbours": 5} if distiller == "nnd" else {}  # so that embeddings vote
    return base.model_copy(
        update={
            "objective": section("objective", objective) | more,
            "distiller": section("distiller", distiller) | votes,
        }
    )


def train(config, stream, ranks):
    """Two tasks in float64, where no rounding grows into a difference: losses and scores."""
    experiences, images, test = stream
    learner = Learner(config, ranks)
    for module in (learner.network, learner.objective, learner.distiller):
        module.double()
    learner.network.register_forward_pre_hook(lambda _, args: (args[0].double(), *args[1:]))
    losses = Losses()
    for experience in experiences:
        fit(learner, experience, images, losses)
    return losses.steps, learner.predict(test).tolist()


def same(found, expected, tolerance=1e-9):
    (steps, scores), (steps_alone, scores_alone) = found, expected
    assert [step.keys() for step in steps] == [step.keys() for step in steps_alone]
    for step, alone in zip(steps, steps_alone, strict=True):
        assert step == pytest.approx(alone, rel=tolerance, abs=tolerance)
    torch.testing.assert_close(torch.tensor(scores), torch.tensor(scores_alone))


@pytest.fixture(scope="module")
def alone(base, stream):
    """Pair of objective and distiller -> what one process says of it, made when first asked for."""
    return cache(lambda pair: train(configured(base, *pair), stream, ALONE))


@pytest.fixture(scope="module", params=[2, 4])
def found(request, base, in_ranks, stream):
    """Pair of objective and distiller -> what several processes say of it, all in one start."""

    def tried(pair, ranks):
        try:  # so that a pair that fails in all processes leaves the others to be tested
            return train(configured(base, *pair), stream, ranks)
        except Exception:
            return traceback.format_exc()

    return in_ranks(lambda ranks: {pair: tried(pair, ranks) for pair in PAIRS}, request.param)


@pytest.mark.slow
@pytest.mark.parametrize("pair", PAIRS, ids="".join)
def test_several_processes_have_the_losses_of_one(pair, base, alone, found):
    trains = Learner(configured(base, *pair)).needs.trains
    assert len(alone(pair)[0]) == (4 if trains else 0)
    for each in found:
        assert not isinstance(each[pair], str), each[pair]
        same(each[pair], alone(pair))


@pytest.mark.slow
@pytest.mark.parametrize("size", [2, 4])
def test_a_sample_of_the_classes_is_the_same_for_all(size, base, stream, in_ranks):
    """Three of the second task's four classes come in a step."""
    sizes = base.batch.model_copy(update={"classes_per_step": 3})
    config = configured(base.model_copy(update={"batch": sizes}), "csl", "nnd")
    alone = train(config, stream, ALONE)
    for each in in_ranks(lambda ranks: train(config, stream, ranks), size):
        same(each, alone)


def test_two_processes_have_the_losses_of_one_with_all_that_a_step_may_have(base, in_ranks, stream):
    """Mixed images, a teacher, a queue, a frozen past, exemplars and embeddings that vote."""
    config = configured(base, "suave", "nnd", **MIXED)
    alone = train(config, stream, ALONE)
    for each in in_ranks(lambda ranks: train(config, stream, ranks)):
        same(each, alone)


@pytest.mark.slow
def test_the_comparison_can_fail(base, stream, in_ranks, monkeypatch):
    """Without the other's gradients, or with batch statistics of the own rows."""
    config = configured(base, "suave", "none")
    alone = train(config, stream, ALONE)
    for target in ("Ranks.sum_gradients", "learner.synchronise"):
        with monkeypatch.context() as broken:
            room = "devices.ranks" if target.startswith("Ranks") else "learner"
            name = f"contsemi.{room}.{target}"
            broken.setattr(name, lambda *_: None)
            found = in_ranks(lambda ranks: train(config, stream, ranks))
        with pytest.raises(AssertionError):
            same(found[0], alone, tolerance=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("size", [3, 5])
def test_more_processes_than_rows_for_each(size, base, stream, in_ranks):
    """Some processes have no labelled row, or none at all."""
    sizes = base.batch.model_copy(update={"unlabelled": 4, "labelled": 3})
    config = configured(base.model_copy(update={"batch": sizes}), "suave", "nnd", **MIXED)
    experiences = [replace(each, unlabelled=each.unlabelled[:9]) for each in stream[0]]
    few = (experiences, *stream[1:])
    alone = train(config, few, ALONE)
    for each in in_ranks(lambda ranks: train(config, few, ranks), size):
        same(each, alone)


def test_gradients_of_shared_parameters_are_not_counted_twice(in_ranks):
    def job(ranks):
        split, whole = torch.nn.Linear(2, 1, bias=False), torch.nn.Linear(2, 1, bias=False)
        split.weight.grad = torch.tensor([[1.0, 2.0]]) * (ranks.rank + 1)
        whole.weight.grad = torch.tensor([[4.0, 5.0]])
        ranks.sum_gradients([split], [whole])
        return split.weight.grad.tolist(), whole.weight.grad.tolist()

    assert in_ranks(job) == [([[3.0, 6.0]], [[4.0, 5.0]])] * 2


def test_one_process_waits_for_nobody():
    ranks = Ranks()
    rows = torch.arange(3)
    assert ranks.alone and ranks.first
    assert ranks.own(rows) is rows and ranks.gather(rows) is rows and ranks.sum(rows) is rows
    assert ranks.agree(7) == 7
    assert ranks.share(3).tolist() == [0, 1, 2]
