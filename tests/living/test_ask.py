"""The page on which photos get their labels, in a real browser; what it saves is learned."""

import os
import shutil
import time
from pathlib import Path

import pytest

from contsemi.ask.__main__ import main as ask
from contsemi.ask.sheet import sheet
from contsemi.learn.__main__ import main as learn
from contsemi.living.label_list import labels_beside
from contsemi.living.saved import read


@pytest.fixture(scope="module")
def heap(photos, tmp_path_factory):
    """Photos without a class, one of them with a name that HTML and CSV have to quote."""
    folder = tmp_path_factory.mktemp("heap")
    for number, file in enumerate(sorted((photos / "second" / "train").rglob("*.jpg"))[::2]):
        shutil.copy(file, folder / f"{number}.jpg")
    (folder / "0.jpg").rename(folder / 'a "b", <i>&amp; é.jpg')
    return folder


@pytest.fixture(scope="module")
def page(model, heap, tmp_path_factory):
    """The page, and the names on it."""
    file = tmp_path_factory.mktemp("page") / "ask.html"
    assert ask([str(model), str(heap), "--budget", "8", "--sheet", str(file)]) == 0
    return file


def test_it_names_the_photos_and_needs_no_other_file(page, heap):
    text = page.read_text()
    assert text.count("data:image/jpeg;base64,") == 8
    assert "http" not in text and "<i>" not in text


def test_photos_that_have_a_label_are_not_asked_for(model, heap, tmp_path, capsys):
    shutil.copytree(heap, tmp_path / "heap")
    (tmp_path / "heap" / "labels.csv").write_text("1.jpg,fox\n2.jpg,elk\n")
    words = [str(model), str(tmp_path / "heap"), "--sheet", str(tmp_path / "ask.html")]
    assert ask([*words, "--budget", "99"]) == 0
    asked = capsys.readouterr().out.splitlines()
    assert len(asked) == 6 and not {"1.jpg", "2.jpg"} & {*asked}
    page = (tmp_path / "ask.html").read_text()  # what it saves takes the place of that list
    assert 'data-file="1.jpg" data-class="fox"' in page and page.count("data-class=") == 2
    (tmp_path / "heap" / "labels.csv").write_text("nowhere.jpg,fox\n")
    assert ask([*words, "--budget", "99"]) == 2


def test_a_class_is_written_as_the_model_calls_it(model, heap):
    page = sheet(heap, [(heap / "1.jpg", "grey  cat")], ["black  cat", "grey  cat"], {}).decode()
    assert page.count(">grey  cat</button>") == page.count(">black  cat</button>") == 1
    assert page.count('value="grey  cat"') == 1


def test_a_folder_that_learn_would_refuse_is_refused_before_anybody_gives_labels(
    model, heap, tmp_path, capsys
):
    (tmp_path / "heap").mkdir()
    (tmp_path / "heap" / "linked.jpg").symlink_to(next(heap.iterdir()))
    words = [str(model), str(tmp_path / "heap"), "--budget", "1"]
    assert ask([*words, "--sheet", str(tmp_path / "ask.html")]) == 2
    assert "linked.jpg is a link out of the folder" in capsys.readouterr().err
    assert not (tmp_path / "ask.html").exists()


def wait_for(file):
    until = time.monotonic() + 30
    while not file.is_file() and time.monotonic() < until:
        time.sleep(0.05)


@pytest.mark.slow
def test_classes_are_clicked_typed_saved_and_learned(page, heap, model, browser, tmp_path):
    saved = tmp_path / "saved"
    saved.mkdir()
    browser.open(page, width=1280)
    browser.tell("Page.setDownloadBehavior", behavior="allow", downloadPath=str(saved))
    assert browser.value("document.getElementById('save').disabled")
    browser.click("figure:nth-of-type(1) .near button:nth-of-type(2)")
    clicked = browser.value("document.querySelector('[aria-pressed=true]').textContent")
    browser.click("figure:nth-of-type(2) .near button")
    browser.click("figure:nth-of-type(2) .near button")  # a second click takes it back
    for place in (3, 4):
        browser.click(f"figure:nth-of-type({place}) input")
        browser.type('arctic "fox", é')
    assert browser.value("document.getElementById('done').textContent") == "3"
    browser.click("#save")
    wait_for(saved / "labels.csv")
    assert browser.wrong == []
    shutil.copytree(heap, tmp_path / "heap")
    shutil.copy(saved / "labels.csv", tmp_path / "heap")
    shutil.copytree(model, tmp_path / "model")
    assert learn([str(tmp_path / "model"), str(tmp_path / "heap")]) == 0
    lesson = read(tmp_path / "model").record["history"][-1]
    assert set(lesson["classes"]) == {clicked, 'arctic "fox", é'} and lesson["labelled"] == 3
    first = labels_beside(tmp_path / "heap")
    name = next(f"{n}.jpg" for n in range(1, 8) if f"{n}.jpg" not in first)
    again = sheet(tmp_path / "heap", [(tmp_path / "heap" / name, "owl")], ["owl"], first)
    (tmp_path / "again.html").write_bytes(again)
    (saved / "labels.csv").unlink()
    browser.open(tmp_path / "again.html", width=1280)
    browser.click("figure .near button")
    browser.click("#save")
    wait_for(saved / "labels.csv")
    shutil.copy(saved / "labels.csv", tmp_path / "heap")
    assert labels_beside(tmp_path / "heap") == first | {name: "owl"}


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_it_fits_the_screen(page, browser, width, scheme):
    browser.open(page, width=width, scheme=scheme)
    if place := os.environ.get("CONTSEMI_SCREENSHOTS"):
        Path(place, f"ask_{width}_{scheme}.png").write_bytes(browser.picture())
    assert browser.wrong == []
    assert browser.value("document.documentElement.scrollWidth") <= width
    sides = "[...document.images].map(each => [each.naturalWidth, each.clientWidth])"
    assert all(0 < shown < width for _, shown in browser.value(sides))
    assert all(own == 192 for own, _ in browser.value(sides))
