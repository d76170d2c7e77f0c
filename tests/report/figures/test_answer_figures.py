"""Confusion, calibration and embeddings, drawn from the answers that a run has written."""

import numpy as np
import pytest

from contsemi.metrics.answers import Answered
from contsemi.metrics.projection import project
from contsemi.records import answers as files
from contsemi.records.finished import load_run
from contsemi.report.figures.class_figure import class_figure
from contsemi.report.figures.embedding_figure import embedding_figure
from contsemi.report.figures.render import render
from contsemi.report.pages.draw import draw


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


@pytest.mark.parametrize("tasks", [1, 2, 5, 12])
def test_points_have_the_colour_of_their_task(tasks):
    figure = embedding_figure({task: answered(2 * task + 2, seed=task) for task in range(tasks)})
    assert len(figure.axes) == min(3, tasks)
    last = figure.axes[-1]
    counts = [len(dots.get_offsets()) for dots in last.collections]
    assert sum(counts) == 20
    assert len(last.lines) == 2 * tasks
    assert render(figure, "svg").startswith(b"<?xml")


def test_without_embeddings_there_is_no_figure():
    bare = answered(2)
    fields = ("rows", "targets", "predicted", "within", "confidence", "log_prob")
    assert embedding_figure({0: Answered(**{name: getattr(bare, name) for name in fields})}) is None
    assert embedding_figure({}) is None


def test_the_confusion_is_in_percent_of_the_true_class():
    given = answered(4)
    left, right = class_figure(given).axes[:2]
    counts = given.confusion()
    shares = 100 * counts / counts.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(left.images[0].get_array(), shares)
    heights = [bar.get_height() for bar in right.patches]
    np.testing.assert_allclose(heights, np.nan_to_num(100 * given.reliability().accuracy))


def test_a_run_with_answers_has_the_pictures_in_its_page(make_run):
    folder = make_run(3)
    without = draw(load_run(folder))
    assert without == ("report.html", "forgetting.png", "forgetting.svg")
    for task in range(3):
        files.write(folder, answered(2 * task + 2), task)
    found = draw(load_run(folder))
    assert {"classes.png", "classes.svg", "embeddings.png", "embeddings.svg"} < set(found)
    assert all((folder / name).stat().st_size > 0 for name in found)
    text = (folder / "report.html").read_text()
    assert text.count("data:image/png;base64,") == 2
    assert text.count("<figcaption") == 2
