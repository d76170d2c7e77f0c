"""Every baseline keeps to the terms of the methods that it is compared with."""

from dataclasses import replace

import pytest
import torch
from avalanche.training.plugins import (
    AGEMPlugin,
    MIRPlugin,
    ReplayPlugin,
    SynapticIntelligencePlugin,
)

from contsemi import compose
from contsemi.compose import resources
from contsemi.errors import InputError
from contsemi.learner.learner import Learner
from contsemi.learner.loop import Hooks, fit
from contsemi.strategies.baselines import Baseline
from contsemi.strategies.baselines.same_conditions import plugin_of

NAMES = sorted(f.stem for f in (resources.conf() / "baseline").glob("*.yaml") if f.stem != "none")
# One of each kind is asked at once: a memory of images, of scores, a penalty, statistics, a bound.
# The others: python -m pytest tests/strategies/baselines -m slow
QUICK = ("derpp", "ewc", "joint", "replay", "slda")
EACH = [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in NAMES]
every = pytest.mark.parametrize("name", EACH)
OURS = ("model.width=8", "optim.epochs=2", "batch.unlabelled=96", "device=cpu")
UNLIMITED = ("cumulative", "joint")


def kept_rows(name, strategy):
    """Row numbers of all images that a strategy may look at again."""
    if name == "icarl":
        memory = next(p for p in strategy.plugins if hasattr(p, "x_memory")).x_memory
        return torch.cat(memory) if memory else torch.zeros(0, dtype=torch.int64)
    buffers = {
        "replay": lambda: [plugin_of(strategy, ReplayPlugin).storage_policy.buffer],
        "mir": lambda: [plugin_of(strategy, MIRPlugin).storage_policy.buffer],
        "agem": lambda: plugin_of(strategy, AGEMPlugin).buffers,
    }
    if name in ("der", "derpp", "er_ace"):
        held = [strategy.storage_policy.buffer]
    else:
        held = buffers.get(name, list)()
    rows = [int(buffer[i][0]) for buffer in held for i in range(len(buffer))]
    return torch.tensor(rows, dtype=torch.int64)


def outcome(baseline, images):
    """Bits that all of training goes into."""
    network = baseline.conditions.network.state_dict()
    return {**network, "scores": baseline.predict(images)}


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


class Steps(Hooks):
    """Counts the steps of each task, and what was looked at in them."""

    def __init__(self):
        self.counts, self.ids, self.names, self.rates = {}, {}, set(), []

    def after_training_iteration(self, loop):
        task = loop.learner.experience.index
        self.counts[task] = self.counts.get(task, 0) + 1
        self.ids.setdefault(task, set()).update(loop.batch.labelled_ids.tolist())
        self.names |= loop.terms.keys()
        self.rates.append(loop.learner.optimizer.param_groups[0]["lr"])
        done = loop.epoch * loop.learner.steps_per_epoch + loop.iteration
        assert done == loop.learner.step_in_task - 1
        assert all(value.shape == () and value.isfinite() for value in loop.terms.values())


@pytest.fixture(scope="module")
def stream(load, stream_of):
    return stream_of(load("naive"))


def steps_of_ours(stream):
    """Optimiser steps of a semi-supervised method in each task, and their learning rates."""
    config = compose.load(["method=suave", *OURS])
    steps = Steps()
    learner = Learner(config)
    for experience in stream.experiences:
        fit(learner, experience, stream.images, steps)
    return steps


@pytest.fixture(scope="module")
def ours(stream):
    return steps_of_ours(stream[0])


@every
@pytest.mark.quick(1)
def test_steps_rates_and_images_are_those_of_the_other_methods(name, train, stream, ours):
    steps = Steps()
    baseline = train(name, stream=stream[0], hooks=steps)
    if name == "slda":  # its backbone is frozen after the first task
        assert steps.counts == {0: ours.counts[0]}
    elif name == "joint":
        assert steps.counts == {2: sum(ours.counts.values())}
    else:
        assert steps.counts == ours.counts
        assert steps.rates == pytest.approx(ours.rates)
    assert "labels" in steps.names
    labelled = set(stream[0].label_indices.tolist())
    assert all(ids <= labelled for ids in steps.ids.values())
    scores = baseline.predict(stream[1].images)
    assert scores.shape == (360, 6)
    assert scores.isfinite().all()


@every
@pytest.mark.thorough
def test_hidden_labels_never_reach_training(name, load, train, stream, stream_of, tmp_path):
    frozen = tmp_path / "labels.txt"
    frozen.write_text("\n".join(map(str, stream[0].label_indices.tolist())))
    config = load(name, f"scenario.labels={frozen}")

    def scramble(images):
        targets = images.targets.clone()
        hidden = torch.ones(len(targets), dtype=torch.bool)
        hidden[torch.from_numpy(stream[0].label_indices)] = False
        targets[hidden] ^= 1  # digits come in pairs (0, 1), (2, 3), ...
        return replace(images, targets=targets)

    scrambled, test = stream_of(config, scramble)
    truth, _ = stream_of(config)
    assert same(
        outcome(train(name, stream=truth), test.images),
        outcome(train(name, stream=scrambled), test.images),
    )


