"""Confusion, calibration and embeddings, drawn from the answers that a run has written."""

import csv
from pathlib import Path

import numpy as np
import pytest

from contsemi.metrics.answers import Answered
from contsemi.metrics.projection import project
from contsemi.records import answers as files
from contsemi.records.finished import load_run
from contsemi.report.figures import by_class, classes, embeddings
from contsemi.report.figures.drawing import figure, pictures
from contsemi.report.material import Material
from contsemi.report.pages.draw import draw


def material(answers, **manifest):
    """A run of which these answers alone are known."""
    made = Material(Path("nowhere"), "a run", None, manifest=manifest)
    made.__dict__["answers"] = answers
    return made


def answered(classes, images=40, size=6, seed=0):
    draws = np.random.default_rng(seed)
    targets = draws.integers(0, classes, images).astype(np.int32)
    targets[:classes] = np.arange(classes)
    predicted = np.where(draws.random(images) < 0.7, targets, draws.integers(0, classes, images))
    sure = draws.uniform(0.2, 1, images).astype(np.float32)
    centres = draws.normal(size=(classes, size))
    return Answered(
        rows=np.arange(images, dtype=np.int32),
        targets=targets,
        predicted=predicted.astype(np.int32),
        within=targets,
        confidence=sure,
        log_prob=np.log(sure),
        embedded=np.arange(0, images, 2, dtype=np.int32),
        embeddings=(centres[targets[::2]] + 0.1).astype(np.float16),
        centres=centres.astype(np.float16),
    )


@pytest.mark.parametrize("size", [1, 2, 5])
def test_the_plane_is_that_of_scikit_learn(size):
    from sklearn.decomposition import PCA

    points = np.random.default_rng(1).normal(size=(30, size)) * np.arange(1, size + 1)
    centres = np.full((3, size), np.nan)
    centres[0] = points[4]
    placed, marks, shares = project(points, centres)
    np.testing.assert_allclose(marks[0], placed[4])
    assert np.isnan(marks[1:]).all()
    theirs = PCA(min(2, size)).fit(points)
    expected = theirs.transform(points)
    np.testing.assert_allclose(np.abs(placed[:, : expected.shape[1]]), np.abs(expected), atol=1e-9)
    np.testing.assert_allclose(
        shares[: len(theirs.explained_variance_ratio_)], theirs.explained_variance_ratio_
    )


@pytest.mark.quick(2)
@pytest.mark.parametrize("tasks", [1, 2, 5, 12])
def test_points_have_the_colour_of_their_task(tasks):
    given = {task: answered(2 * task + 2, seed=task) for task in range(tasks)}
    drawing = embeddings.drawing(material(given))
    drawn = figure(drawing)
    assert len(drawn.axes) == min(3, tasks)
    last = drawn.axes[-1]
    dots = [each for each in last.collections if len(each.get_offsets()) > 1]
    assert sum(len(each.get_offsets()) for each in dots) == 20
    assert len(last.lines) == 2 * tasks
    assert pictures(drawing)["embeddings.svg"].startswith(b"<?xml")


def test_stars_and_axes_carry_the_names_of_classes():
    names = ["cat", "dog", "<b>", "$x$"]
    given = material({0: answered(2), 1: answered(4)}, class_names=names)
    last = figure(embeddings.drawing(given)).axes[-1]
    assert {text.get_text().strip() for text in last.texts} == set(names)
    left = figure(classes.drawing(given)).axes[0]
    assert [text.get_text() for text in left.get_xticklabels()] == names
    bars = figure(by_class.drawing(given)).axes[0]
    assert [text.get_text() for text in bars.get_xticklabels()] == names


def test_without_embeddings_there_is_no_figure():
    bare = answered(2)
    fields = ("rows", "targets", "predicted", "within", "confidence", "log_prob")
    bare = Answered(**{name: getattr(bare, name) for name in fields})
    assert embeddings.drawing(material({0: bare})) is None
    for each in (embeddings, classes, by_class):
        assert each.drawing(material({})) is None


def test_the_confusion_is_in_percent_of_the_true_class():
    given = answered(4)
    left, right = figure(classes.drawing(material({0: given}))).axes[:2]
    counts = given.confusion()
    shares = 100 * counts / counts.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(left.images[0].get_array(), shares)
    heights = [bar.get_height() for bar in right.patches]
    np.testing.assert_allclose(heights, np.nan_to_num(100 * given.reliability().accuracy))


def test_bars_are_the_shares_of_each_class_and_marks_what_was_learned():
    first, last = answered(2, seed=1), answered(4, seed=2)
    axes = figure(by_class.drawing(material({0: first, 1: last}))).axes[0]

    def right(given, column):
        mine = given.targets == column
        return 100 * np.mean(given.predicted[mine] == column)

    heights = [bar.get_height() for bar in axes.patches]
    np.testing.assert_allclose(heights, [right(last, column) for column in range(4)])
    learned = [right(first if column < 2 else last, column) for column in range(4)]
    np.testing.assert_allclose(axes.lines[0].get_ydata(), learned)


@pytest.mark.thorough
def test_a_run_with_answers_has_the_pictures_in_its_page(make_run):
    folder = make_run(3)
    without = draw(load_run(folder))
    assert without == ("report.html", "forgetting.png", "forgetting.svg")
    for task in range(3):
        files.write(folder, answered(2 * task + 2), task)
    found = draw(load_run(folder))
    assert {"classes.png", "by_class.svg", "embeddings.png", "embeddings.svg"} < set(found)
    assert all((folder / name).stat().st_size > 0 for name in found)
    text = (folder / "report.html").read_text()
    assert text.count("<svg") == 2 + 2 + 1 + 3
    assert "Wrong predictions" in text


@pytest.mark.thorough
def test_accuracy_by_class_as_a_table_of_fractions(make_run):
    folder = make_run(2)
    for task in range(2):
        files.write(folder, answered(2 * task + 2), task)
    draw(load_run(folder))
    rows = list(csv.DictReader((folder / "accuracy_by_class.csv").open(encoding="utf-8")))
    assert [row["class"] for row in rows] == ["<b>zero</b>", "Bär", "2", "3"]
    assert [row["task"] for row in rows] == ["1", "1", "2", "2"]
    last = answered(4)
    mine = last.targets == 3
    assert float(rows[3]["after_task_2"]) == np.mean(last.predicted[mine] == 3)
    assert rows[3]["after_task_1"] == "" and int(rows[3]["images"]) == mine.sum()
