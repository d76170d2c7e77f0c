"""What is watched between the steps: signals, numbers that are none, clocks, metrics."""

import json
import signal
from contextlib import nullcontext
from types import SimpleNamespace

import pytest
import torch

from contsemi.devices.threads import Threads
from contsemi.errors import Diverged, Interrupted
from contsemi.learner.loop import Loop
from contsemi.pipeline import tally
from contsemi.pipeline.interval import Interval
from contsemi.pipeline.signals import Signals
from contsemi.pipeline.tally import Tally
from contsemi.pipeline.watch import STEPS_BETWEEN_LOOKS, Watch
from contsemi.records.records import Records
from contsemi.storage.ledger import Mark


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands until it is told otherwise."""
    made = SimpleNamespace(now=100.0)
    monkeypatch.setattr(tally.time, "monotonic", lambda: made.now)
    return made


class Screen:
    def __init__(self):
        self.shown = []

    def progress(self, event):
        self.shown.append(event)

    def note(self, text):
        self.shown.append(text)


@pytest.fixture
def watched(clock, tmp_path):
    """A watch over a made-up second task of 2 epochs of 30 steps, one second each."""

    class Watched:
        def __init__(self, every=0.0, steps=30, max_loss=0.0):
            self.saved, self.costs = [], []
            self.screen, self.signals = Screen(), Signals()
            self.records = Records(tmp_path)
            self.tally, self.interval = Tally(), Interval(every)
            setting = SimpleNamespace(
                display=self.screen,
                records=self.records,
                signals=self.signals,
                tasks=3,
                config=SimpleNamespace(
                    optim=SimpleNamespace(max_loss=max_loss),
                    method="suave",
                    scenario=SimpleNamespace(dataset="cifar100", name="cifar100_10tasks"),
                    data=SimpleNamespace(root="here"),
                ),
                threads=Threads(2, "threads=2"),
            )
            self.watch = Watch(setting, self.tally, self.interval, save=self.save)
            learner = SimpleNamespace(
                epochs=2,
                steps_per_epoch=steps,
                step_in_task=0,
                experience=SimpleNamespace(index=1),
                rate=0.25,
            )
            self.loop = Loop(learner)

        def save(self, place):
            assert (place.task, place.trained) == (1, False)
            self.saved.append(place.inside)
            self.interval.took = self.costs.pop(0) if self.costs else 0.0
            clock.now += self.interval.took
            self.interval.begin()

        def step(self, epoch, iteration, value=1.0, elsewhere=False, seconds=1):
            loop = self.loop
            loop.epoch, loop.iteration = epoch, iteration
            loop.batch = SimpleNamespace(
                labelled_ids=torch.arange(4), unlabelled_ids=torch.arange(10, 16)
            )
            loop.terms = {"labels": torch.tensor(value, requires_grad=True)}
            loop.loss = loop.terms["labels"] * 2
            if elsewhere:
                loss = loop.loss
                device = SimpleNamespace(type="cuda")
                loop.loss = SimpleNamespace(detach=loss.detach, device=device)
            if not iteration:
                self.watch.before_training_epoch(loop)
            self.watch.before_forward(loop)
            self.watch.before_backward(loop)
            clock.now += seconds
            self.watch.after_update(loop)
            loop.learner.step_in_task += 1
            self.watch.after_training_iteration(loop)

        def metrics(self):
            self.records.flush()
            text = (tmp_path / "metrics.jsonl").read_text()
            return [json.loads(line) for line in text.splitlines()]

    return Watched


def run_steps(watched, first, last, steps=30):
    for i in range(first, last):
        watched.step(*divmod(i, steps))


@pytest.mark.parametrize(
    ("place", "saved"), [((0, 7), (0, 8)), ((0, 29), (1, 0)), ((1, 29), (2, 0))]
)
def test_a_signal_saves_and_stops_after_the_step(place, saved, watched):
    it = watched()
    it.signals.received = signal.SIGTERM
    with pytest.raises(Interrupted) as caught:
        it.step(*place)
    assert caught.value.exit_code == 143
    assert it.saved == [saved]


def test_saves_as_often_as_asked(watched):
    it = watched(every=10)
    run_steps(it, 0, 35)
    assert it.saved == [(0, 10), (0, 20), (1, 0)]


def test_auto_saves_each_minute_or_as_rarely_as_saving_costs(watched, clock):
    it = watched(every="auto", steps=1000)
    it.costs = [0.5, 2.0]
    run_steps(it, 0, 390, steps=1000)
    assert it.saved == [(0, 60), (0, 120), (0, 318), (0, 378)]  # 2 s are 1 % of 200


def test_zero_seconds_saves_nothing_inside_a_task(watched):
    it = watched(every=0)
    run_steps(it, 0, 60)
    assert it.saved == []


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number_names_the_place(value, watched):
    it = watched(every=1)
    it.step(1, 3)
    with pytest.raises(Diverged) as caught:
        it.step(1, 4, value)
    said = str(caught.value)
    for part in ("task 2", "epoch 2", "step 5", "labels", "rate 0.25", "[0, 1, 2, 3, 10,", "lower"):
        assert part in said
    assert it.saved == [(1, 4)]


def test_on_an_accelerator_the_first_bad_step_is_named_before_saving(watched):
    """There the host does not wait for each loss; what went wrong meanwhile is not forgotten."""
    it = watched(every=0.55)
    for i, value in enumerate((1.0, 1.0, float("nan"), float("inf"), 1.0)):
        it.step(0, i, value, elsewhere=True, seconds=0.1)
    with pytest.raises(Diverged, match=r"epoch 1, step 3 \(labels nan\)"):
        it.step(0, 5, elsewhere=True, seconds=0.1)
    assert it.saved == []


@pytest.mark.parametrize(("value", "ends"), [(5e5, False), (-5e5, False), (6e5, True)])
def test_a_loss_that_explodes_ends_the_run(value, ends, watched):
    it = watched(max_loss=1e6)
    with (
        pytest.raises(Diverged, match=r"1\.2e\+06 is larger than optim\.max_loss=1e\+06")
        if ends
        else nullcontext()
    ):
        it.step(0, 0, value)  # the loss is twice the term


def test_metrics_are_written_at_the_same_steps_wherever_a_run_was_interrupted(watched):
    steps = STEPS_BETWEEN_LOOKS + 10
    whole = watched(steps=steps)
    run_steps(whole, 0, 2 * steps, steps)
    expected = whole.metrics()
    assert [line["step"] for line in expected] == [20, 30, 40, 60]
    assert {line["name"] for line in expected} == {"loss/labels"}
    assert {line["task"] for line in expected} == {2}
    whole.records.truncate(Mark.start())
    resumed = watched(steps=steps)
    resumed.tally.steps = 7
    run_steps(resumed, 7, 2 * steps, steps)
    assert resumed.metrics() == expected


def test_a_step_without_terms_writes_none(watched):
    it = watched(steps=1)
    it.step(0, 0)
    it.loop.terms, it.loop.loss = {}, torch.zeros(())
    it.watch.look(it.loop)
    assert len(it.metrics()) == 1
    assert it.screen.shown[-1].losses == {}


def test_what_the_screen_is_told(watched, clock):
    it = watched()
    it.watch.accuracies = [0.5]
    run_steps(it, 0, 20)
    first, *_, event = it.screen.shown
    assert (first.step, first.steps, first.seconds_left) == (0, 30, None)  # before the first step
    assert it.screen.shown[1].seconds_left is None
    assert it.screen.shown[2].seconds_left == pytest.approx(118)  # after two of them
    assert (event.task, event.tasks, event.epoch, event.epochs) == (1, 3, 0, 2)
    assert (event.step, event.steps) == (20, 30)
    assert event.losses == {"labels": 1.0}
    assert event.images_per_second == pytest.approx(10)  # 10 images a step, a second each
    assert event.seconds_left == pytest.approx(100)  # 2 tasks of 60 steps, 20 of them done
    assert it.tally.images == 200
    it.tally.seconds_before = 5
    assert it.tally.seconds == pytest.approx(25)


def test_between_the_looks_the_screen_is_told_each_second_and_the_records_are_not(watched):
    it = watched(steps=1000)
    for i in range(12):
        it.step(0, i, seconds=0.3)
    assert [event.step for event in it.screen.shown] == [0, 1, 2, 6, 10]
    assert it.metrics() == []


@pytest.mark.parametrize(("steps", "told"), [(30, False), (40_000, True)])
def test_where_days_are_left_a_run_that_finishes_is_named(steps, told, watched):
    it = watched(steps=steps)
    run_steps(it, 0, 20, steps)
    notes = [text for text in it.screen.shown if isinstance(text, str)]
    assert len(notes) == told
    if told:
        assert "1 d 20 h" in notes[0]
        assert "contsemi.run experiment=cifar100_laptop method=suave data.root=here" in notes[0]


def test_a_busy_machine_is_said_once(watched):
    it = watched(steps=1000)
    for i in range(60):
        it.step(0, i, seconds=0.5 if i < 20 else 2.0)
    notes = [text for text in it.screen.shown if isinstance(text, str)]
    assert len(notes) == 1
    assert "3.1 times longer than the first ones did: the machine is busy; threads=1" in notes[0]


@pytest.mark.parametrize(
    "seconds", [[0.001] * 20 + [0.01] * 40, [9.0] + [1.0] * 59, [1.0] * 20 + [2.5] * 40]
)
def test_short_steps_a_slow_first_one_and_a_little_more_are_no_busy_machine(seconds, watched):
    it = watched(steps=1000)
    for i, each in enumerate(seconds):
        it.step(0, i, seconds=each)
    assert not [text for text in it.screen.shown if isinstance(text, str)]
