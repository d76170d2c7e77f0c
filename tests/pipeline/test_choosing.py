"""Labels that are chosen before each task: budget, records, resume, one list for others."""

import json
import signal
from dataclasses import replace

import numpy as np
import pytest
import torch

from contsemi import data, pipeline
from contsemi.data.annotator import Annotator
from contsemi.data.plan import plan
from contsemi.data.scenario import build
from contsemi.errors import InputError
from contsemi.labels import LabelBudget, digest
from contsemi.labels.choices.choice import Choice
from contsemi.records.finished import load_run
from contsemi.records.labelling import label_digest

QUICK = ("scenario.classes=4", "scenario.tasks=2", "optim.epochs=1", "labels=kcenter")


@pytest.fixture
def annotator(small):
    config = small(*QUICK)
    budget, choice = LabelBudget.parse("5%"), Choice.named(config.labels)
    train, test = data.load(config.data, config.scenario.dataset)
    stream = build(config.scenario, budget, train, test, 0, choice=choice)
    made = plan(config.scenario, budget, choice, 0, train.named, test.named)
    return Annotator(stream, made, train.targets, None), stream, train.targets


def test_the_annotator_sells_what_was_offered_and_no_more(annotator):
    sells, stream, targets = annotator
    assert not len(stream.label_indices) and not len(stream.experiences[0].labelled)
    offered, most = sells.offered(0), sells.most[0]
    assert most == int(0.05 * len(offered)) and targets[offered].max() == 1
    with pytest.raises(ValueError, match="labels for task 1"):
        sells.buy(0, offered[: most + 1].tolist())
    with pytest.raises(ValueError, match="bought twice, or was not offered"):
        sells.buy(0, [int(offered[0])] * 2)
    with pytest.raises(ValueError, match="bought twice, or was not offered"):
        sells.buy(0, sells.offered(1)[:1].tolist())
    sells.buy(0, offered[:3].tolist())
    assert torch.equal(stream.experiences[0].labels, targets[offered[:3]])
    assert not len(stream.experiences[1].labelled)


def chosen(folder):
    rows = [int(line) for line in (folder / "labels.txt").read_text().splitlines()]
    return rows, json.loads((folder / "manifest.json").read_text())


@pytest.mark.thorough
def test_a_run_chooses_writes_and_hands_its_list_on(small, tmp_path):
    first, second = tmp_path / "usl", tmp_path / "listed"
    results = pipeline.run(small(*QUICK, f"output={first}"))
    rows, manifest = chosen(first)
    assert manifest["chosen"]["digest"] == digest(torch.tensor(rows).numpy())
    assert manifest["label_indices"] == rows and manifest["labelled"] == len(rows)
    assert manifest["chosen"]["by"] == ["pixels", "the network of the task before"]
    assert [len(task) for task in manifest["chosen"]["by_task"]] == [
        task["labelled"] for task in manifest["tasks"]
    ]
    assert sum(manifest["tasks"][1]["labels"]) == manifest["tasks"][1]["labelled"]
    assert 0 < results["labels"]["covered"] <= 1 and results["labels"]["distance"] > 0
    listed = small(*QUICK[:-1], f"scenario.labels={first / 'labels.txt'}", f"output={second}")
    again = pipeline.run(listed)
    assert again["class_incremental"] == results["class_incremental"]


@pytest.mark.thorough
def test_fewer_labels_than_asked_are_told(small, tmp_path, capsys, monkeypatch):
    """Results, tables and the screen named the budget as if all of it had been bought."""
    monkeypatch.setattr("contsemi.report.pages.draw.draw", lambda run: [])
    sizes = "scenario.task_classes=[2,2]", "label_ratio=[150/class,4/class]"
    folder = tmp_path / "run"
    config = small(*QUICK, "scenario.tasks=null", *sizes, f"output={folder}")
    results, images = pipeline.run(config), 142 + 146
    asked = [300, 8]
    assert results["labelled"] == [images, 8] and results["labels_asked"] == asked
    shown = " ".join(capsys.readouterr().out.split())
    said = f"chosen by pixels; {images} of the 300 that label_ratio=[150/class, 4/class] asks for"
    assert said in shown and shown.count(" that label_ratio") == 1
    run = load_run(folder)
    assert (run.labelled, run.asked) == (images + 8, 308)
    assert f"({images + 8} of 308 bought)" in run.title
    assert (
        label_digest(run.manifest)
        == run.manifest["chosen"]["digest"]
        == digest(np.array(run.manifest["label_indices"]))
    )


