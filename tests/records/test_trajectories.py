"""The curves come back from the lines of a run."""

import numpy as np
import pytest

from contsemi.records.records import Records
from contsemi.records.trajectories import load_trajectories


def test_round_trip(tmp_path):
    rows = [(3, 0, [0.5]), (6, 0, [1 / 3]), (9, 1, [0.25, 0.75])]
    with Records(tmp_path) as records:
        for step, task, row in rows:
            records.metric(step=step, task=task, name="loss/labels", value=1.0)
            for kind in ("class_incremental", "task_incremental"):
                for j, value in enumerate(row):
                    name = f"trace/{kind}/task_{j + 1}"
                    records.metric(step=step, task=task, name=name, value=value)
    found = load_trajectories(tmp_path)
    assert set(found) == {"class_incremental", "task_incremental"}
    it = found["class_incremental"]
    assert (it.steps.tolist(), it.training.tolist()) == ([3, 6, 9], [0, 0, 1])
    np.testing.assert_array_equal(it.accuracy, [[0.5, np.nan], [1 / 3, np.nan], [0.25, 0.75]])


def test_nothing_was_evaluated_inside_tasks(make_run, tmp_path):
    assert load_trajectories(make_run()) == {}
    assert load_trajectories(tmp_path / "gone") == {}


LINE = '{"step": 3, "task": 1, "name": "trace/class_incremental/task_1", "value": 0.5}\n'


def test_a_line_that_is_being_written_is_left_out(tmp_path):
    (tmp_path / "metrics.jsonl").write_text(LINE + LINE.replace("3", "6")[:50])
    assert load_trajectories(tmp_path)["class_incremental"].steps.tolist() == [3]


@pytest.mark.parametrize(("old", "new"), [("task_1", "task_x"), ("0.5", "98.0"), ("0.5", '"a"')])
def test_damaged(tmp_path, old, new):
    (tmp_path / "metrics.jsonl").write_text(LINE.replace(old, new))
    with pytest.raises(ValueError, match=r"measurement|evaluation|accuracy"):
        load_trajectories(tmp_path)
