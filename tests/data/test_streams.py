"""The switches of a stream: what comes when, and what a run must not learn from it."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from pydantic import ValidationError

from contsemi.config import Scenario
from contsemi.data.plan import Plan, plan
from contsemi.data.scenario import Stream, build
from contsemi.data.sources import digits
from contsemi.errors import InputError
from contsemi.labels import LabelBudget
from contsemi.labels.choices.kcenter import Kcenter
from contsemi.labels.choices.stratified import Stratified

REPOSITORY = Path(__file__).parents[2]
TRAIN, TEST = digits.load(None)
TARGETS = TRAIN.targets.numpy()


def scenario(**keys: Any) -> Scenario:
    text = (REPOSITORY / "scenarios" / "digits_5tasks.yaml").read_text()
    return Scenario(**{**yaml.safe_load(text)["scenario"], **keys})


def planned(ratio: object = "5%", seed: int = 0, **keys: Any) -> Plan:
    budget = LabelBudget.parse(ratio)
    return plan(scenario(**keys), budget, Stratified(), seed, TRAIN.named, TEST.named)


def stream(ratio: object = "5%", seed: int = 0, **keys: Any) -> Stream:
    return build(scenario(**keys), LabelBudget.parse(ratio), TRAIN, TEST, seed)


def test_each_image_comes_once_however_the_classes_return() -> None:
    made = stream(recurrence=[[], [0], [0, 2], [], [1]])
    pools = [set(e.unlabelled.tolist()) for e in made.experiences]
    assert sorted(row for pool in pools for row in pool) == list(range(1437))
    assert [e.columns for e in made.experiences] == [
        (0, 1), (0, 2, 3), (0, 2, 4, 5), (6, 7), (1, 8, 9)
    ]  # fmt: skip
    assert [(e.num_old, e.num_seen) for e in made.experiences] == [
        (0, 2), (2, 4), (4, 6), (6, 8), (8, 10)
    ]  # fmt: skip
    zeros = [sum(TARGETS[list(pool)] == 0) for pool in pools]
    assert max(zeros[:3]) - min(zeros[:3]) <= 1 and not any(zeros[3:])
    assert made.experiences[2].class_names == ("0", "2", "4", "5")
    # A class is tested with the task that it came first in.
    assert [task.columns for task in made.test] == [(0, 1), (2, 3), (4, 5), (6, 7), (8, 9)]
    labelled = torch.cat([e.labelled for e in made.experiences])
    assert sorted(labelled.tolist()) == sorted(made.label_indices.tolist())


def test_recurrence_by_a_seeded_pattern() -> None:
    always, never = planned(recurrence=1.0).coming, planned(recurrence=0.0).coming
    assert [len(each) for each in always.present] == [2, 4, 6, 8, 10]
    assert [len(each) for each in never.present] == [2] * 5
    one, other = (planned(recurrence=0.5, seed=seed).coming for seed in (1, 2))
    assert one.present == planned(recurrence=0.5, seed=1).coming.present != other.present
    fixed = planned(recurrence=0.5, seed=2, order_seed=1).coming
    assert fixed.present == one.present


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([[], [3], [], [], []], r"recurrence\[1\]: class '3' has not come before task 2"),
        ([[], []], "2 lists for 5 tasks"),
        ([[], ["x"], [], [], []], r"recurrence\[1\]: entry 0: no class is named 'x'"),
    ],
)
def test_recurrence_that_cannot_be(given: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        planned(recurrence=given)


def test_novel_classes_have_images_and_nothing_else() -> None:
    made, known = stream(novel=0.3), planned(novel=0.3).coming
    assert len(known.novel) == 3 and all(known.first)
    assert sorted([*made.class_order, *known.novel]) == list(range(10))
    assert not np.isin(TARGETS[made.label_indices], known.novel).any()
    assert sum(len(e.unlabelled) for e in made.experiences) == 1437
    tested = torch.cat([task.indices for task in made.test])
    assert not np.isin(TEST.targets[tested], known.novel).any()
    # Nothing that training sees tells that there are such classes, but that images may be of any.
    assert max(e.num_seen for e in made.experiences) == 7
    assert [e.pool_columns for e in made.experiences] == [
        tuple(range(e.num_seen)) for e in made.experiences
    ]
    with pytest.raises(InputError, match=r"scenario\.novel: 6 of 10 classes"):
        planned(novel=0.6)


def test_blurred_borders() -> None:
    made = stream(blur=0.2, novel=0.0)
    assert [e.num_seen for e in made.experiences] == [4, 6, 8, 10, 10]
    assert [e.columns for e in made.experiences][1] == (0, 1, 2, 3, 4, 5)
    rows = made.experiences[1].unlabelled.numpy()
    counts = Counter(TARGETS[rows].tolist())
    for number in range(6):
        total = int((number == TARGETS).sum())
        share = counts[number] / total
        assert abs(share - (0.8 if number in (2, 3) else 0.1)) < 0.02
    assert sum(len(e.unlabelled) for e in made.experiences) == 1437


def test_shares_of_the_pool() -> None:
    shares = {"current": 0.5, "past": 0.25, "future": 0.125, "foreign": 0.125}
    made = stream(unlabelled=shares, classes=8, tasks=4, novel=0.0)
    for task, (experience, facts) in enumerate(zip(made.experiences, made.facts, strict=True)):
        own = sum(facts["images"])
        found = {kind: number / own for kind, number in facts["kinds"].items()}
        wanted = shares | {"novel": 0.0}
        wanted |= {"past": 0.0} if not task else {}
        wanted |= {"future": 0.0} if task == 3 else {}
        assert found == pytest.approx(wanted, abs=0.004)
        assert sum(facts["kinds"].values()) == len(set(experience.unlabelled.tolist()))
        assert experience.pool_columns == tuple(range(experience.num_seen))
    with pytest.raises(InputError, match="asks for foreign images, and every class is in use"):
        stream(unlabelled=shares)
    with pytest.raises(ValidationError, match="shares that sum to 1"):
        scenario(unlabelled={"current": 0.5})


def test_foreign_images_from_elsewhere() -> None:
    shares = {"current": 0.9, "foreign": 0.1}
    made = stream(unlabelled=shares, unlabelled_root="digits")
    rows = torch.cat([e.unlabelled for e in made.experiences])
    assert made.facts[0]["kinds"]["foreign"] == int((made.experiences[0].unlabelled >= 1437).sum())
    assert len(made.images) == 2 * 1437 and (rows >= 1437).any()


def test_labels_of_each_task() -> None:
    made = stream(["10%", "0%", "2/class", "5%", "0%"], recurrence=[[], [], [0], [], [2]])
    assert [len(e.labelled) > 0 for e in made.experiences] == [True, False, True, True, False]
    assert len(made.experiences[2].labelled) == 2 * 3
    assert made.experiences[1].pool_columns == (0, 1, 2, 3)


def test_a_frozen_list_keeps_to_the_budget_of_each_task(tmp_path: Path) -> None:
    """As many labels in all, but in a task that has none: such a list was taken in silence."""
    rows = np.concatenate([np.flatnonzero(number == TARGETS)[:4] for number in (2, 3)])
    file = tmp_path / "labels.txt"
    file.write_text("\n".join(map(str, rows)))
    message = (
        r"has 0 rows of task 1, label_ratio=\[4/class, 0%, .* set label_ratio=\[0,8/288,0,0,0\]"
    )
    with pytest.raises(InputError, match=message):
        stream(["4/class", 0, 0, 0, 0], labels=str(file))
    for fitting in ([0, "4/class", 0, 0, 0], "[0,8/288,0,0,0]"):
        made = stream(fitting, labels=str(file))
        assert [len(e.labelled) for e in made.experiences] == [0, 8, 0, 0, 0]


def lists(folder: Path, **files: str) -> str:
    for name, text in files.items():
        (folder / f"{name}.txt").write_text(text)
    return str(folder)


def test_lists_of_classes(tmp_path: Path) -> None:
    found = planned(tasks=None, lists=lists(tmp_path, classes="0, 1\n2,0\n3\n")).coming
    assert found.first == [[0, 1], [2], [3]]
    assert found.present == [[0, 1], [0, 2], [3]]


def test_lists_of_rows(tmp_path: Path) -> None:
    rows = [np.flatnonzero(number == TARGETS)[:2].tolist() for number in range(4)]
    images = int((TARGETS < 4).sum())
    folder = lists(
        tmp_path,
        classes="0, 1\n2,0\n3\n",
        labelled=f"{rows[0][0]} {rows[1][0]}\n\n{rows[3][0]},{rows[3][1]}\n",
        unlabelled="5 6 7\n8\n9 1000",
    )
    made = stream(f"4/{images}", tasks=None, lists=folder)
    assert [e.labelled.tolist() for e in made.experiences] == [
        [rows[0][0], rows[1][0]], [], rows[3]
    ]  # fmt: skip
    assert [e.labels.tolist() for e in made.experiences] == [[0, 1], [], [3, 3]]
    assert [e.unlabelled.tolist() for e in made.experiences] == [[5, 6, 7], [8], [9, 1000]]
    for facts, experience in zip(made.facts, made.experiences, strict=True):  # and no other comes
        come = set(experience.unlabelled.tolist()) | set(experience.labelled.tolist())
        assert facts["images"] == [sum(TARGETS[[*come]] == n) for n in made.class_order]
    for key, value in (("unlabelled", "seen"), ("unlabelled_share", 0.5)):
        with pytest.raises(InputError, match=rf"{key}: has no effect, as unlabelled\.txt"):
            stream(f"4/{images}", tasks=None, lists=folder, **{key: value})
    with pytest.raises(InputError, match=r"has 4 rows, label_ratio=5% asks for"):
        stream("5%", tasks=None, lists=folder)


def test_labels_of_images_that_the_list_of_pools_leaves_out_are_said(tmp_path: Path) -> None:
    """Nothing said it: labels are of all images of a line's classes, whatever the pools have."""
    used = np.flatnonzero(TARGETS < 4).reshape(2, -1)
    pools = "".join(f"{' '.join(map(str, rows))}\n" for rows in used)
    keys = scenario(tasks=None, lists=lists(tmp_path, classes="0,1\n2,3\n"))
    budget, asked = LabelBudget.parse("10%"), Kcenter(avoid_labelled=True)
    assert not build(keys, budget, TRAIN, TEST, 0).remarks
    lists(tmp_path, unlabelled=pools)
    made = build(keys, budget, TRAIN, TEST, 0)
    beside = [set(e.labelled.tolist()) - set(e.unlabelled.tolist()) for e in made.experiences]
    assert f": {sum(map(len, beside))} images are labelled that" in made.remarks[0]
    (said,) = build(keys, budget, TRAIN, TEST, 0, choice=asked).remarks
    own = [set(np.flatnonzero(np.isin(TARGETS, each))) for each in ((0, 1), (2, 3))]
    beside = [each - set(rows) for each, rows in zip(own, used, strict=True)]
    assert f": {sum(map(len, beside))} images may be labelled that" in said
    lists(tmp_path, labelled="0\n2\n")
    assert not build(keys, LabelBudget.parse("1/288"), TRAIN, TEST, 0, choice=asked).remarks


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"labelled": "1"}, "holds no classes.txt"),
        ({"classes": "0,1\n\n2"}, "classes.txt line 2: is empty"),
        ({"classes": "0,1\n2", "labelled": "1"}, "labelled.txt: has 1 lines, classes.txt has 2"),
        ({"classes": "0,1\n2", "unlabelled": "1\n-3"}, "line 2: '-3' is no image row"),
        ({"classes": "0,1\n2", "unlabelled": "4 4\n"}, "1 lines"),
        ({"classes": "0,1\n2", "unlabelled": "4 4\n5"}, "line 1: names an image twice"),
    ],
)
def test_lists_that_cannot_be(tmp_path: Path, files: dict[str, str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        planned(tasks=None, lists=lists(tmp_path, **files))


def test_the_plain_stream_is_what_it_was() -> None:
    """Off, the switches change nothing: same rows, columns and pools as without the keys."""
    plain, off = stream(), stream(recurrence=0.0, novel=0.0, blur=0.0)
    for one, other in zip(plain.experiences, off.experiences, strict=True):
        assert one.columns == other.columns == one.pool_columns == other.pool_columns
        assert torch.equal(one.unlabelled, other.unlabelled)
        assert torch.equal(one.labelled, other.labelled)
