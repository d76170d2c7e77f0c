"""The search: trials that begin, go on, are stopped and end, and what is kept of them."""

import itertools
import json
import signal
from types import SimpleNamespace

import numpy as np
import pytest

from contsemi.errors import ContsemiError, InputError, MethodFailed
from contsemi.tune.processes import Process, accuracies_on_the_way
from contsemi.tune.search import Search
from contsemi.tune.space import Choice, Range
from contsemi.tune.trials import Manifest, Trial


def test_accuracies_on_the_way_are_means_over_the_tasks_seen(tmp_path):
    rows = [
        {"step": 4, "task": 1, "name": "accuracy/class_incremental/task_1", "value": 0.9},
        {"step": 8, "task": 2, "name": "accuracy/class_incremental/task_1", "value": 0.4},
        {"step": 8, "task": 2, "name": "accuracy/class_incremental/task_2", "value": 0.8},
        {"step": 8, "task": 2, "name": "accuracy/task_incremental/task_2", "value": 1.0},
        {"step": 8, "task": 2, "name": "loss/x", "value": 3.0},
    ]
    text = "\n".join(json.dumps(row) for row in rows)
    (tmp_path / "metrics.jsonl").write_text(text + '\n{"step": 9, "ta')
    np.testing.assert_allclose(
        accuracies_on_the_way(tmp_path, "accuracy/class_incremental"), [0.9, 0.6]
    )
    assert accuracies_on_the_way(tmp_path / "none", "accuracy/x") == []


class Fake:
    """A run whose accuracy after each of three tasks is a function of its learning rate."""

    made: list[str]
    interrupt_at: int | None = None

    def __init__(self, settings, folder):
        self.folder, self.code, self.looks, self.stopped = folder, None, 0, False
        self.log = folder.with_suffix(".log")
        type(self).made.append(folder.name)
        values = dict(word.split("=", 1) for word in settings)
        self.rate = float(values["optim.lr"])
        folder.mkdir(parents=True, exist_ok=True)
        self.log.write_text("note: optim.lr has no effect: nothing is trained\ntask 1/3 done\n")

    @property
    def processor_seconds(self):
        return 10.0 * self.looks

    def ended(self):
        self.looks += 1
        if self.interrupt_at == len(self.made) and self.looks == 2:
            raise KeyboardInterrupt
        score = 0.9 - abs(self.rate - 0.002) * 50
        rows = [
            {"step": n, "task": n, "name": "accuracy/class_incremental/task_1", "value": score}
            for n in range(self.looks)
        ]
        (self.folder / "metrics.jsonl").write_text("\n".join(map(json.dumps, rows)))
        if self.looks == 3:
            self.code = 0
            results = {"class_incremental": {"average_accuracy": score}}
            (self.folder / "results.json").write_text(json.dumps(results))
        return self.code is not None

    def ask(self):
        self.stopped = True

    def stop(self):
        self.stopped, self.code = True, 143


@pytest.fixture
def search(tmp_path, monkeypatch):
    """Makes a search in one folder, as often as wanted, over runs that are none."""
    pytest.importorskip("optuna")
    from contsemi.tune.sampling import Sampling

    Fake.made, Fake.interrupt_at = [], None
    monkeypatch.setattr("contsemi.tune.search.Process", Fake)
    monkeypatch.setattr("contsemi.tune.search.time.sleep", lambda seconds: None)
    space = {"optim.lr": Range(0.0005, 0.008, log=True), "x": Choice((1, 2))}
    settings, progress = ["seed=100"], "accuracy/class_incremental"

    def make():
        manifest = Manifest.open(tmp_path, {"rule": "other"})
        defaults = {"optim.lr": 0.002, "x": 1}
        said = []
        return Search(manifest, Sampling(space, 0), settings, progress, defaults, said.append), said

    return make


