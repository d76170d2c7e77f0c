"""Runs that are given again, or were stopped anywhere, end with the same numbers."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from PIL import Image

from contsemi import data, pipeline
from contsemi.errors import InputError, Interrupted, StateDamaged
from contsemi.pipeline import account, opening
from contsemi.pipeline.saving import Saver
from contsemi.pipeline.watch import Watch
from contsemi.records.records import Records
from contsemi.run import main

# The same again


@pytest.mark.thorough
def test_the_same_command_gives_the_same_numbers(finished, small, tmp_path, numbers, two_tasks):
    pipeline.run(small(*two_tasks, f"output={tmp_path / 'again'}"))
    assert numbers(tmp_path / "again") == numbers(finished[0])


@pytest.mark.thorough
def test_a_finished_run_is_shown_and_not_trained_again(finished, monkeypatch, capsys, two_tasks):
    def refuse(config):
        raise AssertionError("trained again")

    folder, _ = finished
    before = {path: path.read_bytes() for path in folder.glob("*.json*")}
    monkeypatch.setattr(opening, "Learner", refuse)
    words = [*two_tasks, "model.width=8", "batch.unlabelled=96", "objective.labelled_views=1"]
    words += ["memory.exemplars=60", "threads=1", "device=cpu"]
    assert main([*words, f"output={folder}", "display=plain"]) == 0
    assert "finished before" in capsys.readouterr().out
    assert {path: path.read_bytes() for path in folder.glob("*.json*")} == before


@pytest.mark.thorough
def test_never_starts_anew(start, finished, tmp_path, numbers):
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
        (account, "evaluate", 1),  # the task is learned, and not yet measured
        (account, "evaluate", 2),
        (Saver, "save", 10),  # measured, and not yet saved
        (Watch, "before_training_epoch", 5),
        (account.Account, "finish", 1),
        (Records, "write_results", 1),
        (Records, "write_manifest", 1),
    ],
)
@pytest.mark.quick(1)
def test_a_run_that_was_stopped_ends_with_the_same_numbers(
    owner, name, call, start, finished, tmp_path, monkeypatch, numbers
):
    with monkeypatch.context() as patch, pytest.raises(Stopped):
        stop_at(patch, owner, name, call)
        start(tmp_path)
    assert not (tmp_path / "results.json").exists()
    returned = start(tmp_path)
    assert numbers(tmp_path) == numbers(finished[0])
    assert returned["images_per_second"] > 0


@pytest.mark.thorough
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


@pytest.mark.thorough
def test_a_method_that_trains_nothing_goes_on_too(small, tmp_path, monkeypatch, numbers):
    words = ("method=pixel_knn", "scenario.classes=4", "scenario.tasks=2")
    pipeline.run(small(*words, f"output={tmp_path / 'whole'}"))
    config = small(*words, f"output={tmp_path / 'stopped'}")
    with monkeypatch.context() as patch, pytest.raises(Stopped):
        stop_at(patch, account, "evaluate", 2)
        pipeline.run(config)
    pipeline.run(config)
    assert numbers(tmp_path / "stopped") == numbers(tmp_path / "whole")


@pytest.mark.thorough
def test_what_a_pool_left_out_is_not_lost_in_the_evaluation(small, tmp_path, monkeypatch, numbers):
    """It is known right after the training, and is no part of the saved state."""
    words = ("scenario.classes=4", "scenario.tasks=2", "optim.epochs=1")
    words += ("scenario.unlabelled={current: 0.8, future: 0.2}",)
    pipeline.run(small(*words, f"output={tmp_path / 'whole'}"))
    assert b"pool/left_out" in numbers(tmp_path / "whole")[1]
    config = small(*words, f"output={tmp_path / 'stopped'}")
    with monkeypatch.context() as patch, pytest.raises(Stopped):
        stop_at(patch, account, "evaluate", 1)
        pipeline.run(config)
    pipeline.run(config)
    assert numbers(tmp_path / "stopped") == numbers(tmp_path / "whole")


def test_other_images_are_not_gone_on_with(start, tmp_path, monkeypatch):
    from dataclasses import replace

    with monkeypatch.context() as patch, pytest.raises(Stopped):
        stop_at(patch, Watch, "after_update", 4)
        start(tmp_path)
    load = data.load

    def other(*args):
        train, test = load(*args)
        return replace(train, images=255 - train.images, digest="other"), test

    monkeypatch.setattr(data, "load", other)
    with pytest.raises(InputError, match="began with other images, lists or labels"):
        start(tmp_path)


@pytest.mark.thorough
@pytest.mark.parametrize("changed", ["classes.txt", "unlabelled.txt", "photo.png"])
def test_lists_and_foreign_images_are_not_exchanged_on_the_way(
    small, tmp_path, monkeypatch, changed
):
    """The configuration names their folders alone, and no digest of the data set knows them."""
    given = tmp_path / "given"
    given.mkdir()
    (given / "classes.txt").write_text("0,1\n2,3\n")
    (given / "unlabelled.txt").write_text(" ".join(map(str, range(99))) + "\n100 101\n")
    Image.new("RGB", (9, 7), "red").save(given / "photo.png")
    words = [f"scenario.lists={given}", "scenario.tasks=null"]
    if changed == "photo.png":
        words = [f"scenario.unlabelled_root={given}", "scenario.unlabelled=folder"]
    words += ["optim.epochs=2", "label_ratio=2/class", "checkpoint.seconds=1e-6"]
    config = small(*words, f"output={tmp_path / 'run'}")
    with monkeypatch.context() as patch, pytest.raises(Stopped):
        stop_at(patch, Watch, "after_update", 2)
        pipeline.run(config)
    if changed == "photo.png":
        Image.new("RGB", (9, 7), "blue").save(given / changed)
    else:
        text = (given / changed).read_text()
        (given / changed).write_text(text.replace("0,1\n", "1,0\n").replace("100 ", "102 "))
    with pytest.raises(InputError, match="began with other images, lists or labels"):
        pipeline.run(config)


@pytest.mark.thorough
def test_a_shortened_metrics_file_is_said(start, tmp_path, monkeypatch):
    with monkeypatch.context() as patch, pytest.raises(Stopped):
        stop_at(patch, account, "evaluate", 2)
        start(tmp_path)
    (tmp_path / "metrics.jsonl").write_text("")
    with pytest.raises(StateDamaged, match=r"metrics\.jsonl has 0 bytes of"):
        start(tmp_path)


WORDS = ("scenario.classes=4", "scenario.tasks=2", "memory.embeddings=30")
WORDS += ("distiller.neighbours=5", "optim.epochs=10", "model.width=8", "batch.unlabelled=96")
WORDS += ("objective.labelled_views=1", "threads=1", "display=plain", "device=cpu")
WORDS += ("checkpoint.seconds=1e-6",)


def command(folder):
    return [sys.executable, "-m", "contsemi.run", f"output={folder}", *WORDS]


def steps_saved(folder):
    try:
        text = (folder / "checkpoints" / "MANIFEST.json").read_text()
    except FileNotFoundError:
        return 0
    return json.loads(text)["body"]["generations"][0]["record"]["steps_done"]


@pytest.mark.slow
def test_a_process_stopped_by_every_signal_ends_with_the_same_numbers(small, tmp_path, numbers):
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


@pytest.mark.thorough
def test_a_run_that_was_stopped_has_the_same_curves(start, small, tmp_path, monkeypatch, numbers):
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
