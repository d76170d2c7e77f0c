"""``learn`` as it is called: lessons, taken back, repeated and refused."""

import json
import shutil
from dataclasses import replace

import pytest
import torch

import contsemi
from contsemi import compose, pipeline
from contsemi.learn.__main__ import main as learn
from contsemi.living.card import card
from contsemi.living.saved import read
from contsemi.predict.__main__ import main as predict
from contsemi.storage.checkpoint import Checkpoints


def tensors(folder):
    state = read(folder).state
    return {f"{o}|{n}": v for o in ("network", "predictor") for n, v in state.get(o, {}).items()}


@pytest.fixture
def in_one_run(photos, cache, quick, tmp_path, monkeypatch):
    """Runs both weeks as one stream of two tasks with these labels; the tensors that it keeps."""
    monkeypatch.setattr("contsemi.report.pages.draw.draw", lambda run: [])
    whole, output = tmp_path / "whole", tmp_path / "run"
    for week in ("first", "second"):
        shutil.copytree(photos / week, whole, dirs_exist_ok=True)

    def run(*labels):
        words = ["experiment=photos", f"data.root={whole}", cache, *quick, *labels]
        words += ["scenario.task_classes=[[cat,dog],[fox,owl]]", "label_ratio=[4/class,4/class]"]
        pipeline.run(compose.load([*words, "display=quiet", f"output={output}"]))
        return tensors(output)

    return run


def assert_same(ours, theirs):
    assert ours.keys() == theirs.keys() and len(ours) > 3
    for name, value in ours.items():
        assert torch.equal(value, theirs[name]), name


def test_lessons_are_the_same_to_the_bit_as_the_stream_in_one_run(model, in_one_run):
    assert_same(tensors(model), in_one_run())


@pytest.mark.parametrize("beside", [False, True], ids=["labels=", "labels.csv"])
@pytest.mark.thorough
def test_so_are_lessons_whose_labels_stand_in_a_list(
    photos, in_one_run, cache, quick, tmp_path, beside
):
    model, chosen = tmp_path / "model", (1, 2, 4, 7)
    for week, classes in (("first", ("cat", "dog")), ("second", ("fox", "owl"))):
        heap = tmp_path / week
        shutil.copytree(photos / week / "train", heap)
        given = (heap if beside else tmp_path) / "labels.csv"
        lines = [f"{name}/{n:03}.jpg,{name}\n" for n in reversed(chosen) for name in classes]
        given.write_text("File,Class\n" + "".join(lines))
        words = [] if beside else [f"labels={given}"]
        words += [cache, *quick] if week == "first" else []
        assert learn([str(model), str(heap), *words]) == 0
    (tmp_path / "rows").write_text("\n".join(str(8 * c + n) for c in range(4) for n in chosen))
    assert_same(tensors(model), in_one_run(f"scenario.labels={tmp_path / 'rows'}"))


@pytest.mark.parametrize("predictor", ["moments", "ranpac", "index"])
@pytest.mark.thorough
def test_a_run_between_two_tasks_knows_the_classes_that_came(
    in_one_run, photos, tmp_path, predictor
):
    in_one_run(f"predict={predictor}", *["predict.width=50"] * (predictor == "ranpac"))
    folder = tmp_path / "run" / "checkpoints"
    name = json.loads((folder / "MANIFEST.json").read_text())["body"]["run"]
    assert Checkpoints(folder, name).drop() == 1
    model = contsemi.load(tmp_path / "run")
    assert model.classes == ("cat", "dog")
    files = sorted((photos / "first" / "test").rglob("*.jpg"))
    assert model.predict_proba(files).shape == (8, 2)
    assert model.score(files, [file.parent.name for file in files]) > 0.6


def test_a_run_whose_last_state_is_damaged_does_not_answer_by_an_older_one(
    in_one_run, photos, tmp_path, capsys
):
    in_one_run()
    state = max((tmp_path / "run" / "checkpoints").glob("state-*"))
    state.write_bytes(state.read_bytes()[:-1] + b"?")
    capsys.readouterr()
    assert predict([str(tmp_path / "run"), str(photos / "first")]) == 4
    said = capsys.readouterr()
    assert not said.out and len(said.err.splitlines()) == 1
    assert f"{tmp_path / 'run'}: its last state is damaged" in said.err


def test_the_card_of_a_run_says_what_from_and_what_it_is_worth(in_one_run, tmp_path):
    in_one_run()
    saved = read(tmp_path / "run")
    saved.record["matrices"]["class_incremental"] = [[0.75, None], [0.5, 1.0]]
    text = card(saved)
    assert "Of 16 images, whose numbers have SHA-256 `" in text and "- test: SHA-256" in text
    own = saved.facts | {"chosen": {"digest": "4f2c"}}  # on the way: the other one is of no image
    assert "Of 16 images, whose numbers have SHA-256 `4f2c`" in card(replace(saved, facts=own))
    assert text.count("| 1 | 75.0 |  |\n| 2 | 50.0 | 100 |\n| forgotten | 25.0 | 0.0 |\n") == 1


