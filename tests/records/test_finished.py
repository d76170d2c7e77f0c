"""A run comes back from its files, or one line says which file is at fault."""

import json

import numpy as np
import pytest

from contsemi.errors import InputError
from contsemi.records.finished import load_run


def test_round_trip(make_run):
    matrix = np.array([[0.1, np.nan], [1 / 3, 2 / 3]])
    run = load_run(make_run(matrix=matrix))
    np.testing.assert_array_equal(run.class_incremental, matrix)
    np.testing.assert_array_equal(run.task_incremental, np.sqrt(matrix))
    assert run.results["class_incremental"]["average_accuracy"] == pytest.approx(0.5)
    assert run.config["optim"]["lr"] == 1e-5
    assert run.manifest["label_digest"] == "9f" * 32
    assert run.title == "contsemi · digits · labels 5% · seed 0"


def test_labels_per_task(make_run):
    assert load_run(make_run(label_ratio=["5%", "4/class"])).labels == "5%, 4/class"


def test_configuration_and_manifest_may_be_missing(make_run):
    folder = make_run()
    (folder / "config.yaml").unlink()
    (folder / "manifest.json").unlink()
    run = load_run(folder)
    assert run.config == run.manifest == {}


def test_no_such_folder_and_no_such_run(tmp_path):
    with pytest.raises(InputError, match="no such folder"):
        load_run(tmp_path / "gone")
    with pytest.raises(InputError, match=r"no results\.json"):
        load_run(tmp_path)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("results.json", b"{"),
        ("results.json", b"[]"),
        ("results.json", b"\xff"),
        ("results.json", b"[" * 100_000),
        ("results.json", b"{}"),
        ("accuracy_matrix.csv", b"after_task,task_1\n1,98.6\n"),
        ("accuracy_matrix_task_incremental.csv", b"1"),
        ("config.yaml", b"a: [1"),
        ("config.yaml", b"!!python/object/apply:os.getcwd []"),
        ("manifest.json", b"3"),
    ],
)
def test_a_damaged_file_is_named(make_run, name, content):
    folder = make_run()
    (folder / name).write_bytes(content)
    with pytest.raises(InputError) as failure:
        load_run(folder)
    assert str(folder / name) in str(failure.value)
    assert "\n" not in str(failure.value)


@pytest.mark.parametrize("summary", [None, [], {}, {"average_accuracy": "high"}])
def test_results_without_numbers(make_run, summary):
    folder = make_run()
    content = json.loads((folder / "results.json").read_text())
    content["class_incremental"] = summary
    (folder / "results.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match="class_incremental"):
        load_run(folder)


@pytest.mark.parametrize(
    ("key", "value"),
    [("predictors", {"index": {"average_accuracy": "high"}}), ("predictors", [1]), ("seed", "x")],
)
def test_results_of_another_kind(make_run, key, value):
    folder = make_run()
    content = json.loads((folder / "results.json").read_text())
    content[key] = value
    (folder / "results.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match=key):
        load_run(folder)


def test_a_missing_matrix_is_named(make_run):
    folder = make_run()
    (folder / "accuracy_matrix.csv").unlink()
    with pytest.raises(InputError, match=r"accuracy_matrix\.csv"):
        load_run(folder)


def test_results_of_an_older_version(make_run):
    """Numbers that were not written then are missing, not wrong."""
    folder = make_run()
    content = json.loads((folder / "results.json").read_text())
    for kind in ("class_incremental", "task_incremental"):
        del content[kind]["relative_forgetting"]
    (folder / "results.json").write_text(json.dumps(content))
    assert "relative_forgetting" not in load_run(folder).metrics
    content["task_incremental"]["relative_forgetting"] = "much"
    (folder / "results.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"task_incremental\.relative_forgetting"):
        load_run(folder)
