"""``predict`` and ``learn`` as they are called."""

import csv
import io
import json
import shutil
import subprocess
import sys

import pytest
import torch

from contsemi import compose, pipeline
from contsemi.learn import main as learn
from contsemi.living.saved import read
from contsemi.predict import main as predict


def test_every_photo_has_a_line_with_its_likeliest_classes(model, photos, capsys):
    assert predict([str(model), str(photos / "second" / "test"), "--top", "2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 8
    assert lines[0].split("\t")[0].endswith("fox/000.jpg")
    assert len(lines[0].split("\t")) == 3


def test_json_and_table_say_the_same(model, photos, tmp_path, capsys):
    words = [str(model), str(photos / "first" / "test" / "cat"), "--unknown", "0.2", "--top", "2"]
    assert predict([*words, "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert predict([*words, "--csv", str(tmp_path / "table.csv")]) == 0
    table = list(csv.DictReader((tmp_path / "table.csv").open()))
    assert [row["class_1"] for row in table] == [row["classes"][0][0] for row in rows]
    assert [row["unknown"] == "yes" for row in table] == [row["unknown"] for row in rows]


def test_names_are_read_from_the_input(model, photos, capsys, monkeypatch):
    file = photos / "first" / "test" / "cat" / "000.jpg"
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{file}\nnot there.jpg\n"))
    assert predict([str(model), "-"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert any("cannot be read" in line for line in lines)


@pytest.mark.parametrize(
    "words",
    [
        ["MODEL", "nowhere"],
        ["nowhere", "PHOTOS"],
        ["MODEL", "PHOTOS", "--top", "0"],
        ["MODEL", "PHOTOS", "--unknown", "2"],
        ["MODEL"],
    ],
)
def test_what_is_wrong_is_said_in_one_line(model, photos, words, capsys):
    places = {"MODEL": str(model), "PHOTOS": str(photos)}
    assert predict([places.get(word, word) for word in words]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def tensors(folder):
    state = read(folder).state
    return {f"{o}|{n}": v for o in ("network", "predictor") for n, v in state.get(o, {}).items()}


def test_lessons_are_the_same_to_the_bit_as_the_stream_in_one_run(
    model, photos, cache, quick, tmp_path, monkeypatch
):
    monkeypatch.setattr("contsemi.report.pages.draw.draw", lambda run: [])
    whole = tmp_path / "whole"
    for week in ("first", "second"):
        shutil.copytree(photos / week, whole, dirs_exist_ok=True)
    config = compose.load(
        [
            "experiment=photos",
            f"data.root={whole}",
            cache,
            *quick,
            "scenario.task_classes=[[cat,dog],[fox,owl]]",
            "label_ratio=[4/class,4/class]",
            "display=quiet",
            f"output={tmp_path / 'run'}",
        ]
    )
    pipeline.run(config)
    ours, theirs = tensors(model), tensors(tmp_path / "run")
    assert ours.keys() == theirs.keys() and len(ours) > 3
    for name, value in ours.items():
        assert torch.equal(value, theirs[name]), name


def test_a_lesson_says_what_was_learned_and_forgotten(model, capsys):
    history = read(model).record["history"]
    assert [each["classes"] for each in history] == [["cat", "dog"], ["fox", "owl"]]
    assert len(history[1]["accuracy"]) == 2 and history[0]["labelled"] == 8
    card = (model / "card.md").read_text()
    assert "fox, owl" in card and "forgotten" in card


def test_undo_goes_back_to_the_bit_and_known_classes_may_return(
    model, photos, cache, quick, tmp_path
):
    copy = tmp_path / "copy"
    shutil.copytree(model, copy)
    assert learn([str(copy), str(photos / "first")]) == 0
    assert read(copy).classes == read(model).classes
    assert float(tensors(copy)["predictor|counts"][:2].sum()) == pytest.approx(32)
    assert learn([str(copy), "--undo"]) == 0
    ours, theirs = tensors(copy), tensors(model)
    assert all(torch.equal(value, theirs[name]) for name, value in ours.items())
    for _ in range(2):
        assert learn([str(copy), "--undo"]) == 0
    assert learn([str(copy), "--undo"]) == 2
    assert learn([str(copy), str(photos / "second"), cache, *quick]) == 0
    assert read(copy).classes == ("fox", "owl")


def test_a_list_gives_labels_to_a_folder_of_any_photos(model, photos, tmp_path):
    copy, heap = tmp_path / "copy", tmp_path / "heap"
    shutil.copytree(model, copy)
    heap.mkdir()
    for file in (photos / "second" / "train" / "owl").glob("*.jpg"):
        shutil.copy(file, heap)
    (heap / "labels.csv").write_text("file,class\n000.jpg,elk\n001.jpg,elk\n")
    assert learn([str(copy), str(heap)]) == 0
    assert read(copy).classes[-1] == "elk"
    assert read(copy).record["history"][-1]["accuracy"][2] is None


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["MODEL", "nowhere"], "no such folder"),
        (["MODEL", "SECOND", "model=resnet18"], "was settled"),
        (["MODEL", "SECOND", "label_ratio=400/class"], "400"),
        (["PHOTOS", "SECOND"], "files of something else"),
        (["MODEL"], "PHOTOS: is missing"),
        (["MODEL", "SECOND", "labels=nowhere.csv"], "cannot be read"),
        (["NEW", "SECOND", "objective=supervised", "model=pixels"], "trains its network"),
    ],
)
def test_a_lesson_that_cannot_be_is_refused_in_one_line(
    model, photos, tmp_path, words, said, capsys
):
    shutil.copytree(model, tmp_path / "copy")
    places = {
        "MODEL": str(tmp_path / "copy"),
        "SECOND": str(photos / "second"),
        "PHOTOS": str(photos),
        "NEW": str(tmp_path / "new"),
    }
    assert learn([places.get(word, word) for word in words]) == 2
    error = capsys.readouterr().err
    assert len(error.splitlines()) == 1 and said in error
    assert tensors(tmp_path / "copy").keys() == tensors(model).keys()


def test_two_at_once_are_refused(model, photos, tmp_path, capsys):
    from contsemi.living.lock import locked

    shutil.copytree(model, tmp_path / "copy")
    with locked(tmp_path / "copy"):
        assert learn([str(tmp_path / "copy"), str(photos / "second")]) == 2
    assert "another process" in capsys.readouterr().err


@pytest.mark.parametrize("call", ["os.open", "os.write", "os.fsync", "pathlib.Path.replace"])
@pytest.mark.parametrize("number", [0, 1, 2, 3])
def test_a_full_disk_leaves_the_last_lesson_whole(
    model, photos, tmp_path, monkeypatch, call, number
):
    copy = tmp_path / "copy"
    shutil.copytree(model, copy)
    before = tensors(copy)
    module, _, name = call.rpartition(".")
    owner = sys.modules["pathlib"].Path if module == "pathlib.Path" else sys.modules[module]
    real, count = getattr(owner, name), [0]

    def failing(*args, **more):
        mine = any(str(copy) in str(arg) for arg in args) or name in ("write", "fsync")
        count[0] += mine
        if mine and count[0] == number + 1:
            raise OSError(28, "No space left on device")
        return real(*args, **more)

    monkeypatch.setattr(owner, name, failing)
    code = learn([str(copy), str(photos / "first")])
    monkeypatch.undo()
    assert code in (0, 5, 2, 4)
    after = read(copy)
    if len(after.record["history"]) == 2:
        assert all(torch.equal(v, before[n]) for n, v in tensors(copy).items())
    else:
        assert len(after.record["history"]) == 3
    assert learn([str(copy), str(photos / "second")]) == 0


@pytest.mark.slow
def test_a_kill_at_any_instant_leaves_a_lesson_whole(model, photos, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(model, copy)
    command = [sys.executable, "-m", "contsemi.learn", str(copy), str(photos / "second")]
    for seconds in (2.0, 4.0, 6.0, 8.0):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
        process.wait()
        assert len(read(copy).record["history"]) >= 2