@pytest.mark.parametrize("name", [each for each in EACH if each.values[0] not in UNLIMITED])
@pytest.mark.thorough
def test_of_earlier_images_only_the_memory_is_read(name, train, stream):
    stream, test = stream
    once = outcome(train(name, stream=stream), test.images)
    images = stream.images.clone()

    def forget(task, baseline):
        seen = torch.cat([each.unlabelled for each in stream.experiences[: task + 1]])
        gone = seen[~torch.isin(seen, kept_rows(name, baseline.strategy))]
        images[gone] = torch.randint(0, 256, (len(gone), *images.shape[1:]), dtype=torch.uint8)

    again = train(name, stream=replace(stream, images=images), after=forget)
    assert same(once, outcome(again, test.images))
    assert not torch.equal(images, stream.images)


@pytest.mark.parametrize("budget", [14, 32])
@pytest.mark.parametrize("name", ["replay", "der", "derpp", "er_ace", "mir", "agem", "icarl"])
@pytest.mark.quick(1)
def test_the_memory_stays_in_its_budget_and_is_counted(name, budget, train, stream):
    counts = []

    def look(task, baseline):
        rows = kept_rows(name, baseline.strategy)
        assert len(rows) == len(set(rows.tolist()))
        assert torch.isin(rows, torch.from_numpy(stream[0].label_indices)).all()
        each = 192 + 8 + 24 * (name in ("der", "derpp"))
        assert baseline.memory.get("exemplars", 0) == each * len(rows)
        counts.append(len(rows))

    train(name, f"memory.exemplars={budget}", stream=stream[0], after=look)
    assert max(counts) <= budget
    assert counts[-1] >= budget - 5  # whole shares of three tasks or of six classes


@pytest.mark.parametrize("name", ["replay", "der", "derpp", "er_ace", "mir"])
@pytest.mark.quick(2)
def test_the_memory_holds_all_classes_alike(name, train, stream):
    strategy = train(name, "memory.exemplars=12", stream=stream[0]).strategy
    order = torch.cat([each.labels for each in stream[0].experiences])
    ids = torch.cat([each.labelled for each in stream[0].experiences])
    kept = order[torch.isin(ids, kept_rows(name, strategy))]
    assert torch.bincount(kept, minlength=6).tolist() == [2] * 6


@pytest.mark.parametrize("name", ["replay", "der", "er_ace", "mir", "agem", "icarl"])
@pytest.mark.quick(1)
def test_classes_of_which_no_image_is_kept_are_named(name, train, stream):
    budget = 6 if name == "icarl" else 4
    order = torch.full((len(stream[0].images),), -1)
    for each in stream[0].experiences:
        order[each.labelled] = each.labels

    def look(task, baseline):
        kept = set(order[kept_rows(name, baseline.strategy)].tolist())
        seen = set(range(stream[0].experiences[task].num_seen))
        assert baseline.without_exemplars == sorted(seen - kept)

    last = train(name, f"memory.exemplars={budget}", stream=stream[0], after=look)
    assert bool(last.without_exemplars) == (name != "icarl")


def test_a_strategy_without_a_memory_names_no_class(train, stream):
    assert train("naive", stream=stream[0]).without_exemplars == []


@pytest.mark.thorough
def test_a_memory_of_nothing_is_fine_tuning(train, stream):
    """All the more surely as the order of draws is the same."""
    fine = outcome(train("naive", stream=stream[0]), stream[1].images)
    for name in ("replay", "mir", "agem"):
        again = train(name, "memory.exemplars=0", stream=stream[0])
        kept = outcome(again, stream[1].images)
        assert again.memory == {}
        if name != "agem":  # whose weights lie in another order, and so add up in another
            assert same(fine, kept)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("lwf", ["baseline.weights.distillation=0", "baseline.new_classes_only=false"]),
        ("ewc", ["baseline.weights.penalty=0", "baseline.new_classes_only=false"]),
        ("si", ["baseline.weights.penalty=0", "baseline.new_classes_only=false"]),
    ],
)
@pytest.mark.thorough
def test_a_weight_of_nothing_is_fine_tuning(name, words, train, stream):
    fine = outcome(train("naive", "precision=fp32", stream=stream[0]), stream[1].images)
    kept = outcome(train(name, "precision=fp32", *words, stream=stream[0]), stream[1].images)
    for key in fine:
        torch.testing.assert_close(kept[key], fine[key], rtol=1e-4, atol=1e-6)


