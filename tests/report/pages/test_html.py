"""The page stands alone, says what the files say, and runs nothing."""

import re
from html.parser import HTMLParser

import pytest

from contsemi.records.finished import load_run
from contsemi.report.pages.html import page

VOID = {"meta", "link", "line", "circle", "polyline"}


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
    assert {"script", "iframe", "img", "object", "form"}.isdisjoint(t for t, _ in reader.tags)
    links = [attrs[k] for _, attrs in reader.tags for k in ("src", "href") if k in attrs]
    assert links == ["data:,"]
    assert not re.search(rb"https?:|@import|url\(", content)


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
