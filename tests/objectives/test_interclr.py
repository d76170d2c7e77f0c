"""InterCLR against one step of the official code, and its rules of clusters."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from contsemi.assign.cluster_mates import cluster_mates
from contsemi.objectives.interclr import Interclr

OPTIONS = {
    "temperature": 0.2,
    "margin": -0.5,
    "sampling": "hard",
    "negatives": 20,
    "pool": 0.1,
    "clusters": 2.0,
    "least": 2,
    "iterations": 20,
    "every": 10,
    "bank_momentum": 0.0,
    "bank": 32,
    "current_only": True,
    "teacher": [0.999, 0.999],
    "smoothing": 0.0,
    "labelled_views": 1,
}


def test_a_step_equals_the_official_code(arrays, seen, step_of):
    at = arrays("interclr")
    queue = torch.from_numpy(at["queue_DxK"].T.copy())
    objective = Interclr(
        **OPTIONS
        | {
            "temperature": float(at["temperature"]),
            "margin": float(at["inter_cos_margin"]),
            "negatives": int(at["n_negatives"]),
            "bank_momentum": 1 - float(at["bank_momentum"]),
            "bank": len(queue),
        }
    )
    none = torch.full((len(queue),), -1)
    objective.queue.stored.push(queue, labels=none, ids=none, places=none)
    found = objective.found
    for name in ("rows", "cluster", "centroids"):
        source = {"rows": "bank", "cluster": "labels"}.get(name, name)
        setattr(found, name, torch.from_numpy(at[f"{source}_initial"].copy()))
    found.known = torch.zeros(len(found.rows), dtype=torch.bool)
    query = torch.from_numpy(at["query"]).requires_grad_()
    index = torch.from_numpy(at["index"])
    views = {"query": seen(query), "key": seen(teacher=at["key"])}
    terms = objective.terms(step_of(views, len(index), ids=index))
    np.testing.assert_allclose(terms["intra"].item(), at["intra_loss"], rtol=1e-5)
    np.testing.assert_allclose(terms["inter"].item(), at["inter_loss_hard_negatives"], rtol=1e-5)
    (0.75 * terms["intra"] + 0.25 * terms["inter"]).backward()
    np.testing.assert_allclose(query.grad, at["grad_query_075intra_025inter"], atol=1e-6)
    objective.after_step()
    np.testing.assert_allclose(found.rows, at["bank_after"], atol=1e-6)
    np.testing.assert_array_equal(found.cluster, at["labels_after"])
    changed = (found.cluster[index] != torch.from_numpy(at["labels_initial"])[index]).float()
    np.testing.assert_allclose(changed.mean(), at["change_ratio"])
    found.least = 0  # the arrays are of the centroids alone
    found.refresh(Pool(torch.empty(0)))
    np.testing.assert_allclose(found.centroids, at["centroids_after"], atol=1e-6)
    counts = torch.bincount(found.cluster, minlength=len(found.centroids))
    np.testing.assert_array_equal(counts, at["label_counts_after"])


class Pool:
    """What a block gets of a task's images."""

    def __init__(self, rows, labels=None):
        self.rows = rows
        self.labels = torch.full((len(rows),), -1) if labels is None else labels

    def outputs(self, network, *heads):
        assert network == "teacher"
        return dict.fromkeys(heads, self.rows)

    def draw(self, purpose):
        return torch.Generator().manual_seed(0)


def unit(number, size=5, seed=0):
    draw = torch.Generator().manual_seed(seed)
    return functional.normalize(torch.randn(number, size, generator=draw).double(), dim=1)


def started(labels=None, classes=4, **changes):
    objective = Interclr(**OPTIONS | changes)
    objective.found.clusters = 2 * classes
    objective.found.refresh(Pool(unit(60), labels))
    return objective


