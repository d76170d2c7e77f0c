"""IFND: MoCo while nothing is believed, only the positive once all is, SupCon by labels."""

import pytest
import torch
from torch.nn import functional

from contsemi.losses.contrast import contrast
from contsemi.objectives.ifnd import Ifnd

OPTIONS = {
    "temperature": 0.2,
    "variant": "eliminate",
    "clusters": [1.0],
    "iterations": 20,
    "rate": [0.0, 1.0],
    "bank": 16,
    "current_only": True,
    "both_ways": False,
    "teacher": [0.99, 0.99],
    "smoothing": 0.0,
    "labelled_views": 1,
}


def ready(pairs_step, table, ranks=None, labels=None, **changes):
    """An objective whose queue holds the images 0 to 15, of the clusters given."""
    objective = Ifnd(**OPTIONS | changes)
    objective.found.table = torch.as_tensor(table).view(-1, 32)
    ranks = torch.arange(32) if ranks is None else ranks
    objective.found.ranks = torch.as_tensor(ranks).expand_as(objective.found.table)
    objective.terms(pairs_step(16, seed=3))
    objective.after_step()
    if labels is not None:
        objective.queue.stored["labels"].copy_(torch.as_tensor(labels))
    return objective


def later(pairs_step, **given):
    return pairs_step(6, ids=16 + torch.arange(6), places=16 + torch.arange(6), **given)


def plain(objective, step):
    q = functional.normalize(step.student("query")["projector"], dim=1)
    k = functional.normalize(step.teacher("key")["projector"], dim=1)
    return torch.cat([(q * k).sum(1, keepdim=True), q @ objective.queue.stored.rows.T], dim=1)


def moco(scores):
    return functional.cross_entropy(scores / 0.2, torch.zeros(len(scores), dtype=torch.int64))


@pytest.mark.parametrize("variant", ["eliminate", "attract"])
def test_with_nothing_believed_it_is_moco(pairs_step, variant):
    objective = ready(pairs_step, torch.zeros(32).long(), variant=variant)
    step = later(pairs_step)
    torch.testing.assert_close(objective.terms(step)["contrast"], moco(plain(objective, step)))


def test_one_cluster_believed_leaves_only_the_positive(pairs_step):
    objective = ready(pairs_step, torch.zeros(32).long(), rate=[1.0, 1.0])
    loss = objective.terms(later(pairs_step))["contrast"]
    torch.testing.assert_close(loss, torch.zeros_like(loss), atol=1e-12, rtol=0)


@pytest.mark.parametrize("progress", [0.5, 0.75, 0.9])
def test_believed_rows_of_the_cluster_leave_or_attract(pairs_step, progress):
    """Both of a pair have to be among the surest, as many as the progress says."""
    draw = torch.Generator().manual_seed(0)
    table, ranks = torch.randint(3, (32,), generator=draw), torch.randperm(32, generator=draw)
    losses = {}
    for variant in ("eliminate", "attract"):
        objective = ready(pairs_step, table, ranks, variant=variant)
        step = later(pairs_step, progress=progress)
        losses[variant] = objective.terms(step)["contrast"]
    believed = ranks < round(32 * progress)
    same = (table[16:22, None] == table[:16]) & believed[16:22, None] & believed[:16]
    assert same.any()
    scores = plain(objective, step)
    first = torch.zeros(6, 17, dtype=torch.bool).index_fill(1, torch.tensor([0]), True)
    same = torch.cat([torch.zeros(6, 1, dtype=torch.bool), same], dim=1)
    expected = contrast(scores, first, temperature=0.2, allow=~same)
    torch.testing.assert_close(losses["eliminate"], expected)
    expected = contrast(scores, first | same, temperature=0.2)
    torch.testing.assert_close(losses["attract"], expected)
    assert losses["eliminate"] <= moco(scores)


def test_the_loss_is_the_mean_over_the_levels(pairs_step):
    levels = torch.stack([torch.arange(32) % 2, torch.arange(32) % 5])
    options = {"rate": [1.0, 1.0]}
    both = ready(pairs_step, levels, clusters=[1.0, 2.0], **options)
    step = later(pairs_step)
    alone = [ready(pairs_step, level, **options).terms(step)["contrast"] for level in levels]
    torch.testing.assert_close(both.terms(step)["contrast"], torch.stack(alone).mean())


def test_labels_are_believed_from_the_first(pairs_step):
    """With all labels known, `attract` is SupCon over the own key and the queue."""
    labels = torch.arange(16) % 4
    objective = ready(pairs_step, torch.full((32,), -1), labels=labels, variant="attract")
    step = pairs_step(0, [3, 1, 1])
    q = functional.normalize(step.student("labelled")["projector"], dim=1)
    k = functional.normalize(step.teacher("labelled_key")["projector"], dim=1)
    own = (q * k).sum(1, keepdim=True)
    log_p = functional.log_softmax(
        torch.cat([own, q @ objective.queue.stored.rows.T], dim=1) / 0.2, dim=1
    )
    same = labels == torch.tensor([3, 1, 1])[:, None]
    positive = torch.cat([torch.ones(3, 1, dtype=torch.bool), same], dim=1)
    expected = -(log_p * positive).sum(1) / positive.sum(1)
    torch.testing.assert_close(objective.terms(step)["contrast"], expected.mean())


def test_an_image_in_the_cluster_of_a_class_is_of_its_kind(pairs_step):
    """Cluster 2 is that of class 2: stored labelled images of it are no negatives."""
    labels = torch.tensor([2] * 8 + [1] * 8)
    objective = ready(pairs_step, torch.full((32,), 2), labels=labels, rate=[1.0, 1.0])
    step = later(pairs_step)
    scores = plain(objective, step)
    keep = torch.tensor([True] + [False] * 8 + [True] * 8)
    torch.testing.assert_close(objective.terms(step)["contrast"], moco(scores[:, keep]))
