"""The choice as a file: it makes the run that was tried, or is refused before any trial."""

import pytest

from contsemi import compose
from contsemi.errors import InputError
from contsemi.tune.chosen import refuse_unwritable, write_experiment
from contsemi.tune.trials import Manifest, Trial

CHOSEN = {"optim.lr": 0.00229, "optim.weight_decay": 4.3e-06}

OWN = """
defaults: [cifar100_laptop, override /method: nncsl, override /memory/selection: herding, _self_]
optim: {epochs: 3, lr: 0.01}
"""


@pytest.fixture
def own(tmp_path):
    """A recipe of the user's own, built upon one of ours."""
    path = tmp_path / "own.yaml"
    path.write_text(OWN)
    return path


@pytest.mark.parametrize(
    "words",
    [
        ["scenario=cifar100_mini", "method=contsemi", "label_ratio=4/class", "memory.exemplars=86"],
        ["scenario=cifar100_mini", "method=derpp", "label_ratio=0.8%", "threads=1"],
        ["method=replay", "label_ratio=[4/class,25/class,10%,0.01,4/class]"],
        ["experiment=cifar100_laptop", "method=nncsl", "objective.small_views=0"],
        ["method=nncsl", "objective.small_views=0", "experiment=cifar100_laptop"],
        ["experiment={own}"],
        ["optim.epochs=2", "experiment='{own}'"],
        ["experiment={own}", "method=contsemi"],
        ["method=contsemi", "evaluate.probes=[linear, 'knn']", "projector=[32,16]"],
        ["method=contsemi", "scenario.class_order=[3,1,2,0,4,5,6,7,8,9]"],
        ["method=suave", "scenario.unlabelled={current:0.8,future:0.2}"],
    ],
    ids=" ".join,
)
@pytest.mark.thorough
def test_the_file_makes_the_run_that_was_chosen(tmp_path, own, words):
    words = [word.format(own=own) if "{own}" in word else word for word in words]
    config = compose.load(words)
    path = tmp_path / f"tuned_{config.method}.yaml"
    refuse_unwritable(path, config, words)
    assert not path.exists()
    trial = Trial(number=0, values=CHOSEN, score=0.5, state="finished")
    manifest = Manifest(tmp_path, {"rule": "other", "score": "somewhere"}, [trial])
    write_experiment(path, manifest, trial, config, words)
    tried = compose.load([*words, *trial.words, "seed=7"]).model_dump()
    again = ["threads=1"] if "threads=1" in words else []
    assert compose.load([f"experiment={path}", "seed=7", *again]).model_dump() == tried
    assert repr(tried["optim"]["lr"]) == "0.00229"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["method=derpp", "baseline=replay"], "another method (replay -> derpp)"),
        (["experiment=nncsl_cifar100", "method=contsemi"], "no experiment file could say this"),
    ],
)
@pytest.mark.thorough
def test_what_no_file_could_say_is_refused_before_anything_is_tried(tmp_path, words, said):
    with pytest.raises(InputError, match="settings: ") as error:
        refuse_unwritable(tmp_path / "tuned.yaml", compose.load(words), words)
    assert said in str(error.value)


def test_the_file_says_how_many_trials_it_was_chosen_among(tmp_path):
    states = ["finished", "finished", "pruned", "failed", "waiting"]
    trials = [Trial(number=n, values={}, state=state) for n, state in enumerate(states)]
    trials[1].score, words = 0.5, ["method=replay"]
    manifest = Manifest(tmp_path, {"rule": "other", "score": "somewhere"}, trials)
    path = tmp_path / "tuned_replay.yaml"
    write_experiment(path, manifest, trials[1], compose.load(words), words)
    assert "# Trial 1 of 5 (1 stopped early, 1 failed, 1 not ended), 50.0 %" in path.read_text()
