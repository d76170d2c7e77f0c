"""Which images get their label: by class, and by chance alone."""

import numpy as np
import pytest

from contsemi.errors import InputError
from contsemi.labels import LabelBudget, draw
from contsemi.labels.choices.choice import Choice

NAMES = tuple("abcdef")
TARGETS = np.random.default_rng(0).permutation(np.repeat(np.arange(6), 50))


def drawn(name, budget, seed=0):
    choice = Choice.named({"name": name})
    return choice.draw(LabelBudget.parse(budget), TARGETS, seed=seed, names=NAMES)


@pytest.mark.parametrize("budget", ["10%", "4/class"])
def test_stratified_is_the_published_draw(budget):
    expected = draw(LabelBudget.parse(budget), TARGETS, seed=3, names=NAMES)
    np.testing.assert_array_equal(drawn("stratified", budget, 3), expected)


@pytest.mark.parametrize(("budget", "number"), [("10%", 30), ("4/class", 24), ("100%", 300)])
def test_random_knows_no_class(budget, number):
    rows = drawn("random", budget)
    assert len(set(rows.tolist())) == len(rows) == number
    assert set(rows.tolist()) <= set(range(300))
    assert not np.array_equal(rows, drawn("random", budget, 1))
    counts = np.mean(
        [np.bincount(TARGETS[drawn("random", "10%", s)], minlength=6) for s in range(300)], 0
    )
    np.testing.assert_allclose(counts, 5, atol=0.6)  # a standard deviation of 0.12


def test_more_labels_than_images_are_refused():
    with pytest.raises(InputError, match="asks for 600 of 300 images"):
        drawn("random", "100/class")
