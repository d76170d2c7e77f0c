"""BYOL, MSF, CMSF, WCL and SemPPL in a stream beside distillation, and what they learn."""

import pytest
import torch

from contsemi.evaluation.answers import evaluate
from contsemi.learner.learner import Learner
from contsemi.learner.loop import fit
from contsemi.storage.checkpoint import Checkpoints

METHODS = [
    ("byol",),
    ("msf",),
    ("cmsf",),
    ("cmsf", "objective.variant=self"),
    ("cmsf", "objective.variant=sup", "objective.large_views=0"),
    ("wcl",),
    ("semppl",),
]


@pytest.fixture(params=METHODS, ids="-".join)
def words(request):
    method, *words = request.param
    return [f"method={method}", "model=resnet_slim", "model.width=8", "precision=fp32", *words]


@pytest.mark.thorough
def test_beside_distillation_it_goes_on_from_its_state(words, small, stream_of, tmp_path):
    config = small(*words, "distiller=nnd", "optim.epochs=1")
    stream, _ = stream_of(config)
    learner = Learner(config)
    fit(learner, stream.experiences[0], stream.images)
    learner.begin(stream.experiences[1], stream.images)
    for i in range(2):
        loss, terms = learner.loss(learner.forward(learner.batch(0, i)))
        learner.backward(loss)
        learner.update()
    if "large" in learner.objective.needs.views:
        assert "distillation" in terms
    Checkpoints(tmp_path).save(learner.state(), {})
    restored = Learner(config)
    state, _ = Checkpoints(tmp_path).load()
    restored.restore(state, stream.experiences[1], stream.images, learner.step_in_task)
    for i in (0, 1):  # two steps: what is stored in the first is compared with in the second
        losses = []
        for each in (learner, restored):
            loss, _ = each.loss(each.forward(each.batch(0, i)))
            each.backward(loss)
            each.update()
            losses.append(loss.detach())
        assert torch.equal(*losses)


@pytest.mark.quick(1)
def test_two_classes_of_digits_are_learned(words, small, stream_of):
    """After two epochs of the first task, from a few labels."""
    config = small(*words, "optim.epochs=2", "batch.unlabelled=32")
    stream, test = stream_of(config)
    learner = Learner(config)
    fit(learner, stream.experiences[0], stream.images)
    learner.begin(stream.experiences[1], stream.images)
    measured = evaluate(learner.inference, test.images, stream.test, 1)
    assert measured.class_incremental[0] > 0.8
