"""The views of a step: where they lie, and which rows of the draw belong to which task."""

import pytest
import torch

from contsemi.devices.ranks import ALONE
from contsemi.learner.learner import Learner
from contsemi.learner.viewing import make_views

WORDS = ("method=nncsl", "label_ratio=5/class", "objective.supports_per_class=2")


@pytest.fixture
def learner(small, stream_of):
    """In its third task, of which no step was done."""
    config = small(*WORDS)
    stream, _ = stream_of(config)
    made = Learner(config)
    for experience in stream.experiences[:2]:
        made.begin(experience, stream.images)
        made.end()
    made.begin(stream.experiences[2], stream.images)
    return made


def views_of(learner, batch):
    return make_views(batch, learner.needs.views, learner.augment, seed=(0, 2, 0), ranks=ALONE)


def test_labelled_and_large_views_are_made_in_one_place(learner):
    batch = learner.batch(0, 0)
    views = views_of(learner, batch)
    together = views.by_side(["labelled", "large"]).sides[0][1]
    labelled, large = views.images["labelled"], views.images["large"]
    assert together.data_ptr() == labelled.data_ptr()
    assert torch.equal(together, torch.cat([labelled, large]))
    assert together.is_contiguous(memory_format=torch.channels_last)


def test_the_rows_of_old_and_of_current_classes_are_known_beforehand(learner):
    for iteration in range(learner.steps_per_epoch):
        batch = learner.batch(0, iteration)
        is_old = batch.labels < 4
        assert torch.equal(batch.by_age.old, is_old.nonzero()[:, 0])
        assert torch.equal(batch.by_age.current, (~is_old).nonzero()[:, 0])
        assert len(batch.by_age.old) and len(batch.by_age.current)


def test_nothing_is_known_of_rows_that_come_from_elsewhere(learner):
    learner.labelled_source = lambda: (learner.task.labelled.all()[:3], learner.task.labels[:3])
    batch = learner.batch(0, 0)
    assert batch.by_age is None


def test_nothing_is_known_of_a_uniform_draw(small, stream_of):
    config = small("method=nncsl", "objective.supports_per_class=0")
    stream, _ = stream_of(config)
    made = Learner(config)
    made.begin(stream.experiences[0], stream.images)
    assert made.batch(0, 0).by_age is None
