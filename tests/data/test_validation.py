"""Labels held out to choose by: the budget stays, and no image is on both sides."""

from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from contsemi import compose
from contsemi.data.imageset import ImageSet
from contsemi.data.scenario import build
from contsemi.data.validation import held_out
from contsemi.errors import InputError
from contsemi.labels import LabelBudget, draw


def images(classes, each):
    targets = np.repeat(np.arange(classes), each)
    pixels = np.zeros((len(targets), 3, 2, 2), np.uint8)
    pixels[:, 0, 0, 0] = np.arange(len(targets)) % 256
    pixels[:, 0, 0, 1] = np.arange(len(targets)) // 256
    names = tuple(str(number) for number in range(classes))
    return ImageSet.of(pixels, targets, classes=names, name="made")


def number(found):
    """The rows of the whole set that images came from."""
    return (found.images[:, 0, 0, 0].int() + 256 * found.images[:, 0, 0, 1].int()).tolist()


@given(
    labels=st.integers(1, 12),
    share=st.sampled_from([0.1, 0.25, 0.5]),
    by_ratio=st.booleans(),
    chosen_later=st.booleans(),
    seed=st.integers(0, 99),
)
def test_labels_left_and_held_out_are_the_budget(labels, share, by_ratio, chosen_later, seed):
    classes, each = 3, 40
    whole = images(classes, each)
    budget = LabelBudget.parse(f"{labels}/{each}" if by_ratio else f"{labels}/class")
    rows = draw(budget, whole.targets.numpy(), seed=seed, names=whole.classes)
    own = rows[:0] if chosen_later else rows
    given = {"labelled": own, "allowed": np.ones(len(whole), bool), "seed": seed}
    if labels == 1:  # a class would have none to train on
        with pytest.raises(InputError, match="without a label to train on"):
            held_out(whole, budget, share, **given)
        return
    train, out, rest, left = held_out(whole, budget, share, **given)
    assert not set(number(train)) & set(number(out))
    assert sorted(number(train) + number(out)) == list(range(len(whole)))
    assert set(out.targets.tolist()) == set(range(classes))
    count = rest.count(len(train)) if by_ratio else rest.count(0) * classes
    assert len(out) + count == labels * classes
    assert (whole.targets[number(out)] == out.targets).all() and train.digest != whole.digest
    if chosen_later:
        assert left is None
    else:  # the run's own labels, in their order, and no other
        known = [number(train)[row] for row in left]
        assert known == [row for row in rows if row in known]
        assert set(known) | set(number(out)) == set(rows.tolist()) and len(known) == count


def test_a_class_with_one_label_cannot_share_it():
    whole, budget = images(2, 5), LabelBudget.parse("30%")
    given = {"allowed": np.ones(10, bool), "seed": 0}
    with pytest.raises(InputError, match="30% leaves a class without a label to train on"):
        held_out(whole, budget, 0.5, labelled=np.array([0, 2, 5]), **given)
    _, out, rest, left = held_out(whole, budget, 0.5, labelled=np.array([0, 2, 5, 7]), **given)
    assert len(out) == len(left) == 2 and rest.ratio == Fraction(1, 8)


def test_only_the_first_tasks_are_made():
    scenario = compose.load(["scenario.first_tasks=2"]).scenario
    whole = images(10, 20)
    stream = build(scenario, LabelBudget.parse("2/class"), whole, whole, 0)
    assert len(stream.experiences) == len(stream.test) == len(stream.facts) == 2
    full = build(
        scenario.model_copy(update={"first_tasks": None}),
        LabelBudget.parse("2/class"), whole, whole, 0,
    )  # fmt: skip
    for part, all_of_it in zip(stream.experiences, full.experiences, strict=False):
        assert torch.equal(part.labelled, all_of_it.labelled)
        assert torch.equal(part.unlabelled, all_of_it.unlabelled)
    assert set(stream.label_indices) < set(full.label_indices) and len(stream.label_indices) == 8
