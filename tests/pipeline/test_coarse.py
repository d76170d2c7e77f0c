"""Coarse labels that are bought: how many, of which images, and what a run does with them."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from contsemi import pipeline
from contsemi.data.coarse import with_hierarchy
from contsemi.data.scenario import build
from contsemi.data.sources import digits
from contsemi.errors import InputError
from contsemi.labels import LabelBudget, digest

TRAIN, TEST = digits.load(None)
# Digits above each other's halves, as the classes of CIFAR-100: 0 and 5, 1 and 6, ...
COARSE = replace(TRAIN, coarse=TRAIN.targets % 5, coarse_classes=tuple("abcde"))


def stream(config, share):
    budget = LabelBudget.parse(config.label_ratio)
    return build(config.scenario, budget, COARSE, TEST, config.seed, coarse_ratio=share)


@pytest.mark.thorough
def test_coarse_labels_are_beside_the_fine_ones(small):
    made = stream(small(), 0.25)
    for experience in made.experiences:
        only, own = experience.coarse_only, experience.unlabelled
        assert torch.isin(only, own).all() and not torch.isin(only, experience.labelled).any()
        assert torch.equal(experience.coarse_only_labels, TRAIN.targets[only] % 5)
        assert torch.equal(experience.coarse, TRAIN.targets[experience.labelled] % 5)
        free = own[~torch.isin(own, experience.labelled)]
        for number in experience.class_names:
            of_class = TRAIN.targets == int(number)
            wanted = 0.25 * int(of_class[free].sum())
            assert abs(int(of_class[only].sum()) - wanted) <= 0.5
    assert not any(len(each.coarse_only) for each in stream(small(), 0.0).experiences)


def test_images_without_coarse_classes_are_refused(small):
    with pytest.raises(InputError, match=r"coarse_ratio: digits has no coarse classes.*hierarchy"):
        config = small()
        budget = LabelBudget.parse(config.label_ratio)
        build(config.scenario, budget, TRAIN, TEST, 0, coarse_ratio=0.5)


@pytest.mark.thorough
def test_hiermatch_learns_from_those_of_a_file(small, tmp_path):
    words = ("objective=hiermatch", "distiller=none", "objective.coarse_classes=5")
    few = ("scenario.classes=6", "scenario.tasks=2", "optim.epochs=1", "coarse_ratio=0.5")
    few = (*few, f"scenario.hierarchy={written(tmp_path)}")
    results = pipeline.run(small(*words, *few, f"output={tmp_path / 'run'}"))
    assert 0 <= results["hierarchy"]["coarse_accuracy"] <= 1
    assert 1 <= results["hierarchy"]["distance_of_mistakes"] <= 2
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    rows = np.array(manifest["coarse_indices"])
    assert manifest["coarse_digest"] == digest(rows)
    assert not np.isin(rows, manifest["label_indices"]).any()
    lines = (tmp_path / "run" / "metrics.jsonl").read_text()
    assert "loss/" in lines and "NaN" not in lines


def written(folder, text="a: [0, 5]\nb: [1, 6]\nc: [2, 7]\nd: [3, 8]\ne: [4, 9]\n"):
    file = folder / "above.yaml"
    file.write_text(text, encoding="utf-8")
    return str(file)


def test_a_file_gives_images_coarse_classes(tmp_path):
    made = with_hierarchy(TRAIN, written(tmp_path))
    assert torch.equal(made.coarse, COARSE.coarse)
    assert made.coarse_classes == COARSE.coarse_classes
    other = with_hierarchy(TRAIN, written(tmp_path, "a: [0, 1, 2, 3, 4, 5]\nb: [6, 7, 8, 9]\n"))
    assert len({TRAIN.digest, made.digest, other.digest}) == 3  # another run is not gone on with
    assert with_hierarchy(TRAIN, None) is TRAIN
    names = ("\u00e9", *TRAIN.classes[1:])  # as data hands them over: composed
    text = "a: [e\u0301, 5]\nb: [1, 6]\nc: [2, 7]\nd: [3, 8]\ne: [4, 9]\n"
    made = with_hierarchy(replace(TRAIN, classes=names), written(tmp_path, text))
    assert torch.equal(made.coarse, COARSE.coarse)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("round: [0, 0]", "names the class 0 twice"),
        ("round: [0, 10]", "round: no class is called 10"),
        ("round: [0, 6]", "the class 1 has no coarse class"),
        ("round: 0", "is no list of classes"),
        ("[0, 1]", "is no list of classes"),
        ("", "is no list of classes"),
        ("round: [[0]]", "is no list of classes"),
        ("round: [", "cannot be read"),
        ("round: [0]\nother: [1]\nround: [2]", "round stands there twice"),
        ("round: [yes, 0]", "has true or yes, which YAML does not read as a name; quote it"),
        ("round: [0, no]", "has false or no, which YAML"),
        ("round: [~]", "has null or ~, which YAML"),
        ("round: !!python/object/apply:os.system [true]", "cannot be read"),
    ],
)
def test_a_hierarchy_that_is_none(text, said, tmp_path):
    with pytest.raises(InputError, match=said) as caught:
        with_hierarchy(TRAIN, written(tmp_path, text))
    assert len(str(caught.value).splitlines()) == 1
