"""The loop: the order of events, many hooks as one, stopping, going on inside a task."""

import pytest
import torch

from contsemi.learner.learner import Learner
from contsemi.learner.loop import HookList, Hooks, fit

EVENTS = [
    "before_training_epoch",
    "before_training_iteration",
    "before_forward",
    "after_forward",
    "before_backward",
    "after_backward",
    "before_update",
    "after_update",
    "after_training_iteration",
    "after_training_epoch",
    "after_training_exp",
]


class Scribe(Hooks):
    """Writes down every event; what it does beside is given by name."""

    def __init__(self, name="", log=None, **actions):
        self.name, self.log, self.actions = name, [] if log is None else log, actions

    def note(self, event, loop):
        self.log.append((self.name, event, loop.epoch, loop.iteration))
        self.actions.get(event, lambda loop: None)(loop)


for event in EVENTS:
    setattr(Scribe, event, lambda self, loop, event=event: self.note(event, loop))


class Learns:
    """Stands for a learner: two epochs of three steps, of which it writes down the parts."""

    epochs, steps_per_epoch = 2, 3

    def __init__(self, log):
        self.log = log

    def begin(self, experience, images):
        self.log.append("begin")

    def batch(self, epoch, iteration):
        self.log.append("batch")
        return epoch, iteration

    def forward(self, batch):
        self.log.append("forward")
        return batch

    def loss(self, step):
        self.log.append("loss")
        return torch.tensor(3.0), {"term": torch.tensor(3.0)}

    def backward(self, loss):
        self.log.append(("backward", float(loss)))

    def update(self):
        self.log.append("update")

    def end(self):
        self.log.append("end")


def iteration_of(log):
    """The names of one iteration in ``log``."""
    start = log.index("batch")
    names = [
        each[1] if isinstance(each, tuple) and len(each) == 4 else each for each in log[start:]
    ]
    return names[: names.index("after_training_iteration") + 1]


def test_the_order_of_one_iteration():
    log = []
    fit(Learns(log), None, None, Scribe(log=log))
    assert iteration_of(log) == [
        "batch",
        "before_training_iteration",
        "before_forward",
        "forward",
        "after_forward",
        "loss",
        "before_backward",
        ("backward", 3.0),
        "after_backward",
        "before_update",
        "update",
        "after_update",
        "after_training_iteration",
    ]
    assert log[0] == "begin" and log[1][1] == "before_training_epoch"
    assert [each[1] for each in log[-3:-1]] == ["after_training_epoch", "after_training_exp"]
    assert log[-1] == "end"


def test_every_step_of_every_epoch_comes_once():
    scribe = Scribe()
    fit(Learns([]), None, None, scribe)
    places = [each[2:] for each in scribe.log if each[1] == "after_update"]
    assert places == [(epoch, i) for epoch in range(2) for i in range(3)]
    assert [each[1] for each in scribe.log].count("before_training_epoch") == 2


def test_the_events_are_those_of_avalanche():
    from avalanche.training.plugins import SupervisedPlugin

    assert [name for name in vars(Hooks) if not name.startswith("__")] == EVENTS
    assert [name for name in EVENTS if not hasattr(SupervisedPlugin, name)] == []


def test_a_list_calls_its_hooks_in_order_and_lists_nest():
    log = []
    inner = HookList([Scribe("b", log), Hooks(), Scribe("c", log)])
    fit(Learns([]), None, None, HookList([Scribe("a", log), inner]))
    names = [name for name, *_ in log]
    assert names == ["a", "b", "c"] * (len(names) // 3)
    alone = Scribe("a")
    fit(Learns([]), None, None, alone)
    assert [each for each in log if each[0] == "a"] == alone.log


def test_a_list_calls_only_hooks_that_do_something(monkeypatch):
    def called(self, loop):
        raise AssertionError

    class Idle(Hooks):
        pass

    idle = HookList([Idle()])
    for event in EVENTS:
        monkeypatch.setattr(Hooks, event, called)
    for event in EVENTS:
        getattr(idle, event)(None)


def test_the_loss_may_be_replaced():
    log = []

    def halve(loop):
        assert loop.terms["term"] == 3.0
        loop.loss = loop.loss / 2

    fit(Learns(log), None, None, Scribe(before_backward=halve))
    assert log.count(("backward", 1.5)) == 6


def stop(loop):
    loop.stop = True


@pytest.mark.parametrize(
    ("event", "updates", "epochs_ended"),
    [("after_update", 1, 1), ("after_training_epoch", 3, 1), ("before_training_epoch", 0, 0)],
)
def test_stop_leaves_the_task_but_ends_it_well(event, updates, epochs_ended):
    log = []
    scribe = Scribe(**{event: stop})
    fit(Learns(log), None, None, scribe)
    assert log.count("update") == updates
    assert [each[1] for each in scribe.log].count("after_training_epoch") == epochs_ended
    assert log[-1] == "end"


@pytest.mark.parametrize("start", [(0, 2), (1, 0), (1, 2), (2, 0)])
def test_going_on_inside_a_task(start):
    log = []
    scribe = Scribe()
    fit(Learns(log), None, None, scribe, start)
    assert "begin" not in log and log[-1] == "end"
    places = [each[2:] for each in scribe.log if each[1] == "after_update"]
    assert places == [(e, i) for e in range(2) for i in range(3) if (e, i) >= start]


def test_what_hooks_see_of_a_real_learner(small, stream_of):
    config = small("optim.epochs=1")
    stream, _ = stream_of(config)
    learner = Learner(config)
    seen = []

    def look(loop):
        assert loop.learner is learner
        total = sum(learner.weights[name] * value for name, value in loop.terms.items())
        torch.testing.assert_close(loop.loss, total)
        assert len(loop.step.unlabelled_ids) == len(loop.batch.images["unlabelled"]) == 96
        grads = [p.grad for p in learner.network.parameters()]
        seen.append(sum(grad is not None for grad in grads))

    fit(learner, stream.experiences[0], stream.images, Scribe(after_backward=look))
    assert len(seen) == len(stream.experiences[0].unlabelled) // 96 and min(seen) > 0