def test_the_margin_is_added_to_the_positive(pairs_step):
    """-0.5 at temperature 0.2: 2.5 on its logit."""
    with_margin, without = started(negatives=60), started(negatives=60, margin=0.0)
    step = pairs_step(6)
    values = [o.terms(step)["inter"] for o in (with_margin, without)]
    scores = functional.normalize(step.student("query")["projector"], dim=1) @ unit(60).T / 0.2
    own = with_margin.found.cluster[:6]
    apart = own[:, None] != with_margin.found.cluster
    mate, _ = cluster_mates(own, with_margin.found.cluster, draw=step.draw("interclr"))
    positive = scores.gather(1, mate[:, None])
    for value, more in zip(values, (2.5, 0.0), strict=True):
        logits = torch.cat([positive + more, scores.masked_fill(~apart, -1e30)], dim=1)
        expected = functional.cross_entropy(logits, torch.zeros(6, dtype=torch.int64))
        torch.testing.assert_close(value, expected)


@pytest.mark.parametrize("margin", [-0.5, 0.3])
def test_a_margin_of_the_angle(pairs_step, margin):
    objective = started(negatives=60, margin=margin, margin_of="angle")
    step = pairs_step(6)
    scores = functional.normalize(step.student("query")["projector"], dim=1) @ unit(60).T
    own = objective.found.cluster[:6]
    mate, _ = cluster_mates(own, objective.found.cluster, draw=step.draw("interclr"))
    positive = torch.cos(torch.arccos(scores.gather(1, mate[:, None])) + margin)
    apart = scores.masked_fill(own[:, None] == objective.found.cluster, -1e30)
    logits = torch.cat([positive, apart], dim=1) / 0.2
    expected = functional.cross_entropy(logits, torch.zeros(6, dtype=torch.int64))
    torch.testing.assert_close(objective.terms(step)["inter"], expected)


@pytest.mark.parametrize("sampling", ["semihard", "semieasy", "random"])
def test_drawn_negatives_give_a_loss(pairs_step, sampling):
    loss = started(sampling=sampling).terms(pairs_step(6))["inter"]
    assert loss.isfinite()
    loss.backward()


@pytest.mark.parametrize(("momentum", "same"), [(0.0, False), (1.0, True)])
def test_how_much_a_stored_row_moves(pairs_step, momentum, same):
    objective = started(bank_momentum=momentum)
    before = objective.found.rows.clone()
    step = pairs_step(6)
    objective.terms(step)
    objective.after_step()
    keys = functional.normalize(step.teacher("key")["projector"], dim=1)
    expected = torch.cat([before[:6] if same else keys, before[6:]])
    torch.testing.assert_close(objective.found.rows, expected)


def test_no_cluster_stays_small(pairs_step):
    objective = started(least=4)
    for seed in range(5):
        objective.terms(pairs_step(30, seed=seed))
        objective.after_step()
    objective.found.refresh(Pool(torch.empty(0)))
    assert torch.bincount(objective.found.cluster, minlength=8).min() > 0


def test_labelled_images_stay_in_the_cluster_of_their_class(pairs_step):
    labels = torch.full((60,), -1)
    labels[:10] = torch.tensor([3, 1]).repeat(5)
    objective = started(labels)
    found = objective.found
    assert found.classes.tolist() == [1, 3]
    for seed in range(5):
        objective.terms(pairs_step(30, seed=seed))
        objective.after_step()
        found.refresh(Pool(torch.empty(0)))
    assert torch.equal(found.cluster[:10], torch.tensor([1, 0]).repeat(5))
    asked = found(torch.tensor([0, -1, -1, -1]), torch.tensor([-1, 1, 3, 2]))
    assert asked.tolist() == [1, 0, 1, -1]


def test_an_image_without_a_cluster_has_no_loss_between_images(pairs_step):
    objective = started()
    loss = objective.terms(pairs_step(0, [2, 2]))["inter"]
    assert loss == 0


def test_the_state_goes_on(pairs_step):
    first, second = started(), Interclr(**OPTIONS)
    second.load_state_dict(first.state_dict())
    for objective in (first, second):
        objective.terms(pairs_step(6))
        objective.after_step()
    for name in ("rows", "cluster", "centroids"):
        assert torch.equal(getattr(first.found, name), getattr(second.found, name))
