"""Choosing settings: what is searched where, that it goes on, and that a slip is one line."""

import itertools
import json
from types import SimpleNamespace

import numpy as np
import pytest
import yaml

from contsemi import compose, run
from contsemi.compose import files
from contsemi.compose.parts import at
from contsemi.errors import InputError, MethodFailed
from contsemi.tune.__main__ import main
from contsemi.tune.processes import accuracies_on_the_way
from contsemi.tune.rules import RULES, other_classes
from contsemi.tune.search import Search
from contsemi.tune.space import Choice, Range, space_of
from contsemi.tune.trials import Manifest, Trial

METHODS = [
    name for name in files.names("method") if "search" in files.read(files.find("method", name))
]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.quick(1)
def test_every_search_space_holds_its_method_s_own_values(method):
    config = compose.load([f"method={method}"])
    space = space_of(config, [f"method={method}"])
    values = config.model_dump()
    for key, entry in space.items():
        assert entry.holds(at(values, key)), f"{key}={at(values, key)}"


def test_a_search_space_is_no_part_of_a_run():
    assert "search" not in compose.load(["method=contsemi"]).model_dump()
    assert "search" not in compose.to_yaml(compose.load(["method=derpp"]))


def test_a_key_that_the_command_sets_is_not_searched():
    words = ["method=replay", "optim.lr=0.001"]
    assert "optim.lr" not in space_of(compose.load(words), words)


@pytest.mark.parametrize(
    ("search", "said"),
    [
        ("{optim.lr: [0.1]}", "two or more different values"),
        ("{optim.lr: {low: 1, high: 0.5}}", "low < high"),
        ("{optim.lr: {low: 0, high: 0.5, log: true}}", "above 0 where log"),
        ("{optim.lt: [0.1, 0.2]}", "did you mean optim.lr"),
        ("{optim.lr: [0.1, -1]}", "cannot be tried"),
        ("{optim.lr: {times: 1}}", "times above 1"),
        ("{queue: {times: 2}}", "is 0 as it is configured"),
        ("[1]", "expected dotted keys"),
    ],
)
def test_a_wrong_search_space_names_its_file(tmp_path, monkeypatch, search, said):
    path = tmp_path / "suave.yaml"
    path.write_text(f"search: {search}\n")
    found = files.find
    monkeypatch.setattr(
        files, "find", lambda group, name: path if group == "method" else found(group, name)
    )
    config = SimpleNamespace(method="suave", model_dump=lambda: {"queue": 0, "optim": {"lr": 1.0}})
    with pytest.raises(InputError, match=r"suave\.yaml: search") as error:
        space_of(config, ["objective=suave"])
    assert said in str(error.value)


def test_other_classes_are_as_many_and_none_of_the_scenario():
    scenario = compose.load(["scenario=cifar100_mini"]).scenario
    assert other_classes(scenario) == list(range(20, 40))
    late = scenario.model_copy(update={"classes": list(range(85, 95))})
    found = other_classes(late)
    assert found == [*range(5), *range(95, 100)]


@pytest.mark.parametrize("scenario", ["digits_5tasks", "cifar100_10tasks", "image_folder"])
@pytest.mark.quick(1)
def test_rule_other_says_where_no_class_is_left(tmp_path, capsys, scenario):
    words = [f"scenario={scenario}", "method=suave", "--output", str(tmp_path / "out")]
    words += ["data.root=/tmp"] if scenario == "image_folder" else []
    assert main(words) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: --rule other: ") and err.count("\n") == 1
    assert "--rule first" in err and not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "words",
    [
        ["--trials", "0"],
        ["--budget", "0"],
        ["--jobs", "0"],
        ["--seeds", "a"],
        ["--validation", "1"],
        ["--rule", "best"],
        ["lr"],
        ["optim.lt=1"],
        ["seed=3"],
        ["output=here"],
        ["scenario.validation=0.1"],
        ["--classes", "[1,2]"],
    ],
)
@pytest.mark.quick(4)
def test_wrong_words_are_one_line_and_nothing_is_written(tmp_path, capsys, words):
    given = ["method=replay", "--rule", "first", "--output", str(tmp_path / "out")]
    assert main([*given, *words]) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: ") and err.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.thorough
