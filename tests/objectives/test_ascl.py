"""ASCL against six steps of the official code in each variant, and MoCo as its limit."""

import numpy as np
import pytest
import torch
from replayed import settings
from torch.nn import functional

from contsemi.objectives.ascl import Ascl

VARIANTS = {"ascl": "soft", "ahcl": "confident", "hard": "hard", "normal": "soft"}
OPTIONS = {
    "temperature": 0.1,
    "teacher_temperature": 0.05,
    "neighbours": 2,
    "variant": "soft",
    "form": "queue",
    "bank": 32,
    "current_only": True,
    "both_ways": False,
    "teacher": [0.99, 0.99],
    "smoothing": 0.0,
    "labelled_views": 1,
}


def moco(query, key, queue, temperature):
    """InfoNCE of He et al. 2020."""
    q, k = functional.normalize(query, dim=1), functional.normalize(key, dim=1)
    logits = torch.cat([(q * k).sum(1, keepdim=True), q @ queue.T], dim=1) / temperature
    return functional.cross_entropy(logits, torch.zeros(len(q), dtype=torch.int64))


@pytest.mark.parametrize("setting", settings("ascl"))
def test_all_steps_equal_the_official_code(setting, arrays, seen, step_of):
    at = arrays("ascl", setting)
    base, variant = str(at["variant"]).split("/")
    queue = torch.from_numpy(at["queue_initial_DxK"].T.copy())
    options = {
        "variant": VARIANTS[variant],
        "neighbours": 0 if variant == "normal" else int(at["neighbours"]),
        "form": "batch" if base == "byol" else "queue",
        "temperature": float(at["T_student"]),
        "teacher_temperature": float(at["T_teacher"]),
        "bank": len(queue),
    }
    objective = Ascl(**OPTIONS | options)
    none = torch.full((len(queue),), -1)
    if base == "moco":
        objective.queue.stored.push(queue, labels=none, ids=none, places=none)
    size = at["query"].shape[1]
    for i, (query, key) in enumerate(zip(at["query"], at["key"], strict=True)):
        query = torch.from_numpy(query).requires_grad_()
        views = {"query": seen(query), "key": seen(teacher=key)}
        step = step_of(views, size, ids=size * i + torch.arange(size))
        loss = objective.terms(step)["contrast"]
        loss.backward()
        np.testing.assert_allclose(loss.item(), at["loss"][i], rtol=1e-5)
        np.testing.assert_allclose(query.grad, at["grad_query"][i], atol=1e-6)
        objective.after_step()
    if base == "moco":
        found = objective.queue.stored.rows.T
        np.testing.assert_allclose(found, at["queue_final_DxK"], atol=1e-6)


def stored(objective, rows=20, size=5, labels=None, seed=7):
    """Fills the queue with random unit rows of other images."""
    draw = torch.Generator().manual_seed(seed)
    keys = functional.normalize(torch.randn(rows, size, generator=draw).double(), dim=1)
    none = torch.full((rows,), -1)
    labels = none if labels is None else labels
    objective.queue.stored.push(keys, labels=labels, ids=5000 + torch.arange(rows), places=none)
    return keys


@pytest.mark.parametrize("change", [{"neighbours": 0}, {"teacher_temperature": 1e9}])
def test_without_neighbours_or_confidence_it_is_moco(change, pairs_step):
    objective = Ascl(**OPTIONS | change | {"bank": 20})
    queue = stored(objective)
    step = pairs_step()
    loss = objective.terms(step)["contrast"]
    expected = moco(
        step.student("query")["projector"], step.teacher("key")["projector"], queue, 0.1
    )
    torch.testing.assert_close(loss, expected)


def test_a_sure_teacher_halves_the_target(seen, step_of):
    """w = (1/2, 1/2) between the own key and its one neighbour."""
    objective = Ascl(**OPTIONS | {"neighbours": 1, "teacher_temperature": 1e-3, "bank": 2})
    queue = torch.eye(3)[1:]
    columns = dict.fromkeys(("labels", "ids", "places"), torch.full((2,), -1))
    objective.queue.stored.push(queue, **columns)
    query = torch.tensor([[0.0, 1.0, 0.0]])
    key = functional.normalize(torch.tensor([[1.0, 0.9, 0.0]]), dim=1)
    step = step_of({"query": seen(query), "key": seen(teacher=key)}, 1)
    logits = torch.tensor([[key[0, 1], 1.0, 0.0]]) / 0.1
    expected = -functional.log_softmax(logits, dim=1)[0, :2].mean()
    torch.testing.assert_close(objective.terms(step)["contrast"], expected)


def test_labels_overrule_the_teacher(pairs_step):
    """All keys of the query's class are whole positives, those of others none."""
    objective = Ascl(**OPTIONS | {"bank": 20})
    queue = stored(objective, labels=torch.arange(20) % 4)
    step = pairs_step(0, [2, 2, 1])
    q = functional.normalize(step.student("labelled")["projector"], dim=1)
    k = functional.normalize(step.teacher("labelled_key")["projector"], dim=1)
    logits = torch.cat([(q * k).sum(1, keepdim=True), q @ queue.T], dim=1) / 0.1
    same = torch.arange(20) % 4 == torch.tensor([2, 2, 1])[:, None]
    weights = torch.cat([torch.ones(3, 1, dtype=torch.bool), same], dim=1).double()
    expected = -(weights / 6 * functional.log_softmax(logits, dim=1)).sum(1).mean()
    torch.testing.assert_close(objective.terms(step)["contrast"], expected)


@pytest.mark.parametrize("form", ["queue", "batch"])
@pytest.mark.parametrize("both_ways", [False, True])
def test_images_with_and_without_labels_count_once_each(form, both_ways, pairs_step):
    options = OPTIONS | {"form": form, "both_ways": both_ways}
    options["labelled_views"] = 2 if both_ways else 1
    step = pairs_step(4, [0, 1], both_ways=both_ways)
    terms = Ascl(**options).terms(step)
    assert terms["contrast"].isfinite()
    terms["contrast"].backward()
    for name in ("query", "labelled"):
        rows = step.student(name)["projector"]
        # without a stored key there is nothing to be told from
        assert (rows.grad.abs().sum(dim=1) > 0).all() == (form == "batch")


def test_both_ways_are_the_mean_of_one_way_each(seen, step_of, random):
    student, teacher = random(12, 5).double(), random(12, 5, seed=1).double()
    options = OPTIONS | {"bank": 20, "labelled_views": 0}
    both = Ascl(**options | {"both_ways": True})
    stored(both)
    loss = both.terms(step_of({"query": seen(student, teacher, number=2)}, 6))["contrast"]
    one_way = []
    for query, key in ((student[:6], teacher[6:]), (student[6:], teacher[:6])):
        objective = Ascl(**options)
        stored(objective)
        step = step_of({"query": seen(query), "key": seen(teacher=key)}, 6)
        one_way.append(objective.terms(step)["contrast"])
    torch.testing.assert_close(loss, torch.stack(one_way).mean())


def test_the_batch_of_one_image_goes_to_its_own_key(pairs_step):
    step = pairs_step(1)
    loss = Ascl(**OPTIONS | {"form": "batch"}).terms(step)["contrast"]
    cosine = functional.cosine_similarity(
        step.student("query")["predictor"], step.teacher("key")["projector"]
    )
    torch.testing.assert_close(loss, 2 - 2 * cosine[0])
