"""SemPPL by the identities and limit cases that its formulas have; no code of it was published."""

import numpy as np
import pytest
import torch
from scipy.special import log_softmax
from torch.nn import functional

from contsemi.blocks.others import others_of_each
from contsemi.objectives.semppl import Semppl

OPTIONS = {
    "temperature": 0.2,
    "negatives": 2,
    "positives": 2,
    "bank": 4,
    "threshold": 0.0,
    "current_only": True,
    "teacher": [0.9, 1.0],
    "smoothing": 0.0,
    "large_views": 2,
    "small_views": 0,
    "labelled_views": 2,
    "supports_per_class": 3,
}


def make(classes=4, **change):
    objective = Semppl(**OPTIONS | change)
    for bank in objective.banks:
        bank.grow(classes)
    return objective


def unit(rows):
    return functional.normalize(rows, dim=1)


def store(objective, rows, labels, first_id=500):
    labels = torch.as_tensor(labels)
    for bank in objective.banks:
        bank.push(unit(rows), labels=labels, ids=first_id + torch.arange(len(labels)))


def test_with_all_others_as_negatives_it_is_info_nce(whole_step):
    step = whole_step(6, small=1)
    terms = make(negatives=5).terms(step)
    views = torch.cat([step.student("large")["predictor"], step.student("small")["predictor"]])
    targets = unit(step.teacher("large")["projector"]).view(2, 6, -1)
    losses = [
        functional.cross_entropy(view @ target.T / 0.2, torch.arange(6))
        for view in unit(views).view(3, 6, -1)
        for target in targets
    ]
    torch.testing.assert_close(terms["contrast"], torch.stack(losses).mean())
    assert torch.equal(terms["contrast"], make(negatives=50).terms(step)["contrast"])
    assert "semantic" not in terms


