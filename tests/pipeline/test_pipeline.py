"""Whole runs on the real digits: their files, and how they end."""

import csv
import json
from importlib.metadata import version

import numpy as np
import pytest
import torch
import yaml

from contsemi import pipeline
from contsemi.compose import resources
from contsemi.errors import Diverged, InputError, OutOfDeviceMemory

FIGURES = ("forgetting", "by_class", "classes", "losses", "embeddings")


def test_all_files_are_there(finished):
    names = {path.name for path in finished[0].iterdir()}
    assert names == {
        "results.json",
        "accuracy_matrix.csv",
        "accuracy_matrix_task_incremental.csv",
        "accuracy_by_class.csv",
        "metrics.jsonl",
        "config.yaml",
        "manifest.json",
        "answers",
        *(f"{name}.{ending}" for name in FIGURES for ending in ("png", "svg")),
        "report.html",
        "checkpoints",
        "run.lock",
    }
    assert (finished[0] / "forgetting.png").read_bytes().startswith(b"\x89PNG")
    assert "</html>" in (finished[0] / "report.html").read_text(encoding="utf-8")


def matrix_of(folder, kind=""):
    """The accuracy matrix by the csv module; empty cells are NaN."""
    with (folder / f"accuracy_matrix{kind}.csv").open() as file:
        table = list(csv.reader(file))[1:]
    return np.array([[float(x) if x else np.nan for x in row[1:]] for row in table])


@pytest.mark.parametrize("kind", ["class_incremental", "task_incremental"])
def test_results_follow_from_the_matrix(kind, finished, small, stream_of, two_tasks):
    folder, returned = finished
    assert json.loads((folder / "results.json").read_text()) == returned
    r = matrix_of(folder, "" if kind == "class_incremental" else "_task_incremental")
    images = np.array([len(task.indices) for task in stream_of(small(*two_tasks))[0].test])
    assert np.isnan(r[0, 1]) and r.shape == (2, 2)
    expected = {
        "average_accuracy": r[1].mean(),
        "average_incremental_accuracy": np.mean([r[0, 0], r[1].mean()]),
        "forgetting": r[0, 0] - r[1, 0],  # the end is no part of the maximum
        "backward_transfer": r[1, 0] - r[0, 0],
        "learning_accuracy": (r[0, 0] + r[1, 1]) / 2,
        "forgetting_first_minus_last": r[0, 0] - r[1, 0],
        "relative_forgetting": 1 - r[1, 0] / r[0, 0],
        "sample_weighted_accuracy": r[1] @ images / images.sum(),
        "sample_weighted_incremental_accuracy": (r[0, 0] + r[1] @ images / images.sum()) / 2,
    }
    assert returned[kind] == pytest.approx(expected, abs=1e-9)
    assert 0 <= np.nanmin(r) <= np.nanmax(r) <= 1


def test_metrics_hold_the_matrices_and_the_losses(finished):
    folder, _ = finished
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert all(list(line) == ["step", "task", "name", "value"] for line in lines)
    for kind in ("class_incremental", "task_incremental"):
        r = matrix_of(folder, "" if kind == "class_incremental" else "_task_incremental")
        for line in lines:
            if line["name"].startswith(f"accuracy/{kind}/task_"):
                column = int(line["name"].rpartition("_")[2])
                expected = r[line["task"] - 1, column - 1]
                assert line["value"] == pytest.approx(expected, abs=1e-9)
    names = [line["name"] for line in lines]
    others = {"objective", "prototypes", "neighbours", "index"}
    assert sum(name.startswith("accuracy/") for name in names) == (2 + len(others)) * 3
    assert {name.split("/")[1] for name in names if "/task_" in name} >= others
    assert {"loss/clustering", "loss/labels", "loss/distillation"} <= set(names)
    assert [line["step"] for line in lines] == sorted(line["step"] for line in lines)


def test_every_predictor_is_in_the_results(finished):
    folder, returned = finished
    found = returned["predictors"]
    assert found.keys() == {"headline", "objective", "prototypes", "neighbours", "index"}
    assert found["objective"] == found["prototypes"]  # Suave's own; the headline are moments
    for kind, prefix in (("class_incremental", ""), ("task_incremental", "task_incremental_")):
        average = returned[kind]["average_accuracy"]
        assert found["headline"][f"{prefix}average_accuracy"] == pytest.approx(average, abs=1e-9)
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    for name in ("neighbours", "index"):
        last = [
            line["value"]
            for line in lines
            if line["task"] == 2 and line["name"].startswith(f"accuracy/{name}/task_")
        ]
        assert found[name]["average_accuracy"] == pytest.approx(np.mean(last), abs=1e-9)


