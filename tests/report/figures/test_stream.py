"""The figure of the stream: when there is one, and what stands in it."""

from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from contsemi.errors import InputError
from contsemi.report.figures.stream import drawing
from contsemi.report.material import Material

WILD = [
    {
        "columns": [0, 1],
        "images": [6, 4, 0, 5],
        "labels": [2, 1, 0],
        "novel": ["owl"],
        "kinds": {"current": 10, "past": 0, "future": 3, "novel": 5, "foreign": 2},
    },
    {
        "columns": [0, 2],
        "images": [2, 0, 8, 0],
        "labels": [0, 0, 4],
        "novel": ["owl"],
        "kinds": {"current": 8, "past": 4, "future": 0, "novel": 0, "foreign": 0},
    },
]


def material(tasks: object) -> Material:
    names = {"class_order": [3, 1, 2], "class_names": ["cat", "dog", "elk"]}
    return Material(Path(), "a run", None, manifest={**names, "tasks": tasks})


def test_a_wild_stream_is_drawn() -> None:
    found = drawing(material(WILD))
    assert found is not None and found.name == "stream"
    classes, kinds = Figure().subplots(1, 2)
    found.panels[0](classes)
    found.panels[1](kinds)
    assert [t.get_text() for t in classes.get_yticklabels()] == ["cat", "dog", "elk", "owl (novel)"]
    # Labels of each class and task; where there is none, nothing stands.
    assert {(t.get_position(), t.get_text()) for t in classes.texts} == {
        ((0, 0), "2"), ((0, 1), "1"), ((1, 2), "4")
    }  # fmt: skip
    shares = np.asarray(classes.images[0].get_array())
    np.testing.assert_allclose(shares, [[75, 25], [100, 0], [0, 100], [100, 0]])
    legend = kinds.get_legend()
    assert legend is not None
    shown = [text.get_text() for text in legend.get_texts()]
    assert shown == ["current", "past", "future", "novel", "foreign"]
    tops = [max(p.get_y() + p.get_height() for p in kinds.patches if abs(p.get_x() - x) < 0.5)
            for x in (0.625, 1.625)]  # fmt: skip
    assert tops == [20, 12]


PLAIN = {"novel": [], "kinds": {"current": 10, "past": 0}}
FIRST = {**PLAIN, "columns": [0, 1], "images": [6, 4, 0, 0], "labels": [2, 1, 0, 0]}
SECOND = {**PLAIN, "columns": [2, 3], "images": [0, 0, 8, 2], "labels": [0, 0, 1, 1]}


@pytest.mark.parametrize(
    "switch",
    [
        {"columns": [0, 2, 3], "images": [1, 0, 8, 2], "labels": [1, 0, 1, 1]},  # one returns
        {"images": [0, 1, 8, 2]},  # some of one come late, without a label
        {"labels": [0, 0, 0, 0]},
        {"kinds": {"current": 10, "past": 1}},
    ],
)
def test_one_switch_alone_is_drawn(switch: dict[str, object]) -> None:
    assert drawing(material([FIRST, SECOND])) is None
    assert drawing(material([FIRST, SECOND | switch])) is not None


@pytest.mark.parametrize(
    "tasks",
    [
        [{"columns": [0, 1]}],  # of a run of before
        [{**WILD[1], "images": [2, 0, 8], "novel": [], "kinds": {"current": 10}}],  # a textbook's
        None,
    ],
)
def test_a_plain_stream_is_not(tasks: object) -> None:
    assert drawing(material(tasks)) is None


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("images", [6, 4, 0]),
        ("images", {}),
        ("labels", [2, "1", 0]),
        ("labels", [2, 1, -1]),
        ("labels", [2, 1, 10**30]),
        ("labels", []),
        ("novel", ["elf"]),
        ("kinds", [10]),
        ("kinds", {"current": [1]}),
    ],
)
def test_a_damaged_table_is_one_line(key: str, value: object) -> None:
    """In either task; where it was drawn, a figure would tell of another stream."""
    for task in (0, 1):
        tasks = [dict(each) for each in WILD]
        tasks[task][key] = value
        with pytest.raises(InputError, match=r"^manifest.json: expected a file as contsemi"):
            drawing(material(tasks))
