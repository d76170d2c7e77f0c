"""Classes without a label, found among a run's images; nothing of it reaches training."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from contsemi import pipeline
from contsemi.data.scenario import Stream
from contsemi.evaluation.discovery import Discovery
from contsemi.types import Experience, Outputs

NOVEL = ("scenario.novel=0.25", "scenario.classes=8", "scenario.tasks=2", "optim.epochs=1")


class Known:
    """A learner whose features are what they are told to be."""

    def __init__(self, features):
        self.rows = features

    def look(self, images, ids=None):
        return Outputs(features=self.rows[ids], heads={})


def experience(index, labelled, labels, unlabelled, seen):
    return Experience(
        index=index,
        columns=tuple(range(seen)),
        num_old=0,
        num_seen=seen,
        labelled=torch.tensor(labelled),
        labels=torch.tensor(labels),
        unlabelled=torch.tensor(unlabelled),
        class_names=tuple(map(str, range(seen))),
        coarse=torch.full((len(labelled),), -1),
        coarse_of=torch.full((seen,), -1),
        num_coarse=0,
        pool_columns=tuple(range(seen)),
        mixed_pool=True,
    )


@pytest.fixture
def toy():
    """Classes 0, 1 are known, 2 is novel, 9 is foreign; four images each, one label a known one."""
    targets = torch.tensor([0, 1, 2, 9]).repeat(4)
    places = torch.eye(4)[torch.tensor([0, 1, 2, 3]).repeat(4)]
    noise = 0.05 * torch.randn(16, 4, generator=torch.Generator().manual_seed(0))
    tasks = [
        experience(0, [0, 1], [0, 1], [0, 1, 2, 3, 4, 5, 6, 7], 2),
        experience(1, [8], [0], [8, 9, 10, 11, 12, 13, 14, 15], 2),
    ]
    stream = Stream(
        name="toy",
        experiences=tasks,
        images=torch.zeros(16, 3, 2, 2, dtype=torch.uint8),
        test=[],
        class_order=(0, 1),
        class_names=("0", "1"),
        label_indices=np.array([0, 1, 8]),
        label_digest="",
        novel=(2,),
    )
    return stream, targets, places + noise


def test_separable_classes_are_found_and_foreign_images_do_not_count(toy):
    stream, targets, features = toy
    asked = Discovery(stream, targets, number="given", images=0, seed=0)
    found = asked.after_task(Known(features), 1)
    shares = ("all", "old", "new", "task_all", "task_old", "task_new", "nmi", "ari", "purity")
    assert {name: round(value, 6) for name, value in found.items()} == {
        f"discovered_{name}": 1.0 for name in shares
    }


def test_shares_are_those_of_one_matching(toy):
    """Against a matching written out, on features that say little."""
    stream, targets, _ = toy
    features = torch.randn(16, 4, generator=torch.Generator().manual_seed(3))
    asked = Discovery(stream, targets, number="given", images=0, seed=0)
    found = asked.after_task(Known(features), 1)
    free = [row for row in range(16) if row not in (0, 1, 8) and targets[row] != 9]
    assert len(free) == 9
    # All shares are multiples of one image, and the whole is the mean of old and new by number.
    old = [row for row in free if targets[row] < 2]
    whole = len(old) * found["discovered_old"] + (9 - len(old)) * found["discovered_new"]
    assert found["discovered_all"] == pytest.approx(whole / 9)
    assert found["discovered_all"] >= 1 / 3  # the best of six matchings is no worse than chance


def test_an_estimated_number_is_told(toy):
    stream, targets, features = toy
    asked = Discovery(stream, targets, number="estimated", images=0, seed=0)
    found = asked.after_task(Known(features), 1)
    assert 2 <= found["discovered_classes"] <= 6


def test_kinds_without_an_image_have_no_number(toy):
    stream, targets, features = toy
    asked = Discovery(replace(stream, novel=()), targets, number="given", images=0, seed=0)
    found = asked.after_task(Known(features), 0)
    assert found["discovered_new"].reason == "there are no images of new classes"
    assert found["discovered_all"] == found["discovered_old"] == 1.0


@pytest.mark.thorough
def test_a_run_finds_classes_and_trains_the_same(small, tmp_path, monkeypatch):
    monkeypatch.setattr("contsemi.report.pages.draw.draw", lambda run: [])
    with_it = pipeline.run(small(*NOVEL, "evaluate.discovery=given", f"output={tmp_path / 'with'}"))
    without = pipeline.run(small(*NOVEL, f"output={tmp_path / 'without'}"))
    assert with_it["class_incremental"] == without["class_incremental"]
    found = with_it["discovery"]
    assert 0 < found["discovered_new"] <= 1 and 0 < found["discovered_old"] <= 1
    assert not without["discovery"]
    lines = (tmp_path / "with" / "metrics.jsonl").read_text().splitlines()
    tasks = {line["task"] for line in map(json.loads, lines) if "discovery/" in line["name"]}
    assert tasks == {1, 2}
