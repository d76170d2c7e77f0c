"""XMoCo: MoCo without its penalties, and the penalties of both crossings of a pair."""

import pytest
import torch
from torch.nn import functional

from contsemi.objectives.xmoco import Xmoco

OPTIONS = {
    "temperature": 0.2,
    "bank": 16,
    "current_only": True,
    "both_ways": False,
    "teacher": [0.99, 0.99],
    "smoothing": 0.0,
    "labelled_views": 1,
}


def cosines(step):
    q = functional.normalize(step.student("query")["projector"], dim=1)
    return q @ functional.normalize(step.teacher("key")["projector"], dim=1).T


def test_the_contrast_is_mocos(pairs_step):
    objective = Xmoco(**OPTIONS)
    step = pairs_step(16)
    objective.terms(step)
    objective.after_step()
    queue = functional.normalize(step.teacher("key")["projector"], dim=1)
    again = pairs_step(8, seed=1, ids=500 + torch.arange(8), places=torch.arange(8))
    q = functional.normalize(again.student("query")["projector"], dim=1)
    own = cosines(again).diagonal()[:, None]
    logits = torch.cat([own, q @ queue.T], dim=1) / 0.2
    expected = functional.cross_entropy(logits, torch.zeros(8, dtype=torch.int64))
    torch.testing.assert_close(objective.terms(again)["contrast"], expected)


def test_penalties_by_their_formulas(pairs_step):
    step = pairs_step(5)
    terms = Xmoco(**OPTIONS).terms(step)
    scores = cosines(step)
    pairs = [(i, j) for i in range(5) for j in range(5) if i != j]
    apart = torch.stack([(scores[i, j] - scores[j, i]) ** 2 for i, j in pairs]).mean()
    torch.testing.assert_close(terms["consistency"], apart)
    rows = []
    for i in range(5):
        p = torch.stack([scores[i, j] for j in range(5) if j != i]).div(0.2).softmax(0)
        rows.append((0.25 * (0.25 / p).log()).sum())
    torch.testing.assert_close(terms["evenness"], torch.stack(rows).mean())


def test_the_variance_of_the_cosines_is_another_measure(pairs_step):
    step = pairs_step(5)
    found = Xmoco(**OPTIONS, even_by="variance").terms(step)["evenness"]
    others = cosines(step)[~torch.eye(5, dtype=torch.bool)]
    torch.testing.assert_close(found, others.var(correction=0))


def test_equal_views_are_consistent(seen, step_of, random):
    rows = random(6, 4).double()
    terms = Xmoco(**OPTIONS).terms(step_of({"query": seen(rows), "key": seen(teacher=rows)}, 6))
    assert terms["consistency"].item() == pytest.approx(0, abs=1e-30)


def test_images_of_one_class_need_not_be_even(pairs_step):
    """With one class in the batch there is nothing that should be equally far."""
    for labels, zero in (([1, 1, 1], True), ([1, 1, 0], False)):
        terms = Xmoco(**OPTIONS).terms(pairs_step(0, labels))
        assert (terms["evenness"] == 0) == zero
        assert terms["consistency"] > 0


def test_one_image_has_no_pair(pairs_step):
    terms = Xmoco(**OPTIONS).terms(pairs_step(1))
    assert terms["consistency"] == terms["evenness"] == terms["contrast"] == 0