def test_configuration_and_manifest_say_what_was_run(finished, small, stream_of, two_tasks):
    folder, returned = finished
    config = small(*two_tasks, f"output={folder}")
    written = yaml.safe_load((folder / "config.yaml").read_text())
    assert written == config.model_dump() | {"label_ratio": written["label_ratio"]}
    stream, test = stream_of(config)
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["config"] == written
    assert manifest["seed"] == returned["seed"] == config.seed
    assert manifest["class_order"] == list(stream.class_order)
    assert manifest["label_digest"] == stream.label_digest
    assert manifest["label_indices"] == stream.label_indices.tolist()
    assert manifest["dataset_digests"]["test"] == test.digest
    assert manifest["device"] == "cpu"
    assert manifest["threads"] == 1
    assert manifest["versions"]["torch"] == version("torch")
    assert returned["label_ratio"] == str(written["label_ratio"])


def test_the_last_checkpoint_holds_the_end(finished, saved_in):
    folder, returned = finished
    state, record = saved_in(folder)
    assert (record["task"], record["place"]) == (2, None)
    assert (record["trained"], record["changes"]) == (False, [])
    assert record["metrics_bytes"] == (folder / "metrics.jsonl").stat().st_size
    exemplars = state["exemplars"]  # their pixels count, and are not saved with them
    assert 0 < len(exemplars["ids"]) * 3 * 8 * 8 < returned["memory_bytes"]
    assert "images" not in exemplars
    assert len(state["embeddings"]["ids"]) == 30


# What ends a run


@pytest.mark.parametrize("given", [None, "seed=1", ["seed=1"], {"seed": 1}])
def test_what_is_no_configuration_is_refused(given):
    with pytest.raises(InputError, match=r"pipeline\.run\(config\): expected a configuration"):
        pipeline.run(given)


def test_bad_input_writes_nothing(small, tmp_path):
    with pytest.raises(InputError):
        pipeline.run(small("label_ratio=500/class", f"output={tmp_path / 'a' / 'b'}"))
    assert list(tmp_path.iterdir()) == []


def test_a_diverged_run_says_so_and_saves_no_such_state(small, tmp_path, saved_in, two_tasks):
    config = small(*two_tasks, "optim.name=sgd", "optim.clip=0", f"output={tmp_path}")
    far = config.optim.model_copy(update={"lr": 1e30})  # beyond what the command line takes
    with pytest.raises(Diverged):
        pipeline.run(config.model_copy(update={"optim": far}))
    assert not (tmp_path / "results.json").exists()
    saved = saved_in(tmp_path)
    assert saved is None or all(t.isfinite().all() for t in saved[0]["network"].values())


def test_too_little_device_memory_says_what_to_lower(start, tmp_path, monkeypatch):
    def full(*args, **options):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")

    monkeypatch.setattr("contsemi.pipeline.account.evaluate", full)
    with pytest.raises(OutOfDeviceMemory, match=r"device=cpu: out of memory; lower batch\.unl"):
        start(tmp_path)


# Every method


def hierarchy(method, folder):
    """Words that give the digits coarse classes, for the method that is refused without."""
    if method != "hiermatch":
        return ()
    file = folder / "above.yaml"
    file.write_text("round: [0, 6, 8, 9]\nother: [1, 2, 3, 4, 5, 7]\n")
    return (f"scenario.hierarchy={file}",)


@pytest.mark.parametrize(
    "path", sorted((resources.conf() / "method").glob("*.yaml")), ids=lambda p: p.stem
)
@pytest.mark.quick(1)
def test_every_method_runs(path, small, undrawn, tmp_path):
    tasks = 1 if path.stem == "joint_semi" else 2  # which refuses more
    words = ("scenario.classes=4", f"scenario.tasks={tasks}", f"output={tmp_path / 'run'}")
    words += hierarchy(path.stem, tmp_path)
    returned = pipeline.run(small(f"method={path.stem}", *words))
    assert returned["method"] == path.stem
    assert np.isfinite(matrix_of(tmp_path / "run")[tasks - 1]).all()
    chance = 0.25
    assert returned["task_incremental"]["average_accuracy"] > chance
    assert returned["memory_bytes"] == sum(returned["memory"].values())
    if path.stem in ("cumulative", "joint"):  # they have no limit
        assert returned["memory"]["exemplars"] > 0
    elif not small(f"method={path.stem}").memory.exemplars:
        assert "exemplars" not in returned["memory"]


@pytest.mark.parametrize(
    "name", sorted({p.stem for p in (resources.conf() / "method").glob("*.yaml")} - {"joint_semi"})
)
@pytest.mark.quick(1)
def test_every_method_runs_in_a_stream_as_it_is(name, small, undrawn, tmp_path):
    """Classes return, one is never labelled, a task has no label, foreign images in its pool.

    But for ``joint_semi``, which makes one task of the stream, where these are nothing.
    """
    words = ("scenario=digits_wild", f"output={tmp_path / 'run'}", *hierarchy(name, tmp_path))
    returned = pipeline.run(small(f"method={name}", *words))
    assert np.isfinite(matrix_of(tmp_path / "run")[-1]).all()
    chance = 1 / 8
    assert returned["task_incremental"]["average_accuracy"] > chance


# Evaluation while training
