"""Images kept out of training: which, how many, and that a run indeed does not train on them."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from contsemi.learner.kept import kept_bytes
from contsemi.learner.learner import Learner
from contsemi.learner.loop import HookList, Hooks, fit
from contsemi.memory.anchors import Anchors
from contsemi.storage.tensors import flatten, nest
from contsemi.stores.resident import Resident
from contsemi.types import Experience

WORDS = ("method=contsemi", "optim.epochs=1", "memory.anchors=24", "scenario.classes=6")


@given(budget=st.integers(0, 40), tasks=st.integers(1, 5))
def test_every_task_has_as_many_and_never_more_than_the_budget(budget, tasks):
    images = torch.arange(200, dtype=torch.uint8)[:, None, None, None].expand(-1, 3, 1, 1)
    kept, held = Anchors(budget), []
    for index in range(tasks):
        rows = torch.arange(40 * index, 40 * index + 40)
        task = Experience(
            index, (index,), index, index + 1, rows[:6], torch.full((6,), index), rows
        )
        left = kept.begin(task, seed=0)
        held.append(set(kept.held.tolist()))
        assert held[-1] == set(rows.tolist()) - set(left.unlabelled.tolist())
        assert held[-1].isdisjoint(rows[:6].tolist()) and len(left.unlabelled) >= 20
        kept.end(Resident(images), torch.device("cpu"))
        assert len(kept) <= budget
        # A task has room for 20 at most, half of its images.
        share = min(budget // (index + 1), 20)
        for number, of in enumerate(held):
            own = kept.images[kept.tasks == number].flatten(1)[:, :1].flatten().tolist()
            assert len(own) == share and set(own) <= of


class Seen(Hooks):
    """Every image that a step drew."""

    def __init__(self):
        self.ids = set()

    def before_forward(self, loop):
        self.ids |= {*loop.batch.unlabelled_ids.tolist(), *loop.batch.labelled_ids.tolist()}


def test_no_step_sees_an_anchor_and_the_map_does(small, stream_of):
    config = small(*WORDS, "scenario.tasks=3")
    stream, _ = stream_of(config)
    learner, seen, held = Learner(config), Seen(), set()
    for experience in stream.experiences[:2]:
        again = Anchors(24)
        again.begin(experience, config.seed)
        held |= set(again.held.tolist())
        fit(learner, experience, stream.images, HookList([seen]))
    assert len(held) == 24 + 12 and not held & seen.ids
    assert len(learner.anchors) == 24 and kept_bytes(learner)["anchors"] == 24 * 3 * 8 * 8
    assert set(learner.exemplars.ids.tolist()).isdisjoint(held)
    learner.begin(stream.experiences[2], stream.images)
    pool = learner.inference.pool
    old, new, weights = pool.moved(lambda outputs: outputs.features)
    sizes = [len(pool.ids), len(learner.exemplars), 24]
    assert len(old) == len(new) == sum(sizes)
    for part in torch.split(weights, sizes):
        torch.testing.assert_close(part.sum(), torch.tensor(1.0))


@pytest.mark.thorough
def test_a_run_goes_on_with_the_same_anchors(small, stream_of):
    config = small(*WORDS, "scenario.tasks=3")
    stream, _ = stream_of(config)
    whole = Learner(config)
    for experience in stream.experiences[:2]:
        fit(whole, experience, stream.images)
    state = nest({name: x.clone() for name, x in flatten(whole.state()).items()})
    again = Learner(config)
    again.restore(state, stream.experiences[1], stream.images, None)
    for learner in (whole, again):
        fit(learner, stream.experiences[2], stream.images)
    first, second = flatten(whole.state()), flatten(again.state())
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)
