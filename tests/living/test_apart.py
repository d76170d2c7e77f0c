"""What one lesson tests on no other learns from, whatever the folders say; lists of labels."""

import shutil
import unicodedata

import pytest

from contsemi.ask.__main__ import main as ask
from contsemi.learn import teaching
from contsemi.learn.__main__ import main as learn
from contsemi.living.saved import read


@pytest.fixture
def learned(monkeypatch):
    """The bytes of every image that a lesson has given to the loop."""
    seen, fit = set(), teaching.fit

    def watched(learner, experience, images):
        seen.update(image.numpy().tobytes() for image in images)
        fit(learner, experience, images)

    monkeypatch.setattr(teaching, "fit", watched)
    return seen


def held(folder):
    return [image.numpy().tobytes() for image in read(folder).state["held"]["images"]]


@pytest.mark.thorough
def test_sides_that_are_exchanged_stay_as_they_were(
    written, photos, quick, cache, learned, tmp_path, capsys
):
    folder, other = tmp_path / "model", tmp_path / "other"
    assert learn([str(folder), str(photos / "first"), cache, *quick]) == 0
    before = held(folder)
    for new, old in (("train", "test"), ("test", "train")):
        shutil.copytree(photos / "first" / old, other / new)
    for name in ("cat", "dog"):
        written(other / "train", (name,), 12, seed=2)  # eight of them over the old ones
        old = photos / "first" / "test" / name
        shutil.copytree(old, other / "train" / name, dirs_exist_ok=True)
    capsys.readouterr()
    assert learn([str(folder), str(other)]) == 0
    assert held(folder) == before
    assert len(before) == 8 and not set(before) & learned
    said = capsys.readouterr().out
    assert "note: 8 photos are tested on since an earlier lesson: not learned from" in said
    assert "note: 16 test photos were learned from, now or earlier: not tested on" in said


@pytest.mark.thorough
def test_a_folder_that_grows_tests_on_nothing_that_was_learned(
    written, quick, cache, learned, tmp_path
):
    folder, place = tmp_path / "model", tmp_path / "photos"
    written(place, ("cat", "dog"), 8)
    assert learn([str(folder), str(place), cache, *quick]) == 0
    written(tmp_path / "new", ("cat", "dog"), 40, seed=3)
    for name in ("cat", "dog"):
        for file in (tmp_path / "new" / name).iterdir():
            shutil.copy(file, place / name / f"later-{file.name}")
    assert learn([str(folder), str(place)]) == 0
    assert len(held(folder)) > 4 and not set(held(folder)) & learned


def test_a_list_does_not_take_what_is_tested_on(photos, model, learned, tmp_path, capsys):
    folder, heap = tmp_path / "model", tmp_path / "heap"
    shutil.copytree(model, folder)
    shutil.copytree(photos / "first" / "test" / "cat", heap)
    (heap / "labels.csv").write_text("000.jpg,dog\n")
    assert learn([str(folder), str(heap)]) == 2
    assert (
        "labels only photos that earlier lessons test on; label others" in capsys.readouterr().err
    )
    shutil.copy(photos / "second" / "train" / "fox" / "000.jpg", heap / "new.jpg")
    (heap / "labels.csv").write_text("000.jpg,dog\nnew.jpg,elk\n")
    assert learn([str(folder), str(heap)]) == 0
    assert read(folder).record["history"][-1]["labelled"] == 1
    assert len(learned) == 1 and not set(held(folder)) & learned


@pytest.mark.parametrize("test", ["test", "val"])
def test_a_list_is_refused_where_it_would_learn_from_a_folder_of_tests(
    photos, model, learned, tmp_path, capsys, test
):
    folder, heap = tmp_path / "model", tmp_path / "heap"
    shutil.copytree(model, folder)
    shutil.copytree(photos / "second", heap)
    (heap / "test").rename(heap / test)
    (heap / "labels.csv").write_text("train/fox/000.jpg,elk\n")
    for command, words in ((learn, []), (ask, ["--budget", "1", "--sheet", str(tmp_path / "a")])):
        assert command([str(folder), str(heap), *words]) == 2
        line = f"{heap}: has train/ and {test}/, and with a list photos of both are learned from"
        assert f"error: {line}; name its train/" in capsys.readouterr().err
    assert not learned
    shutil.move(heap / "labels.csv", heap / "train")
    (heap / "train" / "labels.csv").write_text("fox/000.jpg,elk\n")
    assert learn([str(folder), str(heap / "train")]) == 0


