"""Photo folders as they are found: each command answers right, or in one line, on all of them."""

import os
import shutil

import numpy as np
import pytest
from PIL import Image

from contsemi.ask.__main__ import main as ask
from contsemi.data.sources.listing import listed
from contsemi.export.__main__ import main as export
from contsemi.learn.__main__ import main as learn
from contsemi.living.card import lessons
from contsemi.living.saved import read
from contsemi.predict.__main__ import main as predict


def picture(file, side=(48, 40)):
    draw = np.random.default_rng(0)
    Image.fromarray(draw.integers(0, 255, (*side, 3), dtype=np.uint8)).save(file)


FINE = {
    "1x1": lambda f: picture(f / "cat/x.png", (1, 1)),
    "30000x1": lambda f: picture(f / "cat/x.png", (1, 30_000)),
    "CMYK": lambda f: Image.open(f / "cat/000.jpg").convert("CMYK").save(f / "cat/x.jpg"),
    "a newline": lambda f: shutil.copy(f / "cat/000.jpg", f / "cat/a\nb.jpg"),
    "a class with a newline": lambda f: (f / "dog").rename(f / "d\nog"),
    "a link in a circle": lambda f: (f / "self").symlink_to("self"),
    "the same twice": lambda f: shutil.copy(f / "cat/000.jpg", f / "dog/x.jpg"),
}
BAD = {
    "empty": lambda f: (f / "cat/x.jpg").touch(),
    "cut": lambda f: (f / "cat/x.jpg").write_bytes((f / "cat/000.jpg").read_bytes()[:400]),
    "a pipe": lambda f: os.mkfifo(f / "cat/x.jpg"),
    "a circle among photos": lambda f: (f / "cat/self").symlink_to("self"),
}


@pytest.fixture
def heap(written, tmp_path):
    written(tmp_path / "heap", ("cat", "dog"), 6)
    return tmp_path / "heap"


def words(tmp_path, *given):
    return [*given, "--budget", "30", "--sheet", str(tmp_path / "ask.html")]


@pytest.mark.parametrize("odd", FINE)
def test_what_is_odd_and_fine(model, heap, cache, quick, tmp_path, capsys, odd):
    FINE[odd](heap)
    number = len([each for each in heap.rglob("*") if each.is_file()])
    assert predict([str(model), str(heap)]) == 0
    assert len(capsys.readouterr().out.splitlines()) == number
    own = tmp_path / "own"
    assert learn([str(own), str(heap), cache, *quick]) == 0
    assert len(read(own).classes) == 2 and all(map(str.isprintable, read(own).classes))
    assert export([str(own), str(tmp_path / "out"), "--to", "torch"]) == 0
    capsys.readouterr()
    if odd == "a link in a circle":
        (heap / "self").unlink()
    assert ask(words(tmp_path, str(own), str(heap))) == 0
    assert len(capsys.readouterr().out.splitlines()) == number
    page = (tmp_path / "ask.html").read_text()
    assert page.count("data:image/jpeg;base64,") == number  # none is without its picture


@pytest.mark.parametrize("odd", BAD)
def test_what_learn_refuses_is_not_asked_about_and_said_once(
    model, heap, cache, quick, tmp_path, capsys, odd
):
    BAD[odd](heap)
    for main, given in (
        (learn, [str(tmp_path / "own"), str(heap), cache, *quick]),
        (ask, words(tmp_path, str(model), str(heap))),
    ):
        assert main(given) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("error: ") and "repair or remove them" in line and "cat/" in line
    assert not (tmp_path / "own").exists() and not (tmp_path / "ask.html").exists()
    assert predict([str(model), str(heap)]) == 0  # says of each why


def test_a_folder_that_cannot_be_read_is_no_missing_class(heap, monkeypatch):
    from contsemi.data.sources import listing

    def refused(folder):
        if folder.name == "dog":
            raise PermissionError(13, "Permission denied", str(folder))
        return usual(folder)

    usual = listing._listed
    monkeypatch.setattr(listing, "_listed", refused)
    found = listed(heap, test_share=0.2)
    assert found.classes == ("cat", "dog")
    assert found.train.problems == ["dog cannot be read (Permission denied)"]


def test_a_folder_of_the_heap_that_cannot_be_read_is_named(
    model, heap, tmp_path, capsys, monkeypatch
):
    usual = os.listdir

    def refused(folder):
        if folder == heap / "dog":
            raise PermissionError(13, "Permission denied", str(folder))
        return usual(folder)

    monkeypatch.setattr("contsemi.living.photos.os.listdir", refused)
    table = tmp_path / "table.csv"
    for words in ([], ["--csv", str(table)]):
        assert predict([str(model), str(heap), *words]) == 2
        line = f"error: {heap / 'dog'}: cannot be read (Permission denied); mend its rights"
        assert line in capsys.readouterr().err
    assert not table.exists()


def test_names_that_look_alike_when_shown_are_not_confused(model, heap, capsys):
    shutil.copy(heap / "cat/000.jpg", heap / "cat/a\nb.jpg")
    shutil.copy(heap / "dog/000.jpg", heap / r"cat/a\nb.jpg")
    (heap / "labels.csv").write_text("cat/a\\nb.jpg,cat\n")
    assert learn([str(model), str(heap)]) == 2
    assert "2 photos that a list would call cat/a\\nb.jpg; rename" in capsys.readouterr().err


def test_a_lesson_of_very_many_classes_is_a_short_line():
    history = [{"classes": [f"c{n}" for n in range(5000)], "photos": 1, "labelled": 1}]
    text = lessons([history[0] | {"accuracy": [None]}])
    assert "c49 and 4950 more" in text and len(text) < 1000


def test_storage_of_a_command_without_an_output_names_none(model, tmp_path, capsys, monkeypatch):
    def full(*args, **more):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("contsemi.storage.atomic.os.fsync", full)
    assert export([str(model), str(tmp_path / "out"), "--to", "torch"]) == 5
    assert "choose another folder" in (line := capsys.readouterr().err) and "output=" not in line
