"""MoCHi against a third party's code over several steps, its draws given, and its limits."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from contsemi.objectives.mochi import Mochi

FILES = sorted((Path(__file__).parents[1] / "reference" / "parts").glob("mochi_*.npz"))

OPTIONS = {
    "temperature": 0.2,
    "hardest": 4,
    "pairs": 3,
    "pairs_from": 0,
    "with_query": 2,
    "with_query_from": 0,
    "bank": 16,
    "current_only": True,
    "both_ways": False,
    "teacher": [0.99, 0.99],
    "smoothing": 0.0,
    "labelled_views": 1,
}


def linear(at, which, step, rows):
    weight, bias = (torch.from_numpy(at[f"{which}_{name}_{step}"]) for name in ("weight", "bias"))
    weight, bias = weight.requires_grad_(), bias.requires_grad_()
    return weight, bias, rows @ weight.T + bias


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_all_steps_equal_the_third_party(file, seen, step_of, monkeypatch):
    with np.load(file, allow_pickle=False) as arrays:
        at = {key: arrays[key] for key in arrays.files}
    exact = at["queue_initial"].dtype == np.float64
    tolerance = {"rtol": 1e-9, "atol": 1e-11} if exact else {"rtol": 1e-4, "atol": 1e-4}
    objective = Mochi(
        **OPTIONS
        | {
            "temperature": float(at["temperature"]),
            "hardest": int(at["hard_pool"]),
            "pairs": int(at["type1"]),
            "with_query": int(at["type2"]),
            "pairs_from": int(at["start1"]),
            "with_query_from": int(at["start2"]),
            "bank": int(at["queue_size"]),
        }
    )
    none = torch.full((int(at["queue_size"]),), -1)
    queue = torch.from_numpy(at["queue_initial"])
    stored = objective.queue.stored
    stored.push(queue, labels=none, ids=none, places=none)
    for t in range(int(at["steps"])):
        inputs = torch.from_numpy(at["inputs_query"][t]).requires_grad_()
        weight, bias, queries = linear(at, "query", t, inputs)
        _, _, keys = linear(at, "key", t + 1, torch.from_numpy(at["inputs_key"][t]))
        ids = torch.from_numpy(at["ids"][t]).long()
        given = {key: torch.from_numpy(np.asarray(value)) for key, value in at.items()}

        def draws(step, kind, held, number, t=t, given=given, queries=queries):
            # There the hardest keys are in any order, here in that of their scores.
            hard = given[f"hard_index_{t}"]
            scores = (functional.normalize(queries, dim=1) @ stored.rows.T).gather(1, hard)
            place = scores.argsort(dim=1, descending=True).argsort(dim=1)
            names = ("first", "second", "alpha") if kind == "pairs" else ("pick", "pick", "beta")
            of = "type1" if kind == "pairs" else "type2"
            one, other, share = (given[f"{of}_{name}_{t}"] for name in names)
            return place.gather(1, one), place.gather(1, other), share * (1 if of == "type1" else 2)

        monkeypatch.setattr(objective, "_draws", draws)
        views = {"query": seen(queries), "key": seen(teacher=keys.detach())}
        # There a step is counted from 2, and mixes begin above the number given.
        step = step_of(views, len(ids), ids=ids, epoch=t + 1)
        loss = objective.terms(step)["contrast"]
        loss.backward()
        np.testing.assert_allclose(loss.item(), at["loss"][t], rtol=tolerance["rtol"])
        for found, name in (
            (inputs.grad, "input_query"),
            (weight.grad, "query_weight"),
            (bias.grad, "query_bias"),
        ):
            np.testing.assert_allclose(found, at[f"grad_{name}_{t}"], err_msg=name, **tolerance)
        objective.after_step()
    np.testing.assert_allclose(stored.rows, at["queue_final"], **tolerance)
    np.testing.assert_array_equal(stored["ids"], at["queue_ids_final"])
    assert stored.pointer.item() % len(queue) == at["queue_ptr"]


def filled(objective, pairs_step, labels=None):
    step = pairs_step(16, ids=5000 + torch.arange(16), places=torch.arange(16), seed=3)
    objective.terms(step)
    objective.after_step()
    if labels is not None:
        objective.queue.stored["labels"].copy_(torch.as_tensor(labels))
    return objective


def test_without_mixes_it_is_moco_and_each_mix_raises_the_loss(pairs_step):
    losses = []
    for pairs, with_query in ((0, 0), (3, 0), (3, 2)):
        options = OPTIONS | {"pairs": pairs, "with_query": with_query}
        objective = filled(Mochi(**options), pairs_step)
        step = pairs_step(6)
        losses.append(objective.terms(step)["contrast"])
    q = functional.normalize(step.student("query")["projector"], dim=1)
    k = functional.normalize(step.teacher("key")["projector"], dim=1)
    rows = objective.queue.stored.rows
    logits = torch.cat([(q * k).sum(1, keepdim=True), q @ rows.T], dim=1) / 0.2
    expected = functional.cross_entropy(logits, torch.zeros(6, dtype=torch.int64))
    torch.testing.assert_close(losses[0], expected)
    assert losses[0] < losses[1] < losses[2]


def test_pairs_of_the_one_hardest_key_are_that_key(pairs_step):
    objective = filled(Mochi(**OPTIONS | {"hardest": 1, "with_query": 0}), pairs_step)
    step = pairs_step(6)
    q = functional.normalize(step.student("query")["projector"], dim=1)
    k = functional.normalize(step.teacher("key")["projector"], dim=1)
    scores = q @ objective.queue.stored.rows.T
    most = scores.amax(dim=1, keepdim=True).expand(-1, 3)
    logits = torch.cat([(q * k).sum(1, keepdim=True), scores, most], dim=1) / 0.2
    expected = functional.cross_entropy(logits, torch.zeros(6, dtype=torch.int64))
    torch.testing.assert_close(objective.terms(step)["contrast"], expected)


def test_keys_of_the_querys_class_are_neither_negatives_nor_mixed(pairs_step):
    labels = [0] * 15 + [1]
    objective = filled(Mochi(**OPTIONS), pairs_step, labels)
    step = pairs_step(0, [0])
    loss = objective.terms(step)["contrast"]
    q = functional.normalize(step.student("labelled")["projector"], dim=1)
    k = functional.normalize(step.teacher("labelled_key")["projector"], dim=1)
    row = objective.queue.stored.rows[15:]
    # the one key left, the three pairs of it with itself, and two mixes with the query
    draws = objective._draws(step, "with_query", torch.tensor([1]), 2)
    share = draws[2][0, :, None].double() / 2
    mixed = functional.normalize(share * q + (1 - share) * row, dim=1).detach()
    logits = torch.cat([k, row, row, row, row, mixed]) @ q[0] / 0.2
    expected = -functional.log_softmax(logits, dim=0)[0]
    torch.testing.assert_close(loss, expected)


def test_where_all_keys_are_of_its_class_nothing_is_left(pairs_step):
    objective = filled(Mochi(**OPTIONS), pairs_step, [0] * 16)
    loss = objective.terms(pairs_step(0, [0, 0]))["contrast"]
    assert loss == 0


def test_draws_are_those_of_the_step_and_cover_the_hardest(pairs_step):
    objective, step = Mochi(**OPTIONS), pairs_step(1)
    held = torch.tensor([4])
    first, second, share = objective._draws(step, "pairs", held, 4000)
    again = objective._draws(step, "pairs", held, 4000)
    assert all(map(torch.equal, (first, second, share), again))
    for place in (first, second):
        assert (torch.bincount(place[0], minlength=4) - 1000).abs().max() < 120
    assert not torch.equal(first, second)
    assert (share >= 0).all()
    assert (share < 1).all()
