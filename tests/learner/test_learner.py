"""The learner: growing heads, restoring inside and between tasks, iterators without an end."""

import pytest
import torch

from contsemi.data.arrivals import Arrivals
from contsemi.errors import InputError, StateDamaged
from contsemi.learner.learner import Learner
from contsemi.learner.loop import Hooks, fit
from contsemi.storage.checkpoint import Checkpoints
from contsemi.storage.tensors import flatten

EMBEDDINGS = ("memory.embeddings=30", "distiller.neighbours=5")


class Stopped(Exception):
    pass


class StopAt(Hooks):
    def __init__(self, steps):
        self.left = steps

    def after_training_iteration(self, loop):
        self.left -= 1
        if not self.left:
            raise Stopped


def run_whole(config, stream):
    learner = Learner(config)
    for experience in stream.experiences[:3]:
        fit(learner, experience, stream.images)
    return flatten(learner.state())


@pytest.mark.parametrize("optimiser", ["adamw", "sgd", "lars"])
@pytest.mark.parametrize("place", ["inside", "between"])
@pytest.mark.thorough
def test_a_restored_learner_goes_on_to_the_same_bits(optimiser, place, small, stream_of, tmp_path):
    config = small(f"optim.name={optimiser}", "optim.lr=0.01", *EMBEDDINGS)
    stream, _ = stream_of(config)
    whole = run_whole(config, stream)

    first = Learner(config)
    fit(first, stream.experiences[0], stream.images)
    start = None
    if place == "inside":
        first_steps = Learner(config)  # a learner of its own, so that nothing leaks by reference
        fit(first_steps, stream.experiences[0], stream.images)
        with pytest.raises(Stopped):
            fit(first_steps, stream.experiences[1], stream.images, StopAt(3))
        first, done = first_steps, 3
        start = divmod(done, first.steps_per_epoch)
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(first.state(), {"steps": first.step_in_task})
    state, record = checkpoints.load()

    second = Learner(config)
    inside = place == "inside"
    second.restore(
        state,
        stream.experiences[1 if inside else 0],
        stream.images,
        record["steps"] if inside else None,
    )
    for experience in stream.experiences[1:3]:
        fit(second, experience, stream.images, None, start)
        start = None
    resumed = flatten(second.state())
    assert whole.keys() == resumed.keys()
    assert [name for name in whole if not torch.equal(whole[name], resumed[name])] == []


def test_experiences_of_unknown_number_grow_the_heads(small, stream_of):
    """A user's own iterator: nobody says how many classes will come, or in which order."""
    config = small("optim.epochs=1")
    stream, _ = stream_of(config)
    learner, arrivals = Learner(config), Arrivals()
    order = (3, 0, 4)
    for task in order:
        own = stream.experiences[task]
        classes = own.labels + 100  # class ids of the user's own
        fit(learner, arrivals.add(own.labelled, classes, own.unlabelled), stream.images)
    assert learner.num_seen == 6
    assert learner.predict(stream.images[:5]).shape == (5, 6)
    first = set(range(6, 8))
    assert {c - 100 for c in arrivals.class_order[:2]} == first


def test_prediction_leaves_no_trace(small, stream_of):
    config = small()
    stream, _ = stream_of(config)
    learner = Learner(config)
    fit(learner, stream.experiences[0], stream.images)
    before = flatten(learner.state())
    one = learner.predict(stream.images[:50])
    two = torch.cat([learner.predict(stream.images[:20]), learner.predict(stream.images[20:50])])
    torch.testing.assert_close(one, two, atol=5e-2, rtol=0)  # bfloat16 sums in another order
    after = flatten(learner.state())
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_predicting_from_no_exemplars_says_what_to_do(small, stream_of):
    config = small("method=pixel_knn", "memory.exemplars=0")
    stream, _ = stream_of(config)
    learner = Learner(config)
    fit(learner, stream.experiences[0], stream.images)
    with pytest.raises(InputError, match=r"memory.exemplars: .*set memory.exemplars above 0"):
        learner.predict(stream.images[:2])


def test_a_term_without_a_weight_is_named(small, stream_of):
    config = small()
    weights = {"objective": config.objective | {"weights": {"labels": 1.0}}}
    stream, _ = stream_of(config)
    with pytest.raises(InputError, match="the term 'clustering' has no weight"):
        fit(Learner(config.model_copy(update=weights)), stream.experiences[0], stream.images)


