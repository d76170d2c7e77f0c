"""Coarse labels that are bought: how many, of which images, and what a run does with them."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from contsemi import data, pipeline
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
    with pytest.raises(InputError, match="coarse_ratio: digits has no coarse classes"):
        config = small()
        budget = LabelBudget.parse(config.label_ratio)
        build(config.scenario, budget, TRAIN, TEST, 0, coarse_ratio=0.5)


def test_hiermatch_learns_from_them(small, tmp_path, monkeypatch):
    monkeypatch.setattr(data, "load", lambda *given: (COARSE, TEST))
    words = ("objective=hiermatch", "distiller=none", "objective.coarse_classes=5")
    few = ("scenario.classes=6", "scenario.tasks=2", "optim.epochs=1", "coarse_ratio=0.5")
    results = pipeline.run(small(*words, *few, f"output={tmp_path / 'run'}"))
    assert 0 <= results["hierarchy"]["coarse_accuracy"] <= 1
    assert 1 <= results["hierarchy"]["distance_of_mistakes"] <= 2
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    rows = np.array(manifest["coarse_indices"])
    assert manifest["coarse_digest"] == digest(rows)
    assert not np.isin(rows, manifest["label_indices"]).any()
    lines = (tmp_path / "run" / "metrics.jsonl").read_text()
    assert "loss/" in lines and "NaN" not in lines