def test_a_lesson_says_what_was_learned_and_forgotten(model, capsys):
    history = read(model).record["history"]
    assert [each["classes"] for each in history] == [["cat", "dog"], ["fox", "owl"]]
    assert len(history[1]["accuracy"]) == 2 and history[0]["labelled"] == 8
    card = (model / "card.md").read_text()
    assert "fox, owl" in card and "forgotten" in card
    assert all(line.endswith(" | 8 |") for line in card.splitlines() if line.startswith("| 1 |"))


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
        (["MODEL", "nowhere"], "error: nowhere: no such folder; name a folder of photos"),
        (["NEW", "nowhere"], "error: nowhere: no such folder; name a folder of photos"),
        (["MODEL", "SECOND", "model=resnet18"], "was settled"),
        (["MODEL", "SECOND", "label_ratio=400/class"], "400"),
        (["PHOTOS", "SECOND"], "files of something else"),
        (["MODEL"], "PHOTOS: is missing"),
        ([], "required: MODEL;"),
        (["MODEL", "SECOND", "labels=nowhere.csv"], "cannot be read"),
        (["MODEL", "SECOND", "labels=/dev/zero"], "cannot be read (not a regular file)"),
        (["NEW", "SECOND", "objective=supervised", "model=pixels"], "trains its network"),
        (["NEW", "SECOND", "label_ratoi=4/class"], "did you mean label_ratio?"),
        (["NEW", "SECOND", "scenario.tasks=2"], "scenario.tasks: has no effect on a lesson"),
        (["NEW", "SECOND", "output=elsewhere"], "output: has no effect on a lesson"),
        (["MODEL", "SECOND", "label_ratio=1/class", "label_ratio=2/class"], "is given twice"),
        (["MODEL", "SECOND", "labels=a.csv", "labels=b.csv"], "is given twice (a.csv and b.csv)"),
        (["MODEL", "SECOND", "labels=LIST", "label_ratio=2/class"], "label_ratio: has no effect"),
        (["SECOND/model", "SECOND"], "where it would be taken for a class"),
    ],
)
@pytest.mark.quick(7)
def test_a_lesson_that_cannot_be_is_refused_in_one_line(
    model, photos, tmp_path, words, said, capsys
):
    shutil.copytree(model, tmp_path / "copy")
    places = {
        "MODEL": str(tmp_path / "copy"),
        "SECOND": str(photos / "second"),
        "PHOTOS": str(photos),
        "NEW": str(tmp_path / "new"),
        "SECOND/model": str(photos / "second" / "model"),
        "labels=LIST": f"labels={tmp_path / 'list.csv'}",
    }
    assert learn([places.get(word, word) for word in words]) == 2
    error = capsys.readouterr().err
    assert len(error.splitlines()) == 1 and said in error
    assert not (tmp_path / "new").exists() and not (photos / "second" / "model").exists()
    assert tensors(tmp_path / "copy").keys() == tensors(model).keys()


@pytest.mark.parametrize("damage", ["byte", "cut", "gone", "manifest", "other manifest"])
def test_a_damaged_model_is_said_in_one_line_and_keeps_its_other_lessons(
    model, photos, tmp_path, damage, capsys
):
    copy = tmp_path / "copy"
    shutil.copytree(model, copy)
    manifest = copy / "generations" / "MANIFEST.json"
    state = max((copy / "generations").glob("state-*"))
    content = state.read_bytes()
    if damage == "byte":
        state.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    elif damage == "cut":
        state.write_bytes(content[:100])
    elif damage == "gone":
        state.unlink()
    elif damage == "manifest":
        manifest.write_bytes(manifest.read_bytes().replace(b"fox", b"elk"))
    else:
        manifest.write_text("{}")
    heap = str(photos / "second")
    for command, words in ((predict, [str(copy), heap]), (learn, [str(copy), heap])):
        assert command(words) == 4
        said = capsys.readouterr()
        assert not said.out and len(said.err.splitlines()) == 1 and str(copy) in said.err
    undone = learn([str(copy), "--undo"])
    assert undone == (4 if "manifest" in damage else 0)
    assert undone or read(copy).classes == ("cat", "dog")


def test_one_photo_of_a_class_is_learned_and_nothing_is_tested(
    written, cache, quick, tmp_path, capsys
):
    folder = tmp_path / "model"
    written(tmp_path / "photos", ("cat", "dog"), 1)
    assert learn([str(folder), str(tmp_path / "photos"), "label_ratio=1/class", cache, *quick]) == 0
    assert "| 1 | cat, dog | 2 | 2 | not known |" in capsys.readouterr().out
    assert read(folder).record["history"][0]["held"] == 0


def test_what_is_no_model_is_not_taught(photos, tmp_path, capsys):
    (tmp_path / "file").touch()
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "manifest.json").write_text("{}")
    for name in ("file", "run"):
        assert learn([str(tmp_path / name), str(photos / "second")]) == 2
        assert len(capsys.readouterr().err.splitlines()) == 1
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["manifest.json"]


def test_two_at_once_are_refused(model, photos, tmp_path, capsys):
    from contsemi.learn.lock import locked

    shutil.copytree(model, tmp_path / "copy")
    with locked(tmp_path / "copy"):
        assert learn([str(tmp_path / "copy"), str(photos / "second")]) == 2
    assert "another process" in capsys.readouterr().err
