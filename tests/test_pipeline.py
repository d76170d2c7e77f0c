"""Whole runs on the real digits: their files, twice the same, and stopped anywhere."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from importlib.metadata import version

import numpy as np
import pytest
import torch
import yaml

from contsemi import pipeline, resources
from contsemi.engine.checkpoint import Checkpoints
from contsemi.errors import Diverged, InputError, Interrupted, OutOfDeviceMemory, StateDamaged
from contsemi.report.results import without_timings
from contsemi.run import main
from contsemi.watch import Watch

EMBEDDINGS = ("memory.embeddings=30", "distiller.neighbours=5")
TWO_TASKS = ("scenario.classes=4", "scenario.tasks=2", *EMBEDDINGS, "optim.epochs=3")
EVERY_STEP = "checkpoint.seconds=1e-6"


def numbers(folder):
    """All that two runs must have in common."""
    return (
        without_timings(json.loads((folder / "results.json").read_text())),
        (folder / "metrics.jsonl").read_bytes(),
        (folder / "accuracy_matrix.csv").read_bytes(),
        (folder / "accuracy_matrix_task_incremental.csv").read_bytes(),
    )


def saved_in(folder):
    """The newest state and record; nothing here asks whose they are."""
    checkpoints = Checkpoints(folder / "checkpoints")
    if checkpoints.manifest.exists():
        checkpoints.run = json.loads(checkpoints.manifest.read_text())["body"]["run"]
    return checkpoints.load()


@pytest.fixture
def undrawn(monkeypatch):
    """Runs draw no pictures, which take most of the time of a small one."""
    monkeypatch.setattr("contsemi.report.pages.draw", lambda run: [])


@pytest.fixture
def start(small, undrawn):
    """Runs two tasks with a checkpoint after every step."""

    def run(folder, *words):
        return pipeline.run(small(*TWO_TASKS, EVERY_STEP, *words, f"output={folder}"))

    return run


@pytest.fixture(scope="module")
def finished(small, tmp_path_factory):
    """The folder of a run that nobody disturbed, and what it returned; not to be changed."""
    folder = tmp_path_factory.mktemp("runs") / "whole"
    return folder, pipeline.run(small(*TWO_TASKS, f"output={folder}"))


# The files


def test_all_files_are_there(finished):
    names = {path.name for path in finished[0].iterdir()}
    assert names == {
        "results.json",
        "accuracy_matrix.csv",
        "accuracy_matrix_task_incremental.csv",
        "metrics.jsonl",
        "config.yaml",
        "manifest.json",
        "answers",
        *(f"{n}.{e}" for n in ("forgetting", "classes", "embeddings") for e in ("png", "svg")),
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
def test_results_follow_from_the_matrix(kind, finished, small, stream_of):
    folder, returned = finished
    assert json.loads((folder / "results.json").read_text()) == returned
    r = matrix_of(folder, "" if kind == "class_incremental" else "_task_incremental")
    images = np.array([len(task.indices) for task in stream_of(small(*TWO_TASKS))[0].test])
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


def test_configuration_and_manifest_say_what_was_run(finished, small, stream_of):
    folder, returned = finished
    config = small(*TWO_TASKS, f"output={folder}")
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


def test_the_last_checkpoint_holds_the_end(finished):
    folder, returned = finished
    state, record = saved_in(folder)
    assert (record["task"], record["place"]) == (2, None)
    assert (record["trained"], record["changes"]) == (False, [])
    assert record["metrics_bytes"] == (folder / "metrics.jsonl").stat().st_size
    exemplars = state["exemplars"]  # their pixels count, and are not saved with them
    assert 0 < len(exemplars["ids"]) * 3 * 8 * 8 < returned["memory_bytes"]
    assert "images" not in exemplars
    assert len(state["embeddings"]["ids"]) == 30


# The same again


def test_the_same_command_gives_the_same_numbers(finished, small, tmp_path):
    pipeline.run(small(*TWO_TASKS, f"output={tmp_path / 'again'}"))
    assert numbers(tmp_path / "again") == numbers(finished[0])


def test_a_finished_run_is_shown_and_not_trained_again(finished, monkeypatch, capsys):
    def refuse(config):
        raise AssertionError("trained again")

    folder, _ = finished
    before = {path: path.read_bytes() for path in folder.glob("*.json*")}
    monkeypatch.setattr(pipeline, "Learner", refuse)
    words = [*TWO_TASKS, "model.width=8", "batch.unlabelled=96", "objective.labelled_views=1"]
    words += ["memory.exemplars=60", "threads=1", "device=cpu"]
    assert main([*words, f"output={folder}", "display=plain"]) == 0
    assert "finished before" in capsys.readouterr().out
    assert {path: path.read_bytes() for path in folder.glob("*.json*")} == before


def test_never_starts_anew(start, finished, tmp_path):
    start(tmp_path, "seed=3")
    first = numbers(tmp_path)
    with pytest.raises(InputError, match=r"another seed \(3 -> 0\)"):
        start(tmp_path)
    assert numbers(tmp_path) == first
    start(tmp_path, "resume=never")
    assert numbers(tmp_path) == numbers(finished[0]) != first


# Stopped and started again


class Stopped(Exception):
    pass


def stop_at(monkeypatch, owner, name, call):
    """Ends the run at the n-th call of something, as a kill would: nothing more is written."""
    real, calls = getattr(owner, name), []

    def counted(*args, **kwargs):
        calls.append(name)
        if len(calls) == call:
            raise Stopped
        return real(*args, **kwargs)

    monkeypatch.setattr(owner, name, counted)


@pytest.mark.parametrize(
    ("owner", "name", "call"),
    [
        (Watch, "before_backward", 1),
        (Watch, "after_training_iteration", 5),  # steps done, and not yet saved
        (Watch, "after_update", 9),  # in the last step of the first task
        (pipeline, "evaluate", 1),  # the task is learned, and not yet measured
        (pipeline, "evaluate", 2),
        (pipeline._Run, "save", 10),  # measured, and not yet saved
        (Watch, "before_training_epoch", 5),
        (pipeline._Run, "finish", 1),
        (pipeline.Records, "write_results", 1),
        (pipeline.Records, "write_manifest", 1),
    ],
)
def test_a_run_that_was_stopped_ends_with_the_same_numbers(
    owner, name, call, start, finished, tmp_path, monkeypatch
):
    with monkeypatch.context() as patch, pytest.raises(Stopped):
        stop_at(patch, owner, name, call)
        start(tmp_path)
    assert not (tmp_path / "results.json").exists()
    returned = start(tmp_path)
    assert numbers(tmp_path) == numbers(finished[0])
    assert returned["images_per_second"] > 0


def test_only_what_is_left_is_trained(start, tmp_path, monkeypatch):
    with monkeypatch.context() as patch, pytest.raises(Stopped):
        stop_at(patch, Watch, "after_update", 6)
        start(tmp_path)
    steps = []
    after_update = Watch.after_update
    monkeypatch.setattr(
        Watch, "after_update", lambda self, loop: (steps.append(1), after_update(self, loop))
    )
    start(tmp_path)
    assert len(steps) == 18 - 5  # 3 epochs of 3 steps in 2 tasks; 5 had been saved


def test_a_method_that_trains_nothing_goes_on_too(small, tmp_path, monkeypatch):
    words = ("method=pixel_knn", "scenario.classes=4", "scenario.tasks=2")
    pipeline.run(small(*words, f"output={tmp_path / 'whole'}"))
    config = small(*words, f"output={tmp_path / 'stopped'}")
    with monkeypatch.context() as patch, pytest.raises(Stopped):
        stop_at(patch, pipeline, "evaluate", 2)
        pipeline.run(config)
    pipeline.run(config)
    assert numbers(tmp_path / "stopped") == numbers(tmp_path / "whole")


def test_other_images_are_not_gone_on_with(start, tmp_path, monkeypatch):
    from dataclasses import replace

    with monkeypatch.context() as patch, pytest.raises(Stopped):
        stop_at(patch, Watch, "after_update", 4)
        start(tmp_path)
    load = pipeline.data.load

    def other(*args):
        train, test = load(*args)
        return replace(train, images=255 - train.images, digest="other"), test

    monkeypatch.setattr(pipeline.data, "load", other)
    with pytest.raises(InputError, match="began with other images or labels"):
        start(tmp_path)


def test_a_shortened_metrics_file_is_said(start, tmp_path, monkeypatch):
    with monkeypatch.context() as patch, pytest.raises(Stopped):
        stop_at(patch, pipeline, "evaluate", 2)
        start(tmp_path)
    (tmp_path / "metrics.jsonl").write_text("")
    with pytest.raises(StateDamaged, match=r"metrics\.jsonl has 0 bytes of"):
        start(tmp_path)


WORDS = (*TWO_TASKS[:-1], "optim.epochs=10", "model.width=8", "batch.unlabelled=96")
WORDS += ("objective.labelled_views=1", "threads=1", "display=plain", "device=cpu")


def command(folder):
    return [sys.executable, "-m", "contsemi.run", f"output={folder}", EVERY_STEP, *WORDS]


def steps_saved(folder):
    try:
        text = (folder / "checkpoints" / "MANIFEST.json").read_text()
    except FileNotFoundError:
        return 0
    return json.loads(text)["body"]["generations"][0]["record"]["steps_done"]


@pytest.mark.slow
def test_a_process_stopped_by_every_signal_ends_with_the_same_numbers(small, tmp_path):
    """Two tasks of 30 steps; each stop falls on whatever step the process is at."""
    folder = tmp_path / "stopped"
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    stops = [(signal.SIGKILL, 4), (signal.SIGTERM, 15), (signal.SIGINT, 35)]
    for number, steps in stops:
        process = subprocess.Popen(
            command(folder), env=environment, stderr=subprocess.PIPE, text=True
        )
        while steps_saved(folder) < steps and process.poll() is None:
            time.sleep(0.002)
        process.send_signal(number)
        said = process.communicate()[1]
        if number == signal.SIGKILL:
            assert process.returncode == -signal.SIGKILL
        else:
            assert process.returncode == 128 + number, said
            assert said.startswith("error: stopped by signal")
        assert steps <= steps_saved(folder) < 60
        assert not (folder / "results.json").exists()
    done = subprocess.run(command(folder), env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "goes on from a checkpoint" in done.stdout
    assert "memory.index=torch: 30 rows on cpu" in done.stdout

    pipeline.run(small(*WORDS, "memory.exemplars=100", f"output={tmp_path / 'whole'}"))
    assert numbers(folder) == numbers(tmp_path / "whole")


# What ends a run


def test_bad_input_writes_nothing(small, tmp_path):
    with pytest.raises(InputError):
        pipeline.run(small("label_ratio=500/class", f"output={tmp_path / 'a' / 'b'}"))
    assert list(tmp_path.iterdir()) == []


def test_a_diverged_run_says_so_and_saves_no_such_state(small, tmp_path):
    config = small(*TWO_TASKS, "optim.name=sgd", "optim.clip=0", f"output={tmp_path}")
    far = config.optim.model_copy(update={"lr": 1e30})  # beyond what the command line takes
    with pytest.raises(Diverged):
        pipeline.run(config.model_copy(update={"optim": far}))
    assert not (tmp_path / "results.json").exists()
    saved = saved_in(tmp_path)
    assert saved is None or all(t.isfinite().all() for t in saved[0]["network"].values())


def test_too_little_device_memory_says_what_to_lower(start, tmp_path, monkeypatch):
    def full(*args):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")

    monkeypatch.setattr(pipeline, "evaluate", full)
    with pytest.raises(OutOfDeviceMemory, match=r"device=cpu: out of memory; lower batch\.unl"):
        start(tmp_path)


# Every method


@pytest.mark.parametrize(
    "path", sorted((resources.conf() / "method").glob("*.yaml")), ids=lambda p: p.stem
)
def test_every_method_runs(path, small, undrawn, tmp_path):
    words = ("scenario.classes=4", "scenario.tasks=2", f"output={tmp_path}")
    returned = pipeline.run(small(f"method={path.stem}", *words))
    assert returned["method"] == path.stem
    assert np.isfinite(matrix_of(tmp_path)[1]).all()
    chance = 0.25
    assert returned["task_incremental"]["average_accuracy"] > chance
    if path.stem in ("cumulative", "joint"):  # they have no limit
        assert returned["memory_bytes"] > 0
    elif not small(f"method={path.stem}").memory.exemplars:
        assert returned["memory_bytes"] == 0


# Evaluation while training


def test_a_run_that_was_stopped_has_the_same_curves(start, small, tmp_path, monkeypatch):
    """Every curve is written before the checkpoint of its step, and once."""
    words = ("evaluate.every_steps=5", "evaluate.images=40")
    whole = start(tmp_path / "whole", *words)
    look, calls = Watch.before_backward, []

    def stop_at(watch, loop):
        calls.append(loop)
        if len(calls) == 7:
            watch.signals.received = signal.SIGTERM
        look(watch, loop)

    monkeypatch.setattr(Watch, "before_backward", stop_at)
    with pytest.raises(Interrupted):
        start(tmp_path / "parts", *words)
    assert start(tmp_path / "parts", *words)["while_training"] == whole["while_training"]
    assert numbers(tmp_path / "parts") == numbers(tmp_path / "whole")
    measured = whole["while_training"]["class_incremental"]
    assert measured["evaluations"] >= 4
    assert 0 <= measured["min_accuracy"] <= 1