@pytest.mark.thorough
def test_a_resumed_run_keeps_its_labels(small, tmp_path, monkeypatch):
    """Stopped in the second task and gone on with: the same rows and the same numbers."""
    from contsemi.pipeline import tasks

    once = pipeline.run(small(*QUICK, f"output={tmp_path / 'once'}"))
    stopped, fit = small(*QUICK, f"output={tmp_path / 'stopped'}"), tasks.fit

    def killed(learner, experience, *rest):
        if experience.index:
            raise KeyboardInterrupt
        fit(learner, experience, *rest)

    monkeypatch.setattr(tasks, "fit", killed)
    with pytest.raises(KeyboardInterrupt):
        pipeline.run(stopped)
    monkeypatch.setattr(tasks, "fit", fit)
    again = pipeline.run(stopped)
    assert chosen(tmp_path / "once")[0] == chosen(tmp_path / "stopped")[0]
    assert again["class_incremental"] == once["class_incremental"]


@pytest.mark.thorough
def test_no_label_is_read_before_it_is_bought(small, tmp_path, monkeypatch):
    """With other labels the same images are chosen in the first task, and in all by untrained."""
    load, found = data.load, []
    for scrambled in (False, True):

        def loaded(section, dataset, check=None, scrambled=scrambled):
            train, test = load(section, dataset)
            # Classes come in pairs: those of a task change places with each other.
            targets = train.targets ^ 1 if scrambled else train.targets
            return replace(train, targets=targets), test

        monkeypatch.setattr(data, "load", loaded)
        folder = tmp_path / str(scrambled)
        pipeline.run(small(*QUICK, f"output={folder}"))
        found.append(chosen(folder)[1]["chosen"]["by_task"][0])
    assert found[0] == found[1]


def test_a_baseline_is_told_where_to_get_its_list(small, tmp_path):
    words = ("method=naive", "labels=kmeans", f"output={tmp_path / 'naive'}")
    with pytest.raises(InputError, match=r"labels: kmeans asks .*; give it the labels.txt"):
        pipeline.run(small(*words))


@pytest.mark.thorough
def test_a_warm_up_chooses_without_a_label_and_leaves_the_run_alone(small, tmp_path, monkeypatch):
    """The rows are those of another network; given them, the run is the one without a warm-up."""
    from contsemi.pipeline import warmup

    seen, fit = [], warmup.fit

    def watched(learner, experience, *rest):
        seen.append(learner)
        assert not len(experience.labelled) and not len(learner.task.labels if learner.rows else ())
        fit(learner, experience, *rest)
        assert learner.memory_bytes == 0

    monkeypatch.setattr(warmup, "fit", watched)
    first, second = tmp_path / "warm", tmp_path / "listed"
    results = pipeline.run(small(*QUICK, "labels.warmup=2", f"output={first}"))
    rows, manifest = chosen(first)
    assert len(seen) == 1 and seen[0].epochs == 2
    said = manifest["chosen"]["by"]
    assert said == [
        "a self-supervised warm-up of 2 epochs by byol",
        "the network of the task before",
    ]
    pipeline.run(small(*QUICK, f"output={tmp_path / 'pixels'}"))
    assert chosen(tmp_path / "pixels")[0] != rows
    given = f"scenario.labels={first / 'labels.txt'}"
    again = pipeline.run(small(*QUICK[:-1], given, f"output={second}"))
    assert again["class_incremental"] == results["class_incremental"]


def test_a_signal_ends_a_warm_up_at_once(small, tmp_path, monkeypatch):
    from contsemi.errors import Interrupted
    from contsemi.pipeline import warmup

    def stopped(learner, experience, images, hooks):
        signal.raise_signal(signal.SIGINT)
        hooks.after_training_iteration(None)
        raise AssertionError("it went on")

    monkeypatch.setattr(warmup, "fit", stopped)
    with pytest.raises(Interrupted):
        pipeline.run(small(*QUICK, "labels.warmup=1", f"output={tmp_path / 'stopped'}"))