def test_all_terms_equal_a_loop(whole_step):
    """Four unlabelled images, rows of two classes stored, everything written out in NumPy."""
    step = whole_step(4, large=2, small=1, classes=2)
    objective = make(2, current_only=False)
    stored = unit(torch.randn(4, 5, generator=torch.Generator().manual_seed(9)))
    store(objective, stored, [0, 0, 1, 1])
    terms = objective.terms(step)
    views = unit(
        torch.cat([step.student("large")["predictor"], step.student("small")["predictor"]])
    )
    views = views.view(3, 4, -1).double().numpy()
    targets = unit(step.teacher("large")["projector"]).view(2, 4, -1).double().numpy()
    rows = stored.double().numpy()
    nearest = [[(rows @ views[v, i]).argmax() for v in range(2)] * 2 for i in range(4)]
    classes = [int(np.bincount([n // 2 for n in near]).argmax()) for near in nearest]
    draw = step.draw("positives unlabelled")  # for each queue in turn, the targets have them so
    slots = [(torch.rand(4, 2, generator=draw) * 2).long().tolist() for _ in range(2)]
    drawn = [
        [[2 * classes[i] + slots[t][i][d] for d in range(2)] for i in range(4)] for t in (0, 1)
    ]
    far = others_of_each(4, 2, step.draw("negatives unlabelled")).tolist()

    def log_probs(v, t, i, positive):
        others = [targets[t, n] for n in far[i]]
        return log_softmax(np.array([positive, *others]) @ views[v, i] / 0.2)

    cells = [(v, t, i) for v in range(3) for t in range(2) for i in range(4)]
    contrast = [-log_probs(v, t, i, targets[t, i])[0] for v, t, i in cells]
    semantic = [-log_probs(v, t, i, rows[r])[0] for v, t, i in cells for r in drawn[t][i]]

    def apart(v, t, i, positive):
        ours, theirs = log_probs(v, t, i, positive), log_probs((v - 1) % 3, t, i, positive)
        return (np.exp(ours) * (ours - theirs)).sum()

    invariance = np.mean([apart(v, t, i, targets[t, i]) for v, t, i in cells])
    invariance += np.mean([apart(v, t, i, rows[r]) for v, t, i in cells for r in drawn[t][i]])
    np.testing.assert_allclose(terms["contrast"], np.mean(contrast), rtol=1e-5)
    np.testing.assert_allclose(terms["semantic"], np.mean(semantic), rtol=1e-5)
    np.testing.assert_allclose(terms["invariance"], invariance, rtol=1e-4)


def test_equal_views_are_invariant(outputs, make_step, random):
    views, targets = random(6, 5).repeat(2, 1), random(12, 5, seed=1)
    step = make_step(
        large=outputs(predictor=views), teacher=outputs(projector=targets), batch_size=6
    )
    objective = make()
    store(objective, random(4, 5, seed=2), [0, 1, 2, 3])
    assert objective.terms(step)["invariance"].abs() < 1e-6


def test_only_the_anchor_learns_and_the_other_side_of_the_invariance_stands_still(
    outputs, make_step, random
):
    views = random(12, 5).requires_grad_()
    targets = random(12, 5, seed=1).requires_grad_()
    step = make_step(
        large=outputs(predictor=views), teacher=outputs(projector=targets), batch_size=6
    )
    sum(make().terms(step).values()).backward()
    assert views.grad.any() and targets.grad is None


def test_a_query_at_a_stored_row_gets_its_label(outputs, make_step, random):
    rows, labels = random(8, 5), torch.tensor([3, 1, 0, 2, 2, 0, 3, 1])
    objective = make(current_only=False)
    store(objective, rows, labels)
    step = make_step(num_seen=4, unlabelled_ids=torch.arange(8), batch_size=8)
    votes = objective.voted(unit(rows).view(1, 8, -1), step.unlabelled_ids, step)
    assert torch.equal(votes, labels)
    # Its own stored row does not vote for it.
    objective = make(current_only=False)
    store(objective, rows[:2], labels[:2])
    ids = torch.tensor([500, 501])
    assert objective.voted(unit(rows[:2]).view(1, 2, -1), ids, step).tolist() == [1, 3]


def test_a_tie_goes_to_the_smaller_class_unless_it_must_be_surer(outputs, make_step):
    rows = torch.eye(2)
    for threshold, expected in ((0.0, 1), (0.5, 1), (0.6, -1)):
        objective = make(threshold=threshold, current_only=False)
        store(objective, rows, [2, 1])
        step = make_step(num_seen=4, batch_size=1)
        votes = objective.voted(rows.view(2, 1, 2), torch.tensor([0]), step)
        assert votes.tolist() == [expected]


def test_one_stored_class_gets_all_votes_and_none_stored_gives_none(whole_step):
    objective = make()
    store(objective, torch.randn(3, 5), [1, 1, 1])
    step = whole_step(6)
    queries = unit(step.student("large")["predictor"]).view(2, 6, -1)
    assert objective.voted(queries, step.unlabelled_ids, step).tolist() == [1] * 6
    # Rows of classes of earlier tasks do not vote for images of this one.
    later = whole_step(6, columns=[2, 3])
    assert objective.voted(queries, later.unlabelled_ids, later).tolist() == [-1] * 6
    assert objective.terms(later)["semantic"] == 0
    assert make(current_only=False).terms(later).keys() == {"contrast", "invariance"}


def test_labelled_images_are_stored_before_the_vote_view_by_view(whole_step):
    step = whole_step(6, 8)
    objective = make()
    terms = objective.terms(step)
    assert terms.keys() == {"contrast", "semantic", "invariance", "labels"}
    views = unit(step.teacher("labelled")["projector"]).view(2, 8, -1)
    for bank, rows in zip(objective.banks, views, strict=True):
        for column in range(4):
            own = bank.rows[column * 4 : column * 4 + 2]
            torch.testing.assert_close(own, rows[step.labels == column])
            assert bank["ids"][column * 4].item() == 1000 + column


@pytest.mark.parametrize("current_only", [True, False])
def test_the_queues_are_emptied_between_tasks_or_not(current_only, whole_step, stream_of, small):
    experience = stream_of(small())[0].experiences[1]
    objective = make(current_only=current_only)
    objective.terms(whole_step(0, 4))
    objective.begin(experience)
    for bank in objective.banks:
        assert bool(bank.filled.any()) is not current_only


def test_an_image_alone_has_no_negatives(whole_step):
    terms = make().terms(whole_step(1))
    assert terms["contrast"] == 0 and terms["invariance"] == 0
