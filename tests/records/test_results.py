"""The content of ``results.json``."""

import json

import numpy as np
import pytest

from contsemi.metrics.trajectory import as_trajectory
from contsemi.records.plain import to_json
from contsemi.records.results import TIMINGS, results, without_timings

MATRIX = np.array([[0.5, np.nan], [0.25, 1.0]])


def content(matrix=MATRIX, **changes):
    facts = {
        "method": "suave",
        "scenario": "digits",
        "seed": 3,
        "label_ratio": "5%",
        "class_incremental": matrix,
        "task_incremental": np.sqrt(matrix),
        "memory": {"exemplars": 7, "past": 5},
        "seconds": 1.5,
        "images_per_second": 10.0,
    }
    return results(**(facts | changes))


def test_the_promised_keys():
    names = {
        "average_accuracy",
        "average_incremental_accuracy",
        "forgetting",
        "backward_transfer",
        "learning_accuracy",
        "forgetting_first_minus_last",
        "relative_forgetting",
    }
    read = json.loads(to_json(content()))
    assert set(read["class_incremental"]) == set(read["task_incremental"]) == names
    assert read["class_incremental"]["average_accuracy"] == 0.625
    assert read["class_incremental"]["forgetting"] == 0.25
    assert read["task_incremental"]["learning_accuracy"] == pytest.approx((0.5**0.5 + 1) / 2)
    assert (read["method"], read["scenario"], read["seed"]) == ("suave", "digits", 3)
    assert (read["memory_bytes"], read["seconds"], read["images_per_second"]) == (12, 1.5, 10.0)
    assert read["undefined"] == {}


def test_one_task_is_null_with_a_reason():
    read = json.loads(to_json(content(np.array([[0.5]]))))
    assert read["class_incremental"]["forgetting"] is None
    assert "nothing to forget" in read["undefined"]["class_incremental.forgetting"]
    assert len(read["undefined"]) == 8


def test_every_image_may_weigh_the_same():
    read = json.loads(to_json(content(test_images=[30, 10])))
    assert read["class_incremental"]["sample_weighted_accuracy"] == pytest.approx(0.4375)
    assert "sample_weighted_accuracy" not in content()["class_incremental"]


def test_two_runs_differ_in_their_timings_alone():
    one, two = content(), content(seconds=99.0, images_per_second=None)
    assert {key for key in one if one[key] != two[key]} == set(TIMINGS)
    assert without_timings(one) == without_timings(two)


def test_predictors_are_written_as_they_are():
    by = {"classifier": {"average_accuracy": 0.5, "task_incremental_average_accuracy": 0.75}}
    assert content()["predictors"] == {}
    assert json.loads(to_json(content(predictors=by)))["predictors"] == by


def test_what_was_measured_while_training():
    assert content()["while_training"] is None
    it = as_trajectory([5, 6, 8], [0, 1, 1], [[0.8, np.nan], [0.1, 0.1], [0.7, 0.9]])
    read = json.loads(to_json(content(while_training={"class_incremental": it})))
    numbers = read["while_training"]["class_incremental"]
    assert numbers["evaluations"] == 3
    assert numbers["min_accuracy"] == 0.1
    assert numbers["gap_depth"] == pytest.approx(0.7)
    assert numbers["recovery_steps"] is None
    reason = read["undefined"]["while_training.class_incremental.recovery_steps"]
    assert reason == "task 1 did not come back to 95% during task 2"