def test_the_seed_of_the_trials_is_not_reported(tmp_path, capsys):
    words = ["scenario=cifar100_mini", "method=suave", "--seeds", "100", "--output", str(tmp_path)]
    assert main(words) == 2
    assert "that of the trials" in capsys.readouterr().err


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
        type(self).made.append(folder.name)
        values = dict(word.split("=", 1) for word in settings)
        self.rate = float(values["optim.lr"])
        folder.mkdir(parents=True, exist_ok=True)

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
    config = compose.load(["scenario=cifar100_mini", "method=suave"])
    place = RULES["other"](config, [0], 0.25, None)

    def make():
        manifest = Manifest.open(tmp_path, {"rule": "other"})
        defaults = {"optim.lr": 0.002, "x": 1}
        said = []
        return Search(
            manifest, Sampling(space, 0), place.settings, place.progress, defaults, said.append
        ), said

    return make


def test_a_search_tries_the_present_values_first_and_keeps_the_best(search):
    found, said = search()
    found.run(trials=4, budget=1e9, jobs=2)
    trials = found.manifest.trials
    assert trials[0].values == {"optim.lr": 0.002, "x": 1}
    assert found.manifest.best is trials[0] and trials[0].score == pytest.approx(0.9)
    assert len({each.values["optim.lr"] for each in trials}) == 4
    assert len(said) == 4 and said[0].startswith("trial ")


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


@pytest.mark.slow
@pytest.mark.parametrize("rule", ["first", "other"])
def test_a_search_ends_in_an_experiment_that_a_run_takes(tmp_path, capsys, rule):
    pytest.importorskip("optuna")
    words = ["method=contsemi", "optim.epochs=1", "model.width=8", "batch.unlabelled=256"]
    words += ["scenario.classes=4", "scenario.tasks=2", "threads=1", "label_ratio=4/class"]
    if rule == "first":  # as a sweep, which is the same command
        sweeper = ["hydra/sweeper=optuna", "hydra.sweeper.n_trials=2", "hydra.sweeper.rule=first"]
        words += ["-m", *sweeper, "hydra.sweeper.n_jobs=2", "seed=0", f"output={tmp_path}"]
        assert run.main(words) == 0
    else:
        given = ["--rule", rule, "--trials", "2", "--seeds", "0", "--jobs", "2"]
        assert main([*words, *given, "--output", str(tmp_path)]) == 0
    manifest = json.loads((tmp_path / "tune.json").read_text())
    trials = manifest["trials"]
    assert [each["state"] for each in trials] == ["finished"] * 2
    assert all(each["processor_seconds"] > 0 and each["on_the_way"] for each in trials)
    best = max(trials, key=lambda each: each["score"])
    assert manifest["chosen"] == best["number"]
    made = compose.load([f"experiment={tmp_path / 'tuned_contsemi.yaml'}"]).model_dump()
    made_by = tmp_path / "runs" / f"{best['number']:03d}" / "seed0"
    done = yaml.safe_load((made_by / "config.yaml").read_text())
    assert made["optim"] == done["optim"] and made["objective"] == done["objective"]
    assert made["optim"]["lr"] == best["values"]["optim.lr"]
    assert done["scenario"]["validation"] == 0 and done["scenario"]["first_tasks"] is None
    assert f"rule {rule}" in (tmp_path / "tuned_contsemi.yaml").read_text()


def test_runs_of_an_earlier_choice_are_not_shown_as_those_of_a_later_one(tmp_path, monkeypatch):
    """With more trials another one is best: its seeds have not run yet."""
    pytest.importorskip("optuna")
    scores, jobs = [0.5, 0.9], []

    def tried(search, *, trials, **_):
        for number in range(len(search.manifest.trials), trials):
            values = {"optim.lr": 0.001 * (1 + number)}
            search.manifest.trials.append(
                Trial(number=number, values=values, state="finished", score=scores[number])
            )

    monkeypatch.setattr(Search, "run", tried)
    monkeypatch.setattr("contsemi.tune.command.train", lambda given, *_: jobs.append(given) or {})
    monkeypatch.setattr("contsemi.tune.command.table", lambda *_: [])
    words = ["scenario=cifar100_mini", "method=replay", "--seeds", "0,1", "--output", str(tmp_path)]
    for trials in (1, 2):
        assert main([*words, "--trials", str(trials)]) == 0
    first, second = ({job.folder: job.settings[-2] for job in given} for given in jobs)
    assert set(first.values()) == {"optim.lr=0.001"} and set(second.values()) == {"optim.lr=0.002"}
    assert not first.keys() & second.keys()


@pytest.mark.parametrize("classes", ["[20,21,22,23,3]", "[apple,chair,clock,cloud,couch]", "30"])
def test_other_classes_that_are_the_scenarios_own_are_refused(tmp_path, capsys, classes):
    words = ["scenario=cifar100_mini", "method=suave", "--output", str(tmp_path / "out")]
    assert main([*words, "--classes", classes]) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: --classes: holds classes of the scenario: ")
    assert not (tmp_path / "out").exists()


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