@pytest.mark.parametrize("listed", [False, True])
def test_a_class_that_is_called_nearly_as_another_is_said(
    photos, model, written, tmp_path, capsys, listed
):
    folder, heap = tmp_path / "model", tmp_path / "heap"
    shutil.copytree(model, folder)
    written(heap, ("Cat", "dog", "dog ", "elk"), 6, seed=8)
    if listed:
        rows = [f"{name}/00{n}.jpg,{name}" for name in ("Cat", "dog", "elk") for n in range(3)]
        (heap / "labels.csv").write_text("\n".join([*rows, "dog /000.jpg,D OG"]))
    capsys.readouterr()
    assert learn([str(folder), str(heap)]) == 0
    said = [line for line in capsys.readouterr().out.splitlines() if "are two classes" in line]
    assert said[0].startswith("note: 'Cat' and 'cat' are two classes: if they are one,")
    assert len(said) == (1 if listed else 2)


def test_a_lesson_that_was_given_before_says_so(photos, model, tmp_path, capsys):
    """After a Ctrl-C, it may be, that came when the lesson was saved already."""
    folder, heap = tmp_path / "model", tmp_path / "heap"
    shutil.copytree(model, folder)
    assert learn([str(folder), str(photos / "second")]) == 0
    said = "photos were learned from in an earlier lesson: they count once more"
    assert f"note: 16 {said}" in capsys.readouterr().out
    shutil.copytree(photos / "second" / "train" / "fox", heap)
    (heap / "labels.csv").write_text("000.jpg,elk\n")
    assert learn([str(folder), str(heap)]) == 0
    assert f"note: 8 {said}" in capsys.readouterr().out


def test_a_photo_has_one_class_in_a_list(photos, model, tmp_path, capsys):
    folder, heap = tmp_path / "model", tmp_path / "heap"
    shutil.copytree(model, folder)
    shutil.copytree(photos / "second" / "train" / "fox", heap)
    (heap / "labels.csv").write_text("file,class\n000.jpg,elk\n\n000.jpg,owl\n")
    assert learn([str(folder), str(heap)]) == 2
    line = "labels.csv line 4: calls 000.jpg owl, and a line above elk; leave one out"
    assert capsys.readouterr().err.strip().endswith(line)


def test_a_name_in_another_unicode_form_is_the_same_class(photos, model, tmp_path):
    folder, heap = tmp_path / "model", tmp_path / "heap"
    shutil.copytree(model, folder)
    shutil.copytree(photos / "second" / "train" / "fox", heap)
    forms = [unicodedata.normalize(form, "élan") for form in ("NFC", "NFD")]
    (heap / "labels.csv").write_text(f"000.jpg,{forms[0]}\n001.jpg,{forms[1]}\n", "utf-8")
    assert learn([str(folder), str(heap)]) == 0
    assert read(folder).classes == ("cat", "dog", "fox", "owl", forms[0])


def test_a_class_has_one_line_whatever_its_name_is(photos, model, tmp_path, capsys):
    folder, heap = tmp_path / "model", tmp_path / "heap"
    shutil.copytree(model, folder)
    shutil.copytree(photos / "second" / "train" / "fox", heap)
    (heap / "labels.csv").write_text('000.jpg,"a|b\nc"\n001.jpg,"a|b\nc"\n')
    assert learn([str(folder), str(heap)]) == 0
    assert read(folder).classes[-1] == "a|b\\nc"
    assert r"| 3 | a\|b\nc | 8 | 2 |" in capsys.readouterr().out
