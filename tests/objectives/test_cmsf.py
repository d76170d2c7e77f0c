"""CMSF's three variants against the official code, step after step, and in their limit cases."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from replayed import settings
from torch.nn import functional

from contsemi.errors import InputError
from contsemi.objectives.cmsf import Cmsf
from contsemi.objectives.msf import Msf

VIEWS = {
    "teacher": [0.9, 1.0],
    "smoothing": 0.0,
    "large_views": 2,
    "small_views": 0,
    "labelled_views": 2,
    "supports_per_class": 3,
    "current_only": True,
}
OPTIONS = VIEWS | {
    "variant": "semi",
    "neighbours": 5,
    "candidates": 10,
    "threshold": 0.85,
    "bank": 64,
    "detach": True,
    "classifier": "live",
    "refit_every": 10,
}


def visit(visits, name, rows):
    table = getattr(visits, name)
    table.resize(len(rows))
    table.push(torch.from_numpy(rows), places=torch.arange(len(rows)))
    visits.ids = torch.arange(len(rows))


@pytest.mark.parametrize("setting", settings("cmsf_self"))
def test_self_equals_the_official_code(setting, arrays, outputs, make_step):
    at = arrays("cmsf_self", setting)
    number, size, bank = int(at["topk"]), at["pool_initial"].shape[1], len(at["queue_initial"])
    options = {"neighbours": number, "candidates": int(at["topkp"]), "bank": bank}
    objective = Cmsf(**OPTIONS | options | {"variant": "self"})
    # The official code begins with random rows, whose id of -1 reads the last image's visits.
    objective.stored.push(
        torch.from_numpy(at["queue_initial"]),
        labels=torch.full((bank,), -1),
        ids=torch.full((bank,), size - 1),
    )
    visit(objective.visits, "before", at["pool_initial"][0])
    visit(objective.visits, "latest", at["pool_initial"][1])
    true_labels = np.full(bank, -1)
    for i, (query, target) in enumerate(zip(at["query"], at["target"], strict=True)):
        query = torch.from_numpy(query).requires_grad_()
        step = make_step(
            large=outputs(predictor=np.ones_like(target)),
            small=outputs(predictor=query),
            teacher=outputs(projector=target),
            batch_size=len(target),
            unlabelled_ids=torch.from_numpy(at["indices"][i]),
        )
        loss = objective.terms(step)["shift"]
        loss.backward()
        np.testing.assert_allclose(loss.item(), at["loss"][i], rtol=1e-5)
        np.testing.assert_allclose(query.grad, at["grad_query"][i], atol=1e-6)
        true_labels[(len(target) * i + np.arange(len(target))) % bank] = at["labels"][i]
        unit = functional.normalize(torch.from_numpy(target), dim=1)
        near = objective.stored.search(unit, number).index
        purity = (true_labels[near] == at["labels"][i][:, None]).mean()
        np.testing.assert_allclose(purity, at["purity"][i], rtol=1e-6)
    np.testing.assert_allclose(objective.stored.rows, at["queue_final"], atol=1e-6)
    assert np.array_equal(objective.stored["ids"], at["index_queue_final"])
    flip, ids = at["pool_qindex_final"], np.arange(size)
    before, latest = at["pool_final"][flip, ids], at["pool_final"][1 - flip, ids]
    np.testing.assert_allclose(objective.visits.before.rows, before, atol=1e-6)
    np.testing.assert_allclose(objective.visits.latest.rows, latest, atol=1e-6)


def labelled_part(rows, at, i, outputs):
    """A labelled group whose one target view is predicted by the other view."""
    query = torch.from_numpy(at["query"][i][rows]).requires_grad_()
    other, classes = torch.ones_like(query), int(at["labels"].max()) + 1
    return query, {
        "labelled": outputs(
            predictor=torch.cat([other, query]), classifier=torch.zeros(2 * len(query), classes)
        ),
        "teacher_labelled": outputs(projector=at["target"][i][rows]),
        "labels": torch.from_numpy(at["labels"][i][rows]),
        "num_seen": classes,
    }


def compare(loss, queries, rows, at, i):
    """Where a query has fewer rows allowed than neighbours, the official code adds any others."""
    enough = at["allowed_rows"][i] >= int(at["topk"])
    if enough.all():
        np.testing.assert_allclose(loss.item(), at["loss"][i], rtol=1e-5)
    for query, which in zip(queries, rows, strict=True):
        kept = enough[which]
        expected = at["grad_query"][i][which][kept]
        np.testing.assert_allclose(query.grad[kept], expected, atol=1e-6)
    return enough.all(), enough.any()


def test_sup_equals_the_official_code(arrays, outputs, make_step):
    at = arrays("cmsf_sup")
    size = len(at["queue_initial"])
    options = {"variant": "sup", "neighbours": int(at["topk"]), "bank": size}
    objective = Cmsf(**OPTIONS | options)
    unknown = torch.full((size,), -1)
    objective.stored.push(torch.from_numpy(at["queue_initial"]), labels=unknown, ids=unknown)
    whole = []
    for i in range(len(at["query"])):
        rows = np.arange(len(at["query"][i]))
        query, given = labelled_part(rows, at, i, outputs)
        loss = objective.terms(make_step(**given))["shift"]
        loss.backward()
        whole.append(compare(loss, [query], [rows], at, i))
    assert any(all_of for all_of, _ in whole) and all(some for _, some in whole)
    np.testing.assert_allclose(objective.stored.rows, at["queue_final"], atol=1e-6)
    assert np.array_equal(objective.stored["labels"], at["queue_labels_final"])


@pytest.mark.parametrize("setting", settings("cmsf_semi"))
def test_semi_equals_the_official_code(setting, arrays, outputs, make_step):
    at = arrays("cmsf_semi", setting)
    size = len(at["queue_initial"])
    options = {"neighbours": int(at["topk"]), "threshold": float(at["conf_th"]), "bank": size}
    objective = Cmsf(**OPTIONS | options)
    unknown = torch.full((size,), -1)
    objective.stored.push(torch.from_numpy(at["queue_initial"]), labels=unknown, ids=unknown)
    head, order, whole = torch.from_numpy(at["head_weight"]), np.arange(size), []
    for i in range(len(at["query"])):
        hidden = at["is_unlabelled"][i].astype(bool)
        rows = [np.flatnonzero(hidden), np.flatnonzero(~hidden)]
        labelled, given = labelled_part(rows[1], at, i, outputs)
        unlabelled = torch.from_numpy(at["query"][i][rows[0]]).requires_grad_()
        target = torch.from_numpy(at["target"][i][rows[0]])
        step = make_step(
            **given,
            large=outputs(predictor=torch.ones_like(target)),
            small=outputs(predictor=unlabelled),
            teacher=outputs(
                projector=target, classifier=functional.normalize(target, dim=1) @ head.T
            ),
            batch_size=len(target),
        )
        loss = objective.terms(step)["shift"]
        loss.backward()
        whole.append(compare(loss, [unlabelled, labelled], rows, at, i))
        # Ours stores the unlabelled rows of a step first.
        batch = len(hidden)
        order[(batch * i + np.concatenate(rows)) % size] = (batch * i + np.arange(batch)) % size
    assert all(some for _, some in whole)
    np.testing.assert_allclose(objective.stored.rows[order], at["queue_final"], atol=1e-6)
    assert np.array_equal(objective.stored["labels"][order], at["queue_labels_final"])
    assert {-1} < set(at["queue_labels_final"].tolist())  # some sure, some not


def make(**change):
    return Cmsf(**OPTIONS | change)


def begun(objective, experience):
    objective.begin(experience)
    return objective


def test_one_class_for_all_is_msf(whole_step):
    step = whole_step(0, 8, labels=torch.zeros(8, dtype=torch.int64))
    msf = Msf(**VIEWS, neighbours=5, bank=64)
    for _ in range(3):
        assert torch.equal(make(variant="sup").terms(step)["shift"], msf.terms(step)["shift"])
        msf.stored.clear()


def test_nobody_sure_is_msf_and_everybody_sure_is_restricted(whole_step):
    step = whole_step(12)
    msf = Msf(**VIEWS, neighbours=5, bank=64).terms(step)["shift"]
    assert torch.equal(make(threshold=1.0).terms(step)["shift"], msf)
    sure = make(threshold=0.0)
    sure.terms(step)
    assert torch.equal(sure.stored["labels"][:24], step.teacher("large")["classifier"].argmax(1))


def test_classes_of_earlier_tasks_are_only_predicted_if_so_wished(whole_step):
    step = whole_step(12, columns=[2, 3])
    for current_only in (True, False):
        objective = make(threshold=0.0, current_only=current_only)
        objective.terms(step)
        logits = step.teacher("large")["classifier"]
        expected = logits[:, 2:].argmax(1) + 2 if current_only else logits.argmax(1)
        assert torch.equal(objective.stored["labels"][:24], expected)


def test_all_candidates_make_self_msf_once_all_came_twice(whole_step, stream_of, small):
    experience = replace(stream_of(small())[0].experiences[0], unlabelled=torch.arange(6))
    twice = begun(make(variant="self", candidates=64), experience)
    msf = Msf(**VIEWS, neighbours=5, bank=64)
    for seed in range(4):
        step = whole_step(6, seed=seed)
        torch.testing.assert_close(twice.terms(step)["shift"], msf.terms(step)["shift"])
    few = begun(make(variant="self", candidates=1), experience)
    last = [few.terms(whole_step(6, seed=seed))["shift"] for seed in range(4)][-1]
    assert last != msf.terms(whole_step(6, seed=3))["shift"]


def test_at_the_first_visit_self_is_msf(whole_step, stream_of, small):
    experience = replace(stream_of(small())[0].experiences[0], unlabelled=torch.arange(6))
    first = begun(make(variant="self", candidates=1), experience).terms(whole_step(6))["shift"]
    assert torch.equal(first, Msf(**VIEWS, neighbours=5, bank=64).terms(whole_step(6))["shift"])


def test_a_single_view_is_refused():
    with pytest.raises(InputError, match="one view"):
        make(large_views=1)
