"""What a part says of its keys without an effect is so: another value of one changes no bit."""

import pytest
import torch
import yaml

from contsemi import compose, pipeline
from contsemi.compose.resources import conf
from contsemi.discovery import ROOMS, find_class
from contsemi.distillers.distiller import Distiller
from contsemi.learner.learner import Learner
from contsemi.living.saved import read
from contsemi.objectives.objective import Objective
from contsemi.pipeline.unread import unread
from contsemi.storage.tensors import flatten

KINDS = {"objective": Objective, "distiller": Distiller}
# What else a part needs to be made with the value that makes a key idle.
WITH = {
    ("trex", "memory"): ["objective.teacher=[]"],
    ("hiermatch", "base"): ["objective.weights.guesses=1", "objective.ramp=0"],
    ("nnd", "alpha"): ["memory.embeddings=20"],
    ("daino", "labelled_views"): ["predict=moments"],
    ("byol", "labelled_views"): ["predict=moments"],
    ("semppl", "labelled_views"): ["predict=moments"],
    ("promptcal", "labelled_views"): ["predict=moments"],
}
SEEN = {"labelled_views": [0]}
# What is made and then read by no step: a head of another shape, or a count that is saved.
MADE = {"clusters", "directions", "embedding", "attention_heads", "attention_width", "predictor"}
MADE |= {"prior", "queue", "labels_from"}
SMALL = [
    "scenario.classes=4",
    "scenario.tasks=2",
    "evaluate.truth=false",
    "optim.epochs=1",
    "batch.unlabelled=256",
]
SMALL += ["memory.exemplars=20", "display=quiet", "threads=1", "device=cpu"]


def rules():
    told = set()  # what several methods have of one parent is tried with the first
    for group in KINDS:
        for file in sorted((conf() / group).glob("*.yaml")):
            options = yaml.safe_load(file.read_text())
            if options["name"] != "none":
                part = find_class(ROOMS[group], options["name"], KINDS[group])
                new = {f: o for f, o in part.idle.items() if id(o) not in told}
                told |= {id(others) for others in new.values()}
                if options["name"] == "byol":  # as all objectives have it
                    new |= dict.fromkeys(
                        ("weights.labels", "smoothing", "supports_per_class"), SEEN
                    )
                for field, others in new.items():
                    # one value of each: they are read at the same place
                    first = [(other, values[0]) for other, values in others.items() if values]
                    for other, value in first:
                        rest = apart(group, options, others, other)
                        yield group, options, field, other, value, rest


def apart(group, options, others, other):
    """Words with which no other condition holds beside the one that is tried."""
    found = []
    for each, values in others.items():
        if each != other and options[each] in values:
            limits = options["ranges"].get(each, [False, True])
            near = [changed(options[each], limits)] if type(limits[0]) is int else limits
            found.append(f"{group}.{each}={word(next(x for x in near if x not in values))}")
    return found


def word(value):
    if isinstance(value, list):
        return f"[{','.join(map(word, value))}]"
    return str(value).lower() if isinstance(value, bool) else str(value)


def changed(value, limits):
    """Another value of the same kind, in the range that the file gives."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, str):
        return next(each for each in limits if each != value)
    if isinstance(value, list):
        return [changed(each, limits) for each in value]
    low, high = limits
    near = value + 1 if isinstance(value, int) else (value + 0.1 if value < 0.5 else value / 2)
    return near if low <= near <= high else low


def words_of(group, options, other, value):
    name, kind = options["name"], options.get(other)
    words = [f"method={name}"] if group == "objective" else ["method=finetune", f"distiller={name}"]
    if name == "cassle" and value == "knowledge":
        words = ["method=suave", "distiller=cassle"]
    more = [] if kind == value else [f"{group}.{other}={word(value)}"]
    return [*words, *SMALL, *more, *WITH.get((name, other), [])]


@pytest.mark.slow
@pytest.mark.parametrize(
    "rule", list(rules()), ids=lambda r: f"{r[1]['name']}.{r[2]}-{r[3]}={word(r[4])}"
)
def test_another_value_changes_no_bit_and_the_key_is_told(rule, tmp_path, monkeypatch):
    group, options, field, other, value, rest = rule
    monkeypatch.setattr("contsemi.report.pages.draw.draw", lambda run: [])
    words = [*words_of(group, options, other, value), *rest]
    if options["name"] == "hiermatch":  # which needs coarse classes
        file = tmp_path / "above.yaml"
        file.write_text("even: [0, 2, 4, 6, 8]\nodd: [1, 3, 5, 7, 9]\n", encoding="utf-8")
        words.append(f"scenario.hierarchy={file}")
    key = f"{group}.{field}"
    if field.startswith("weights."):
        usual, limits = options["weights"][field.removeprefix("weights.")], [0, 10]
    else:
        usual, limits = options.get(field), options.get("ranges", {}).get(field, ["a", "b"])
    if usual is None:
        usual = getattr(Learner(compose.load(words)).objective, field)
    new = changed(usual, limits)
    states = []
    for given in (usual, new):
        folder = tmp_path / word(given)
        config = compose.load([*words, f"{key}={word(given)}", f"output={folder}"])
        pipeline.run(config)
        states.append(flatten(read(folder).state))
    table = other == "large_views" and field.startswith("index_")  # which nobody asks then
    if table or field in MADE:  # it can be nothing if the features are the same to the bit
        learned = [{n: x for n, x in s.items() if "backbone" in n} for s in states]
        assert all(learned)
        states = learned
    assert new != usual and states[0].keys() == states[1].keys()
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert f"{group}.{other} is" in str(unread(Learner(config), key))


def test_a_key_of_several_conditions_is_told_by_any_of_them():
    for words, told in (
        (["objective.labels_from=index", "objective.index_by=means"], True),
        (["objective.labels_from=index"], False),
        (["objective.index_by=comatch"], True),
    ):
        learner = Learner(compose.load(["method=suave", "device=cpu", *words]))
        assert bool(unread(learner, "objective.index_spread")) is told
