"""Whole runs of baselines by the pipeline: the same files, screen and exit codes."""

import json
import os
import re
import signal

import numpy as np
import pytest

from contsemi import pipeline
from contsemi.errors import Diverged, InputError, Interrupted
from contsemi.pipeline.watch import Watch
from contsemi.records.finished import load_run
from contsemi.records.results import without_timings
from contsemi.report.__main__ import main as report


@pytest.fixture
def start(load, monkeypatch):
    """Runs a baseline through the pipeline, without the pictures."""
    monkeypatch.setattr("contsemi.report.pages.draw.draw", lambda run: [])

    def run(folder, name, *words):
        return pipeline.run(load(name, *words, f"output={folder}"))

    return run


def metrics(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.thorough
def test_the_records_of_a_baseline_are_complete(load, tmp_path, capsys):
    config = load("lwf", f"output={tmp_path}", "display=plain")
    returned = pipeline.run(config)
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {
        "results.json",
        "accuracy_matrix.csv",
        "accuracy_matrix_task_incremental.csv",
        "accuracy_by_class.csv",
        "metrics.jsonl",
        "answers",
        "config.yaml",
        "manifest.json",
        *(
            f"{name}.{ending}"
            for name in ("forgetting", "by_class", "classes", "losses", "embeddings")
            for ending in ("png", "svg")
        ),
        "report.html",
        "run.lock",
    }
    assert returned == json.loads((tmp_path / "results.json").read_text())
    assert (returned["method"], list(returned["memory"])) == ("lwf", ["past"])
    assert returned["undefined"] == {}
    assert returned["images_per_second"] > 0
    lines = metrics(tmp_path)
    assert {"loss/labels", "loss/distillation"} <= {line["name"] for line in lines}
    first = [line for line in lines if line["task"] == 1 and line["name"] == "loss/distillation"]
    assert {line["value"] for line in first} == {0.0}
    later = [line for line in lines if line["task"] == 2 and line["name"] == "loss/distillation"]
    assert all(line["value"] > 0 for line in later)
    matrix = load_run(tmp_path).class_incremental
    for line in lines:
        if line["name"].startswith("accuracy/class_incremental/"):
            column = int(line["name"].rpartition("_")[2]) - 1
            assert line["value"] == pytest.approx(matrix[line["task"] - 1, column], abs=1e-9)
    out = capsys.readouterr().out
    assert "method lwf · scenario digits_5tasks" in out
    assert len(re.findall("after an interruption the same command starts it anew", out)) == 1
    assert "Warning" not in out


@pytest.mark.thorough
def test_joint_has_the_last_row_alone_and_the_rest_is_undefined(load, tmp_path, capsys):
    """Before the last task there is nothing to measure; every reader of the records copes."""
    returned = pipeline.run(load("joint", f"output={tmp_path}", "display=plain"))
    run = load_run(tmp_path)
    assert np.isnan(run.class_incremental[:-1]).all()
    assert run.class_incremental[-1].mean() == returned["class_incremental"]["average_accuracy"]
    assert returned["class_incremental"]["forgetting"] is None
    assert returned["class_incremental"]["learning_accuracy"] is None
    reason = "task 1 was not measured after task 1"
    assert returned["undefined"]["class_incremental.forgetting"] == reason
    out = capsys.readouterr().out
    assert "task 3/3 done" in out
    assert f"not defined: {reason}" in out
    assert "</html>" in (tmp_path / "report.html").read_text(encoding="utf-8")
    assert report([str(tmp_path)]) in (0, None)


@pytest.mark.thorough
def test_a_stopped_baseline_starts_anew_and_ends_with_the_same_numbers(
    start, tmp_path, monkeypatch, capsys
):
    whole = start(tmp_path / "whole", "derpp")
    look, calls = Watch.look, []

    def stop(self, loop):
        look(self, loop)
        calls.append(loop)
        if len(calls) == 4:
            os.kill(os.getpid(), signal.SIGINT)

    with monkeypatch.context() as patch, pytest.raises(Interrupted) as caught:
        patch.setattr(Watch, "look", stop)
        start(tmp_path / "stopped", "derpp")
    assert caught.value.exit_code == 130
    assert "the same command starts this baseline anew" in str(caught.value)
    assert not (tmp_path / "stopped" / "results.json").exists()
    assert not (tmp_path / "stopped" / "checkpoints").exists()
    again = start(tmp_path / "stopped", "derpp")
    assert without_timings(again) == without_timings(whole)
    assert metrics(tmp_path / "stopped") == metrics(tmp_path / "whole")


@pytest.mark.thorough
def test_a_finished_baseline_is_not_trained_again(start, tmp_path, capsys):
    once = start(tmp_path, "naive")
    assert start(tmp_path, "naive") == once
    assert "finished before" in capsys.readouterr().out


def test_bad_input_writes_nothing(start, tmp_path):
    with pytest.raises(InputError, match=r"memory\.exemplars: icarl"):
        start(tmp_path / "a" / "b", "icarl", "memory.exemplars=5")
    assert list(tmp_path.iterdir()) == []


def test_a_diverged_baseline_says_so(load, tmp_path):
    config = load("naive", "optim.name=sgd", "optim.clip=0", f"output={tmp_path}")
    far = config.optim.model_copy(update={"lr": 1e30})
    with pytest.raises(Diverged, match=r"loss: not finite in task 1"):
        pipeline.run(config.model_copy(update={"optim": far}))
    assert not (tmp_path / "results.json").exists()
