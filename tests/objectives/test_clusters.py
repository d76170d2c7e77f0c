"""SwAV, DINO and Daino in a stream and without one: labels, growing classes, queues, accuracy."""

import pytest
import torch

from contsemi import compose
from contsemi.errors import InputError
from contsemi.evaluation.answers import evaluate
from contsemi.learner.learner import Learner
from contsemi.learner.loop import fit
from contsemi.objectives.daino import Daino
from contsemi.objectives.dino import Dino
from contsemi.objectives.swav import Swav
from contsemi.types import Experience, Outputs

BATCH, CLUSTERS = 4, 5
VIEWS = {"large_views": 2, "small_views": 0, "supports_per_class": 0, "smoothing": 0.0}
SLOW = {
    "directions": "weight_norm",
    "temperature": 0.1,
    "teacher": [0.9, 1.0],
    "teacher_temperature": [0.04, 0.04],
    "teacher_warmup": 0,
    "centre_momentum": 0.9,
}


def swav(labelled_views=1, **changes):
    options = {
        "clusters": CLUSTERS,
        "temperature": 0.1,
        "epsilon": 0.05,
        "iterations": 3,
        "queue": 0,
        "queue_from": 0,
        "vote_temperature": 0.1,
    }
    return Swav(**VIEWS | options | {"labelled_views": labelled_views} | changes)


def dino(labelled_views=1, **changes):
    options = VIEWS | SLOW | {"clusters": CLUSTERS, "vote_temperature": 0.1}
    return Dino(**options | {"labelled_views": labelled_views} | changes)


def daino(**changes):
    options = {"labelled_views": 1, "ramp": 0.0, "mix_labelled": False}
    return Daino(**VIEWS | SLOW | options | changes)