def test_a_search_tries_the_present_values_first_and_keeps_the_best(search):
    found, said = search()
    found.run(trials=4, budget=1e9, jobs=2)
    trials = found.manifest.trials
    assert trials[0].values == {"optim.lr": 0.002, "x": 1}
    assert found.manifest.best is trials[0] and trials[0].score == pytest.approx(0.9)
    assert len({each.values["optim.lr"] for each in trials}) == 4
    note, *trials_told = said
    assert note == "note: optim.lr has no effect: nothing is trained"  # once, not by each trial
    assert len(trials_told) == 4 and trials_told[0].startswith("trial ")


def test_an_interrupted_search_goes_on_with_the_same_trials(search, tmp_path):
    whole, _ = search()
    whole.run(trials=5, budget=1e9, jobs=1)
    expected = [each.values for each in whole.manifest.trials]
    (tmp_path / "tune.json").unlink()
    Fake.made, Fake.interrupt_at = [], 3
    first, _ = search()
    with pytest.raises(KeyboardInterrupt):
        first.run(trials=5, budget=1e9, jobs=1)
    states = [each.state for each in Manifest.open(tmp_path, {"rule": "other"}).trials]
    assert states[-1] == "waiting" and len(states) == 3
    Fake.interrupt_at = None
    second, _ = search()
    second.run(trials=5, budget=1e9, jobs=1)
    assert [each.values for each in second.manifest.trials] == expected
    assert [len(list(each)) for _, each in itertools.groupby(sorted(Fake.made))] == [1, 1, 2, 1, 1]
    before = len(Fake.made)
    third, _ = search()
    third.run(trials=5, budget=1e9, jobs=1)
    assert len(Fake.made) == before


def test_no_trial_begins_when_the_time_is_spent(search):
    found, _ = search()
    found.run(trials=10, budget=65.0, jobs=1)
    assert [each.processor_seconds for each in found.manifest.trials] == [30.0] * 3


def test_a_trial_far_below_the_others_is_stopped(search):
    found, _ = search()
    known = [
        Trial(number=n, values={"optim.lr": 0.002, "x": 1}, state="finished", score=0.9,
              on_the_way=[0.9] * 3)
        for n in range(4)
    ]  # fmt: skip
    found.manifest.trials.extend(known)
    found.sampling.next_values = lambda trials: {"optim.lr": 0.008, "x": 1}
    found.run(trials=5, budget=1e9, jobs=1)
    last = found.manifest.trials[-1]
    assert last.state == "pruned" and last.score is None and last.processor_seconds < 30


def test_what_counts_is_where_a_trial_is_now_not_its_best(tmp_path):
    """In a stream accuracy falls: all trials are at their best after the first task."""
    curves = [[0.9, 0.5, 0.3 + n / 10] for n in range(4)]
    trials = [
        Trial(number=n, values={}, state="finished", on_the_way=curve)
        for n, curve in enumerate(curves)
    ]
    found = Manifest(tmp_path, {}, trials)
    for on_the_way, expected in (
        ([0.95, 0.5, 0.44], True),  # below the median of 0.3, 0.4, 0.5 and 0.6
        ([0.8, 0.4, 0.46], False),
        ([0.9], False),
        ([0.8], True),
        ([], False),
    ):
        assert found.hopeless(Trial(number=9, values={}, on_the_way=on_the_way)) is expected
    trials.pop()
    assert not found.hopeless(Trial(number=9, values={}, on_the_way=[0.1]))


def test_a_folder_answers_one_question(tmp_path):
    Manifest(tmp_path, {"rule": "other", "method": "a"}).write()
    with pytest.raises(InputError, match="its method is a, that of this command b"):
        Manifest.open(tmp_path, {"rule": "other", "method": "b"})
    (tmp_path / "tune.json").write_text("{")
    with pytest.raises(InputError, match="cannot be read"):
        Manifest.open(tmp_path, {})