def test_fine_tuning_by_avalanche_is_our_own(train, stream):
    # Weight decay also acts on unseen columns. One step a task: after many, sums in another order,
    # as the heads differ in width and processors' kernels add by it, are another network.
    words = ("precision=fp32", "optim.weight_decay=0", "optim.epochs=1", "batch.unlabelled=300")
    stream, test = stream
    given = {word.split("=")[0] for word in words}
    ours = [word for word in OURS if word.split("=")[0] not in given]
    config = compose.load(["method=finetune", *ours, *words])
    learner, before = Learner(config), []

    def compare(task, baseline):
        fit(learner, stream.experiences[task], stream.images)
        theirs, own = baseline.predict(test.images), learner.predict(test.images)
        torch.testing.assert_close(theirs, own, rtol=0, atol=1e-5)
        assert all(not torch.allclose(own[:, :2], old, atol=1e-3) for old in before)  # it learns
        before.append(own[:, :2])

    train("naive", *words, stream=stream, after=compare)


@pytest.mark.thorough
def test_replay_forgets_less_than_fine_tuning(train, stream):
    stream, test = stream
    order = torch.cat([each.targets for each in stream.test])
    rows = torch.cat([each.indices for each in stream.test])

    def accuracy(name):
        scores = train(name, "optim.epochs=5", stream=stream).predict(test.images[rows])
        return (scores.argmax(1) == order).double().mean()

    fine, replay, joint = map(accuracy, ("naive", "replay", "joint"))
    assert fine < 0.45
    assert replay > fine + 0.3
    assert joint > fine + 0.3


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.thorough
def test_only_seen_classes_are_predicted(name, train, stream):
    if name == "joint":
        pytest.skip("sees all classes at once")

    def look(task, baseline):
        assert baseline.predict(stream[1].images).shape == (360, 2 * task + 2)

    train(name, stream=stream[0], after=look)


@every
@pytest.mark.thorough
def test_the_same_seed_gives_the_same_bits_whatever_the_global_one(name, train, stream):
    torch.manual_seed(1)
    once = outcome(train(name, stream=stream[0]), stream[1].images)
    torch.manual_seed(2)
    state = torch.random.get_rng_state()
    assert same(once, outcome(train(name, stream=stream[0]), stream[1].images))
    assert torch.equal(state, torch.random.get_rng_state())


class Paths(Hooks):
    """Zenke et al. 2017: where each weight began, and what its way has changed the loss by."""

    def __init__(self, model):
        self.weights, self.ways = dict(model.named_parameters()), {}
        self.starts = self._now()

    def _now(self):
        return {name: weight.detach().clone() for name, weight in self.weights.items()}

    def before_backward(self, loop):
        self.before, self.penalty = self._now(), loop.terms["penalty"]

    def after_training_iteration(self, loop):
        for name, now in self._now().items():
            way = self.weights[name].grad * (now - self.before[name])
            self.ways[name] = self.ways.get(name, 0) + way


@pytest.mark.thorough
def test_synaptic_intelligence_follows_every_layer(load, stream):
    """Also those whose flattened weights are the live ones, which seem never to have moved."""
    config = load("si", "baseline.weights.penalty=100", "baseline.new_classes_only=false")
    baseline = Baseline(config, stream[0].experiences, stream[0].images)
    plugin = plugin_of(baseline.strategy, SynapticIntelligencePlugin)
    for task in baseline.tasks[:2]:
        importance = {name: each.data.clone() for name, each in plugin.ewc_data[1].items()}
        paths = Paths(baseline.strategy.model)
        baseline.train(task, paths)
        followed = plugin.syn_data["trajectory"]
        assert any("classifier" in name for name in followed)
        for name, each in followed.items():
            way = paths.ways[name].flatten()
            assert way.any()
            torch.testing.assert_close(each.data, way)
    # the last step's penalty, by the weights that it began with
    away = {name: (paths.before[name] - paths.starts[name]).flatten() for name in importance}
    penalty = sum(torch.dot(each, away[name].square()) for name, each in importance.items())
    assert paths.penalty.item() == pytest.approx(50 * penalty.item(), rel=1e-3)


def test_icarl_asks_for_an_exemplar_of_each_class(train):
    with pytest.raises(InputError, match=r"memory\.exemplars: icarl .* 5 are too few for 6"):
        train("icarl", "memory.exemplars=5")


def test_keys_that_a_strategy_does_not_take(load, stream):
    config = load("mir")
    config = config.model_copy(update={"baseline": {"name": "mir", "speed": 3}})
    with pytest.raises(InputError, match=r"baseline: .*'speed'.*; use the keys of mir\.yaml"):
        Baseline(config, stream[0].experiences, stream[0].images)