def scores(rows, columns=CLUSTERS, seed=0):
    return torch.rand(rows, columns, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def outputs(scores, head="clusters", **more):
    return Outputs(scores, {head: scores, "projector": scores} | more, {head: torch.eye(5)})


def experience(index, seen, new=2):
    empty = torch.empty(0, dtype=torch.int64)
    columns = tuple(range(seen - new, seen))
    return Experience(index, columns, seen - new, seen, empty, empty, empty)


@pytest.mark.parametrize("make", [swav, dino])
def test_labels_are_a_term_of_their_own(make, make_step):
    """Without a labelled row the loss is the self-supervised one, bit for bit."""
    large, teacher = outputs(scores(2 * BATCH)), outputs(scores(2 * BATCH, seed=1))
    facts = {"large": large, "teacher": teacher, "batch_size": BATCH}
    rows = outputs(scores(2), classifier=scores(2, 2, seed=2))
    with_labels = make_step(labelled=rows, labels=torch.tensor([0, 1]), **facts)
    alone = make(labelled_views=0)
    assert "classifier" not in alone.needs.head_names and "labelled" not in alone.needs.views
    expected = alone.terms(make_step(**facts))
    assert expected.keys() == {"clustering"}
    for objective, step in (
        (make(), make_step(**facts)),
        (make(), with_labels),
        (make(labelled_views=0), with_labels),
    ):
        terms = objective.terms(step)
        assert torch.equal(terms.pop("clustering"), expected["clustering"])
        assert terms.keys() == ({"labels"} if "labelled" in objective.needs.views else set()) & (
            {"labels"} if "labelled" in step.seen else set()
        )
    loss = make().terms(with_labels)["labels"]
    wanted = torch.nn.functional.cross_entropy(rows["classifier"], with_labels.labels)
    torch.testing.assert_close(loss, wanted)


@pytest.mark.parametrize("make", [swav, dino])
def test_the_labelled_images_at_hand_predict(make):
    objective = make()
    objective.begin(experience(1, 4))
    supports = Outputs(torch.eye(4)), torch.tensor([0, 1, 1, 3])
    scores = objective.predict(Outputs(torch.eye(4) * 7), supports)
    assert scores.argmax(1).tolist() == [0, 1, 1, 3]
    torch.testing.assert_close(scores.exp().sum(1), torch.ones(4))
    with pytest.raises(RuntimeError, match="labelled"):
        objective.predict(Outputs(torch.eye(4)), None)


def test_the_queue_starts_at_its_epoch_and_ends_with_the_task(make_step):
    objective = swav(queue=BATCH, queue_from=2)

    def play(epoch, seed):
        large = outputs(scores(2 * BATCH, seed=seed))
        loss = objective.terms(make_step(large=large, batch_size=BATCH, epoch=epoch))["clustering"]
        plain = swav().terms(make_step(large=large, batch_size=BATCH))["clustering"]
        objective.after_step()
        return torch.equal(loss, plain)

    assert play(0, 0) and play(1, 1)
    assert not objective.shares.queue.written
    assert play(2, 2)  # nothing in it yet
    assert not play(2, 3)
    objective.end(experience(0, 2))
    assert play(2, 4)


def test_the_centre_grows_with_the_classes_and_old_ones_rest(make_step):
    objective = daino()
    objective.begin(experience(0, 2))

    def play(old, seen, seed):
        teacher = outputs(scores(2 * BATCH, seen, seed=seed), "prototypes")
        large = outputs(scores(2 * BATCH, seen, seed=seed + 1), "prototypes")
        large["prototypes"].requires_grad_()
        facts = {"num_old": old, "num_seen": seen, "batch_size": BATCH}
        step = make_step(large=large, teacher=teacher, **facts)
        objective.terms(step)["clustering"].backward()
        objective.after_step()
        return teacher["prototypes"], large["prototypes"].grad

    said, _ = play(0, 2, 0)
    torch.testing.assert_close(objective.centre.value, 0.1 * said.mean(0))
    first = objective.centre.value.clone()
    objective.begin(experience(1, 4))
    assert torch.equal(objective.centre.value, torch.cat([first, torch.zeros(2)]))
    said, grad = play(2, 4, 5)
    assert torch.equal(objective.centre.value[:2], first)
    torch.testing.assert_close(objective.centre.value[2:], 0.1 * said.mean(0)[2:])
    assert not grad[:, :2].any() and grad[:, 2:].all()
    restored = daino()
    restored.begin(experience(1, 4))
    restored.load_state_dict(objective.state_dict())
    assert torch.equal(restored.centre.value, objective.centre.value)


def test_the_teacher_gets_warmer_epoch_by_epoch(make_step):
    warm = dino(teacher_temperature=[0.04, 0.08], teacher_warmup=3)
    facts = {"large": outputs(scores(8)), "teacher": outputs(scores(8, seed=1)), "batch_size": 4}
    for epoch, temperature in enumerate([0.04, 0.06, 0.08, 0.08]):
        fixed = dino(teacher_temperature=[temperature, temperature])
        expected = fixed.terms(make_step(**facts))["clustering"]
        found = warm.terms(make_step(**facts, epoch=epoch))["clustering"]
        torch.testing.assert_close(found, expected)


@pytest.mark.parametrize(
    ("make", "change", "key"),
    [
        (swav, {"large_views": 1}, "large_views"),
        (dino, {"teacher": []}, "teacher"),
        (daino, {"teacher": [0.9]}, "teacher"),
    ],
)
def test_what_cannot_be_is_refused(make, change, key):
    with pytest.raises(InputError, match=f"objective.{key}"):
        make(**change)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["swav", "dino", "suave", "daino"])
def test_without_a_stream_it_is_a_semi_supervised_learner(method, stream_of):
    """Ten classes in one task, seven labels each, a few seconds of training; chance is 0.1."""
    words = ["scenario.tasks=1", "model.width=8", "optim.epochs=6", "precision=fp32", "device=cpu"]
    config = compose.load([f"method={method}", *words])
    stream, test = stream_of(config)
    learner = Learner(config)
    fit(learner, stream.experiences[0], stream.images)
    accuracy = evaluate(learner.inference, test.images, stream.test, 1).class_incremental[0]
    assert accuracy > 0.7