def test_parameters_that_an_objective_grows_are_trained(small, stream_of):
    config = small("optim.epochs=1")
    stream, _ = stream_of(config)
    learner = Learner(config)

    def begin(experience):
        learner.objective.own = torch.nn.Parameter(torch.zeros(experience.num_seen))

    learner.objective.begin = begin
    for experience in stream.experiences[:2]:
        learner.begin(experience, stream.images)
        groups = learner.optimizer.param_groups
        held = {id(param) for group in groups for param in group["params"]}
        assert id(learner.objective.own) in held
        learner.end()


RETURNING = [[0, 1], [1, 2], [0, 3], [2, 4], [1, 3], [0, 4]]


@pytest.mark.parametrize("method", [[], ["objective=swav"], ["objective=csl", "distiller=nnd"]])
@pytest.mark.parametrize("named", [True, False], ids=["named", "unnamed"])
@pytest.mark.quick(2)
def test_classes_return_without_a_label(method, named, small, stream_of):
    config = small("memory.exemplars=10", "optim.epochs=1", *method)
    _, images = stream_of(config)
    arrivals, learner, known = Arrivals(), Learner(config), set()
    for task, classes in enumerate(RETURNING):
        rows = [(images.targets == c).nonzero().flatten()[10 * task :][:10] for c in classes]
        new = [own[:1] for own, c in zip(rows, classes, strict=True) if c not in known]
        labelled = torch.cat([*new, torch.empty(0, dtype=torch.int64)])
        present = torch.tensor(classes) if named else None
        experience = arrivals.add(labelled, images.targets[labelled], torch.cat(rows), present)
        known |= set(classes)
        fit(learner, experience, images.images)
        scores = learner.predict(images.images[:4])
        assert scores.shape == (4, len(known))
        assert scores.isfinite().all()


@pytest.mark.parametrize("method", [[], ["objective=csl", "distiller=nnd"], ["predict=moments"]])
@pytest.mark.quick(1)
def test_no_label_in_the_first_task(method, small, stream_of):
    config = small("memory.exemplars=10", "optim.epochs=1", *method)
    config = config.model_copy(update={"label_ratio": ["0%", "5%", "0%", "5%", "5%"]})
    stream, _ = stream_of(config)
    learner = Learner(config)
    for experience in stream.experiences[:3]:
        fit(learner, experience, stream.images)
        assert not learner.predict(stream.images[:4]).isnan().any()


def statistics(network):
    return {name: x.clone() for name, x in network.named_buffers() if "running" in name}


@pytest.mark.parametrize("method", ["objective.teacher=[0.9,1.0]", "objective=byol"])
@pytest.mark.thorough
def test_frozen_statistics_stand_still_in_every_copy(method, small, stream_of):
    config = small("optim.freeze_batch_norm=true", "optim.epochs=1", method)
    stream, _ = stream_of(config)
    learner = Learner(config)
    fit(learner, stream.experiences[0], stream.images)
    assert learner.networks.teacher is not None
    copies = (learner.network, learner.networks.teacher.network)
    before = [statistics(network) for network in copies]
    fit(learner, stream.experiences[1], stream.images)
    for old, network in zip(before, copies, strict=True):
        for name, value in statistics(network).items():
            assert torch.equal(value, old[name]), name


@pytest.mark.thorough
def test_statistics_that_are_not_frozen_move_in_both(small, stream_of):
    config = small("optim.epochs=1", "objective.teacher=[0.9,1.0]")
    stream, _ = stream_of(config)
    learner = Learner(config)
    fit(learner, stream.experiences[0], stream.images)
    copies = (learner.network, learner.networks.teacher.network)
    before = [statistics(network) for network in copies]
    fit(learner, stream.experiences[1], stream.images)
    for old, network in zip(before, copies, strict=True):
        assert any(not torch.equal(x, old[name]) for name, x in statistics(network).items())


def test_a_fault_of_the_method_is_no_damage_of_the_state(small, stream_of, monkeypatch):
    config = small("optim.epochs=1")
    stream, _ = stream_of(config)
    first, second = Learner(config), Learner(config)
    fit(first, stream.experiences[0], stream.images)

    def begin(experience):
        raise ValueError("the method's own fault")

    monkeypatch.setattr(second.objective, "begin", begin)
    with pytest.raises(ValueError, match="the method's own fault"):
        second.restore(first.state(), stream.experiences[0], stream.images, None)
    monkeypatch.undo()
    with pytest.raises(StateDamaged, match=r"(?s)^here: .*does not fit .*; take a copy$"):
        second.restore({}, stream.experiences[0], stream.images, None, ("here", "take a copy"))
