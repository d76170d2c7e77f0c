"""Writing a run's folder, and going on with its metrics after a crash."""

import hashlib
import json
import os
from dataclasses import replace

import numpy as np
import pytest

from contsemi.errors import StateDamaged, StorageFailed
from contsemi.metrics.answers import Answered
from contsemi.records import answers
from contsemi.records.records import Records
from contsemi.storage.ledger import Mark


def lines(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_one_metric_a_line(tmp_path):
    with Records(tmp_path / "new" / "run") as records:
        records.metric(step=7, task=0, name="loss/prototypes", value=0.25)
        records.metric(step=8, task=1, name="accuracy", value=float("nan"))
    assert lines(tmp_path / "new" / "run") == [
        {"step": 7, "task": 1, "name": "loss/prototypes", "value": 0.25},
        {"step": 8, "task": 2, "name": "accuracy", "value": None},
    ]


def test_a_resumed_run_writes_the_same_bytes(tmp_path):
    def steps(records, first, last):
        for step in range(first, last):
            records.metric(step=step, task=0, name="loss", value=1 / (step + 1))

    with Records(tmp_path / "whole") as records:
        steps(records, 0, 30)
    with Records(tmp_path / "cut") as records:
        steps(records, 0, 10)
        mark = records.flush()
        steps(records, 10, 17)
    assert (tmp_path / "cut" / "metrics.jsonl").stat().st_size > mark.length
    with Records(tmp_path / "cut") as records:
        records.truncate(mark)
        steps(records, 10, 20)
        assert records.flush().length > mark.length
        steps(records, 20, 30)
    names = [tmp_path / name / "metrics.jsonl" for name in ("whole", "cut")]
    assert names[0].read_bytes() == names[1].read_bytes()


def test_the_files_of_test_images_stand_beside_what_was_said_of_them(tmp_path):
    row = np.zeros(1, np.int32)
    said = Answered(row, row, row, row, np.ones(1, np.float32), np.zeros(1, np.float32))
    with Records(tmp_path) as records:
        records.write_answers(said, 0)
        assert answers.read_paths(tmp_path) == []
        records.write_answers(said, 1, ["photos/a.png", "photos/b.png"])
    assert answers.read_paths(tmp_path) == ["photos/a.png", "photos/b.png"]
    assert list(answers.read_all(tmp_path)) == [0, 1]


def test_flush_tells_the_length_on_the_disk(tmp_path):
    with Records(tmp_path) as records:
        assert records.flush() == Mark.start()
        records.metric(step=0, task=0, name="loss", value=1.0)
        mark = records.flush()
        content = (tmp_path / "metrics.jsonl").read_bytes()
        assert mark == Mark(len(content), hashlib.sha256(content).hexdigest())
        assert mark.length > 0


def test_lost_metrics_are_not_made_up(tmp_path):
    with Records(tmp_path) as records:
        records.metric(step=0, task=0, name="loss", value=1.0)
        mark = records.flush()
        with pytest.raises(StateDamaged, match=r"metrics\.jsonl"):
            records.truncate(replace(mark, length=mark.length + 1))
        assert records.flush() == mark


def test_changed_metrics_are_noticed(tmp_path):
    with Records(tmp_path) as records:
        records.metric(step=0, task=0, name="loss", value=1.0)
        mark = records.flush()
        records.metric(step=1, task=0, name="loss", value=1.0)
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(path.read_bytes().replace(b"1.0", b"2.0", 1))
    with Records(tmp_path) as records:
        assert records.lacks(Mark.start()) == ""
        assert "not the one that was written" in records.lacks(mark)
        with pytest.raises(StateDamaged, match=r"metrics\.jsonl"):
            records.truncate(mark)


def test_a_link_in_the_place_of_the_metrics_is_not_followed(tmp_path):
    (tmp_path / "elsewhere").write_text("mine")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "metrics.jsonl").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StorageFailed, match=r"metrics\.jsonl"):
        Records(tmp_path / "run").start_anew()
    assert (tmp_path / "elsewhere").read_text() == "mine"


def test_a_pipe_in_the_place_of_the_metrics_blocks_nobody(tmp_path):
    os.mkfifo(tmp_path / "metrics.jsonl")
    with pytest.raises(StorageFailed, match="not a regular file"):
        Records(tmp_path).flush()


def test_truncating_what_is_still_buffered(tmp_path):
    with Records(tmp_path) as records:
        records.metric(step=0, task=0, name="loss", value=1.0)
        records.truncate(Mark.start())
        records.metric(step=5, task=0, name="loss", value=2.0)
    assert [line["step"] for line in lines(tmp_path)] == [5]


def test_a_file_in_the_way_of_the_folder(tmp_path):
    (tmp_path / "run").write_text("")
    with pytest.raises(StorageFailed, match="run"):
        Records(tmp_path / "run")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "metrics.jsonl").mkdir()
    with pytest.raises(StorageFailed, match=r"metrics\.jsonl"):
        Records(tmp_path / "other").metric(step=0, task=0, name="loss", value=1.0)
