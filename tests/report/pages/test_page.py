"""The page stands alone, says what the files say, and runs nothing."""

import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from contsemi.metrics.answers import Answered
from contsemi.metrics.summary import METRICS
from contsemi.records import answers
from contsemi.records.finished import load_run
from contsemi.report.meanings import MEANINGS
from contsemi.report.pages.page import page

VOID = {"meta", "link", "br", "img"}


class Reader(HTMLParser):
    """Checks that tags close, and keeps them, the text and the cells."""

    def __init__(self, content):
        super().__init__()
        self.open, self.tags, self.words = [], [], []
        self.feed(content.decode())
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


@pytest.mark.parametrize("tasks", [1, 3, 20])
def test_numbers(make_run, tasks):
    run = load_run(make_run(tasks))
    reader = Reader(page(run))
    heat = [attrs for tag, attrs in reader.tags if tag == "td" and attrs.get("class") == "heat"]
    assert len(heat) == tasks * (tasks + 1)
    text = " ".join(reader.words)
    assert f"{100 * run.class_incremental[-1, 0]:.1f}" in text
    assert f"{100 * run.results['class_incremental']['average_accuracy']:.1f} %" in text
    assert ("nothing to forget" in text) == (tasks == 1)
    assert "nan" not in text.lower()


def test_nothing_is_fetched_and_nothing_runs(make_run):
    content = page(load_run(make_run()))
    reader = Reader(content)
    assert {"script", "iframe", "object", "form"}.isdisjoint(t for t, _ in reader.tags)
    links = [attrs[k] for _, attrs in reader.tags for k in ("src", "href") if k in attrs]
    assert all(link.startswith(("data:", "#")) for link in links)
    assert not re.search(rb"https?:|@import|url\((?!#)", content)


def test_names_inside_drawings_are_unique(make_run):
    """Else the second drawing is cut by the frames of the first."""
    content = page(load_run(make_run(3, evaluations=2)))
    names = [attrs["id"] for _, attrs in Reader(content).tags if "id" in attrs]
    assert len(names) == len(set(names)) > 100
    wanted = re.findall(r"url\(#([^)]+)\)|href=\"#([^\"]+)", content.decode())
    assert {one or other for one, other in wanted} <= set(names)


def test_drawings_have_no_colour_that_stays_in_the_dark(make_run):
    content = page(load_run(make_run(3))).decode()
    drawings = "".join(re.findall(r"<svg.*?</svg>", content, re.S))
    styles = " ".join(re.findall(r'style="([^"]*)"', drawings))
    assert "var(--d0072b2,#0072b2)" in styles
    assert re.search(r"(?<!,)#[0-9a-f]{6}", styles) is None


def test_tasks_are_called_by_their_classes_and_metrics_are_explained(make_run):
    folder = make_run(2)
    manifest = json.loads((folder / "manifest.json").read_text())
    held = {"labelled": 7, "unlabelled": 70, "test": 17}
    manifest["tasks"] = [{"columns": [0], **held}, {"columns": [1, 2], **held}]
    (folder / "manifest.json").write_text(json.dumps(manifest))
    text = "".join(Reader(page(load_run(folder))).words)
    assert "2: Bär, 2" in text and "1: <b>zero</b>" in text
    assert "What each task held" in text
    assert all(MEANINGS[name] in text for name in load_run(folder).metrics)


def test_every_metric_has_a_meaning():
    named = {*METRICS, "sample_weighted_accuracy", "sample_weighted_incremental_accuracy"}
    assert named <= set(MEANINGS)
    assert all(len(line) < 110 for line in MEANINGS.values())


def test_wrong_predictions_are_shown_with_their_files(make_run, tmp_path):
    folder = make_run(2)
    images = []
    for row in range(4):
        images.append(tmp_path / f"cat {row}.png")
        Image.new("RGB", (9, 7), (200, 0, 0)).save(images[-1])
    images[2].write_text("no image")
    images[3].unlink()
    rows = np.arange(4, dtype=np.int32)
    sure = np.array([0.9, 0.8, 0.7, 0.6], np.float32)
    given = Answered(rows, rows * 0, rows * 0 + 1, rows, sure, np.log(sure))
    answers.write(folder, given, 1)
    answers.write_paths(folder, [str(path) for path in images])
    reader = Reader(page(load_run(folder)))
    shown = [attrs for tag, attrs in reader.tags if tag == "img"]
    assert [each["alt"] for each in shown] == [str(path) for path in images[:2]]
    assert "<b>zero</b>Bär" in "".join(reader.words).replace(" taken for ", "")


def test_foreign_text_is_escaped(make_run):
    evil = '"><script>alert(1)</script>&amp;\udce9'
    reader = Reader(page(load_run(make_run(method=evil, scenario=evil, label_ratio=evil))))
    assert not any(tag in ("script", "b") for tag, _ in reader.tags)
    text = "".join(reader.words)
    assert text.count("<script>alert(1)</script>&amp;?") >= 6
    assert "<b>zero</b>" in text


def test_phone_and_dark_mode(make_run):
    content = page(load_run(make_run(20)))
    reader = Reader(content)
    viewport = [attrs for tag, attrs in reader.tags if attrs.get("name") == "viewport"]
    assert viewport[0]["content"].startswith("width=device-width")
    assert b"prefers-color-scheme:dark" in content
    tables = sum(tag == "table" for tag, _ in reader.tags)
    assert tables == sum(attrs.get("class") == "wide" for _, attrs in reader.tags) == 3