def test_a_fault_in_the_code_of_a_part_ends_the_search_with_its_line(search, monkeypatch, tmp_path):
    log = tmp_path / "000.log"
    log.write_text("error: mine.py: line 3: ValueError: no; mend it there\n  File mine.py\n")
    failing = SimpleNamespace(
        ended=lambda: True, code=8, log=log, processor_seconds=1.0, stop=lambda: None
    )
    monkeypatch.setattr("contsemi.tune.search.Process", lambda *_: failing)
    found, _ = search()
    with pytest.raises(MethodFailed) as caught:
        found.run(trials=2, budget=1e9, jobs=1)
    assert str(caught.value) == "trial 0: mine.py: line 3: ValueError: no; mend it there"
    assert caught.value.trace == "  File mine.py"
    assert found.manifest.trials[0].state == "waiting"


@pytest.mark.parametrize(
    ("code", "over"), [(3, True), (6, True), (-9, False), (143, False), (5, False), (1, False)]
)
def test_only_what_its_values_did_ends_a_trial_for_good(search, monkeypatch, tmp_path, code, over):
    """A full disk, a kill or a bug of ours says nothing about a learning rate."""
    log = tmp_path / "000.log"
    log.write_text("error: the loss is not finite\n" if code == 3 else "")
    ended = SimpleNamespace(
        ended=lambda: True, code=code, log=log, processor_seconds=1.0, stop=lambda: None,
        ask=lambda: None,
    )  # fmt: skip
    monkeypatch.setattr("contsemi.tune.search.Process", lambda *_: ended)
    found, _ = search()
    if over:
        found.run(trials=2, budget=1e9, jobs=1)
        assert [each.state for each in found.manifest.trials] == ["failed"] * 2
        return
    with pytest.raises(ContsemiError, match=r"trial 0: .* give the same command") as caught:
        found.run(trials=2, budget=1e9, jobs=1)
    assert caught.value.exit_code == (137 if code == -9 else code)
    monkeypatch.setattr("contsemi.tune.search.Process", Fake)
    again, _ = search()
    again.run(trials=2, budget=1e9, jobs=1)
    assert [each.state for each in again.manifest.trials] == ["finished"] * 2


def test_all_that_train_are_asked_to_end_before_one_is_waited_for(search, monkeypatch):
    order = []

    class Slow(Fake):
        def ask(self):
            order.append("ask")

        def stop(self):
            order.append("stop")
            super().stop()

    monkeypatch.setattr("contsemi.tune.search.Process", Slow)
    Slow.interrupt_at = 2
    found, _ = search()
    with pytest.raises(KeyboardInterrupt):
        found.run(trials=4, budget=1e9, jobs=2)
    assert order == ["ask", "ask", "stop", "stop"]


def test_a_run_is_asked_to_end_once(monkeypatch, tmp_path):
    """A second signal ends it on the spot, and what it was saving is lost."""
    sent = []
    child = SimpleNamespace(pid=1, send_signal=sent.append)
    monkeypatch.setattr("contsemi.tune.processes.started", lambda *_: child)
    usage = SimpleNamespace(ru_utime=1.0, ru_stime=0.5)
    monkeypatch.setattr(
        "os.wait4", lambda pid, flags: (0, 0, usage) if flags else (pid, 143 << 8, usage)
    )
    process = Process([], tmp_path / "000")
    process.ask()
    process.stop()
    assert sent == [signal.SIGTERM] and process.code == 143 and process.processor_seconds == 1.5


def test_a_kill_loses_a_minute_of_the_account_at_most(search, monkeypatch, tmp_path):
    clock = itertools.count(0.0, 31.0)
    monkeypatch.setattr("contsemi.tune.search.time.monotonic", lambda: next(clock))

    class Killed(Fake):
        def ended(self):
            if self.looks == 2:  # of three
                kept.append((tmp_path / "tune.json").read_text())
            return super().ended()

    kept = []
    monkeypatch.setattr("contsemi.tune.search.Process", Killed)
    found, _ = search()
    found.run(trials=1, budget=1e9, jobs=1)
    taken = [json.loads(text)["trials"][0]["processor_seconds"] for text in kept]
    assert taken and taken[0] > 0
