"""Choosing settings: what is searched where, that it goes on, and that a slip is one line."""

import json
from types import SimpleNamespace

import pytest
import yaml

from contsemi import compose, run
from contsemi.compose import files
from contsemi.compose.parts import at
from contsemi.errors import InputError
from contsemi.tune.__main__ import main
from contsemi.tune.rules import RULES, other_classes
from contsemi.tune.search import Search
from contsemi.tune.space import Range, space_of
from contsemi.tune.trials import Trial

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
        ("{optim: [adam, sgd]}", "optim names a part, and a search is among the keys of a part"),
        ("{label_ratio: [5%, 10%]}", "label_ratio is a part of the question, and the same in"),
        ("{seed: [0, 1]}", "seed is a part of the question"),
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
        ["optim.lr =0.1", "optim.lr=0.2"],
        ["seed =3"],
        ["--seeds", "0,99999999999999999999"],
        ["--output", "a,b"],
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


def test_where_only_one_task_is_learned_what_is_kept_of_the_past_is_not_chosen():
    """Its weight would be that of the trial with the luckiest other values."""
    for method, idle in (
        ("nncsl", "distiller.weights.distillation"),
        ("derpp", "baseline.weights"),
    ):
        words = [f"method={method}"]
        config = compose.load(words)
        first, other = (RULES[rule](config, [0], None, "[1]" if rule == "other" else None)
                        for rule in ("first", "other"))  # fmt: skip
        everywhere, found = space_of(config, words, other.idle), space_of(config, words, first.idle)
        gone = everywhere.keys() - found.keys()
        assert found and gone and all(key.startswith(idle) for key in gone)


def test_times_of_a_whole_number_are_whole_numbers(tmp_path, monkeypatch):
    path = tmp_path / "replay.yaml"
    path.write_text("method: replay\nsearch: {memory.exemplars: {times: 4}}\n")
    found = files.find
    monkeypatch.setattr(
        files, "find", lambda group, name: path if group == "method" else found(group, name)
    )
    config = SimpleNamespace(method="replay", model_dump=lambda: {"memory": {"exemplars": 30}})
    space = space_of(config, ["objective=suave"])
    assert space["memory.exemplars"] == Range(8, 120, log=True) and space["memory.exemplars"].whole


def test_validation_is_of_rule_first_alone(tmp_path, capsys):
    words = ["scenario=cifar100_mini", "method=replay", "--validation", "0.5"]
    assert main([*words, "--output", str(tmp_path / "out")]) == 2
    assert "error: --validation: has no effect with --rule other" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("where", ["trials/000", "runs/000/seed0"])
@pytest.mark.thorough
def test_what_was_finished_with_other_defaults_is_not_compared_or_shown(
    tmp_path, monkeypatch, capsys, where
):
    pytest.importorskip("optuna")
    words = ["scenario=cifar100_mini", "method=replay", "--seeds", "0", "--output", str(tmp_path)]
    monkeypatch.setattr("contsemi.tune.command.train", lambda *_: {})
    monkeypatch.setattr("contsemi.tune.command.table", lambda *_: [])

    def tried(search, **_):
        if not search.manifest.trials:
            trial = Trial(number=0, values=search.defaults, state="finished", score=0.5)
            search.manifest.trials.append(trial)

    monkeypatch.setattr(Search, "run", tried)
    assert main([*words, "--trials", "1"]) == 0
    own = ["scenario.classes=[" + ",".join(map(str, range(20, 40))) + "]"] * ("trials" in where)
    made = compose.load([*words[:2], *own]).model_dump()
    folder = tmp_path / where
    folder.mkdir(parents=True)
    (folder / "results.json").write_text("{}")
    for momentum, code in ((made["optim"]["momentum"], 0), (0.123, 2)):
        made["optim"]["momentum"] = momentum
        (folder / "manifest.json").write_text(json.dumps({"config": made}))
        assert main([*words, "--trials", "1"]) == code
    assert "is finished, with another optim.momentum" in capsys.readouterr().err


def test_what_a_budget_ends_is_said(tmp_path, monkeypatch, capsys):
    pytest.importorskip("optuna")

    def tried(search, **_):
        search.manifest.trials += [
            Trial(number=0, values=search.defaults, state="finished", score=0.5),
            Trial(number=1, values=search.defaults),
        ]

    monkeypatch.setattr(Search, "run", tried)
    monkeypatch.setattr("contsemi.tune.command.train", lambda *_: {})
    monkeypatch.setattr("contsemi.tune.command.table", lambda *_: [])
    words = ["scenario=cifar100_mini", "method=replay", "--budget", "2", "--output", str(tmp_path)]
    assert main(words) == 0
    assert "--budget=2 is spent: 1 of 6 trials are over" in capsys.readouterr().out
