"""The baseline's one term against a reference in NumPy, and where its labels come from."""

import numpy as np
import pytest
import torch
from scipy.special import log_softmax

from contsemi.learner.learner import Learner
from contsemi.learner.loop import fit
from contsemi.objectives.supervised import Supervised
from contsemi.types import Outputs

LABELS = torch.tensor([2, 0, 1])


def logits(rows, seed=0):
    draw = torch.Generator().manual_seed(seed)
    return torch.randn(rows, 4, generator=draw, dtype=torch.float64).requires_grad_()


def objective(smoothing=0.0, labelled_from="current"):
    return Supervised(smoothing=smoothing, labelled_views=2, labelled_from=labelled_from)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_value_and_gradient_equal_numpy(smoothing, make_step):
    scores = logits(6)
    step = make_step(labelled=Outputs(scores, {"classifier": scores}), labels=LABELS, num_seen=4)
    terms = objective(smoothing).terms(step)
    terms["labels"].backward()
    array = scores.detach().numpy()
    soft = np.full((6, 4), smoothing / 4)
    soft[range(6), np.tile(LABELS, 2)] += 1 - smoothing  # views are one after the other
    expected = -(soft * log_softmax(array, axis=1)).sum(1).mean()
    np.testing.assert_allclose(terms["labels"].detach(), expected, rtol=1e-12)
    gradient = (np.exp(log_softmax(array, axis=1)) - soft) / 6
    np.testing.assert_allclose(scores.grad, gradient, rtol=1e-10, atol=1e-14)


def test_no_labels_no_term(make_step):
    assert objective().terms(make_step(batch_size=3)) == {}


def test_prediction_is_the_classifier():
    scores = logits(2)
    assert objective().predict(Outputs(scores, {"classifier": scores}), None) is scores


@pytest.mark.parametrize("labelled_from", ["current", "all"])
def test_exemplars_are_drawn_only_where_asked_for(labelled_from, small, stream_of):
    config = small("method=finetune", "memory.exemplars=20", "optim.epochs=1")
    config.objective["labelled_from"] = labelled_from
    stream, _ = stream_of(config)
    learner = Learner(config)
    fit(learner, stream.experiences[0], stream.images)
    learner.begin(stream.experiences[1], stream.images)
    batches = [learner.batch(0, i) for i in range(learner.steps_per_epoch)]
    assert len(learner.exemplars) > 0
    own = stream.experiences[1].labelled
    stored = [~torch.isin(batch.labelled_ids, own) for batch in batches]
    assert any(bool(each.any()) for each in stored) == (labelled_from == "all")
    for batch, each in zip(batches, stored, strict=True):
        assert torch.equal(each, batch.labels < 2)
