"""Prediction by class moments: what they are made of, and when."""

import pytest
import torch

from contsemi.learner.inference import Inference
from contsemi.learner.learner import Learner
from contsemi.learner.loop import Hooks, fit


@pytest.fixture(scope="module")
def trained(small, stream_of):
    """A learner after two tasks of the digits, and what goes with it."""
    config = small("optim.epochs=1")
    stream, test = stream_of(config)
    learner = Learner(config)
    for experience in stream.experiences[:2]:
        fit(learner, experience, stream.images)
    return learner, stream, test


def test_all_seen_classes_are_on_the_same_terms(trained):
    learner, _, test = trained
    scores = learner.predict(test.images[:50])
    assert scores.shape == (50, 4) and scores.isfinite().all()
    counts = learner.inference.decides.kept.counts
    assert counts.shape == (4,) and (counts > 0).all()
    assert (
        learner.memory_bytes
        == learner.exemplars.memory_bytes + learner.inference.decides.memory_bytes
    )


def test_every_image_of_the_task_counts_once_and_for_a_class_of_the_task(trained):
    learner, stream, _ = trained
    experience = stream.experiences[2]
    before = learner.inference.decides.kept.counts
    learner.begin(experience, stream.images)
    added = learner.inference.decides.present(learner.inference).counts
    torch.testing.assert_close(added[:4], before)
    assert float(added[4:].sum()) == pytest.approx(len(experience.unlabelled), rel=1e-4)
    learner.inference.enter(None)


def test_labelled_images_count_for_their_own_class(trained):
    learner, stream, _ = trained
    experience = stream.experiences[2]
    learner.begin(experience, stream.images)

    def wrong(outputs, supports):
        scores = torch.zeros(len(outputs), 6)
        scores[:, 5] = 1e6
        return scores

    predict, learner.objective.predict = learner.objective.predict, wrong
    try:
        counts = learner.inference.decides.present(learner.inference).counts
    finally:
        learner.objective.predict = predict
        learner.inference.enter(None)
    given = (experience.labels == 4).sum()
    assert counts[4] == given and given > 0


def test_the_moments_of_now_are_made_once_for_each_state_of_the_network(
    small, stream_of, monkeypatch
):
    config = small("optim.epochs=1")
    stream, test = stream_of(config)
    made = []
    real = Inference.material
    monkeypatch.setattr(Inference, "material", lambda *a: made.append(1) or real(*a))

    class Look(Hooks):
        def after_training_iteration(self, loop):
            if loop.iteration == 0:
                loop.learner.predict(test.images[:5])
                loop.learner.predict(test.images[5:9])

    learner = Learner(config)
    fit(learner, stream.experiences[0], stream.images, Look())
    assert len(made) == 2  # at the first step, and when the task was over
    learner.predict(test.images[:5])
    assert len(made) == 2


def test_the_frozen_past_is_not_run_in_a_step_that_does_not_ask_for_it(
    small, stream_of, monkeypatch
):
    config = small("distiller=none", "optim.epochs=1")
    stream, _ = stream_of(config)
    learner = Learner(config)
    fit(learner, stream.experiences[0], stream.images)
    (past,) = learner.networks.pasts
    calls = []
    real = past.forward
    monkeypatch.setattr(past, "forward", lambda *a: calls.append(1) or real(*a))
    learner.begin(stream.experiences[1], stream.images)
    learner.forward(learner.batch(0, 0))
    assert not calls
    learner.inference.decides.statistics(learner.inference)
    assert calls
