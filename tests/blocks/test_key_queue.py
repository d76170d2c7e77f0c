"""A queue of keys: who is compared, when rows enter, and what a new task makes of it."""

from dataclasses import replace

import torch
from torch.nn import functional

from contsemi.blocks.key_queue import KeyQueue
from contsemi.blocks.keyed import Keyed


def rows_of(ids, labels=None, seed=0, size=4):
    draw = torch.Generator().manual_seed(seed)
    ids = torch.as_tensor(ids)
    queries, keys = (
        functional.normalize(torch.randn(len(ids), size, generator=draw), dim=1) for _ in range(2)
    )
    labels = torch.full_like(ids, -1) if labels is None else torch.as_tensor(labels)
    return Keyed(queries, keys, labels, ids, ids, torch.zeros_like(ids))


def test_a_batch_enters_after_the_step_and_never_meets_itself():
    queue = KeyQueue(8, current_only=True)
    rows = rows_of([0, 1, 2])
    assert queue.compare(rows).scores.shape == (3, 1)
    queue.after_step()
    assert torch.equal(queue.stored.rows[:3], rows.keys)
    queue.after_step()  # nothing more enters
    assert queue.stored.filled.sum() == 3


def test_scores_are_cosines_and_other_views_of_the_image_are_left_out():
    queue = KeyQueue(4, current_only=True)
    first, second = rows_of([0, 1, 2]), rows_of([1, 5], seed=1)
    queue.compare(first)
    queue.after_step()
    compared = queue.compare(second)
    own = (second.queries * second.keys).sum(1)
    torch.testing.assert_close(compared.scores[:, 0], own)
    expected = second.queries @ first.keys.T
    expected[0, 1] = -torch.inf
    torch.testing.assert_close(compared.scores[:, 1:4], expected)
    assert compared.allow.tolist() == [[True, False, True, False], [True, True, True, False]]


def test_labels_overrule_what_a_method_believes():
    queue = KeyQueue(3, current_only=True)
    queue.compare(rows_of([0, 1, 2], [7, 6, -1]))
    queue.after_step()
    compared = queue.compare(rows_of([8, 9], [7, -1], seed=1))
    half = torch.full((2, 3), 0.5)
    assert compared.positives(half).tolist() == [[1, 1, 0, 0.5], [1, 0.5, 0.5, 0.5]]
    assert compared.positives().tolist() == [[1, 1, 0, 0], [1, 0, 0, 0]]
    assert compared.same.tolist() == [[True, False, False], [False] * 3]


def test_the_loss_can_go_back_before_the_rows_enter():
    queue = KeyQueue(4, current_only=True)
    queue.compare(rows_of([0, 1, 2, 3]))
    queue.after_step()
    rows = rows_of([4, 5], seed=1)
    rows.queries.requires_grad_()
    loss = queue.compare(rows).scores.sum()
    loss.backward()
    queue.after_step()
    stored = rows_of([0, 1, 2, 3]).keys  # as it was then
    torch.testing.assert_close(rows.queries.grad, rows.keys + stored.sum(dim=0))


def test_a_new_task_empties_it_or_forgets_places(stream_of, small):
    experience = stream_of(small())[0].experiences[1]
    for current_only in (True, False):
        queue = KeyQueue(8, current_only=current_only)
        queue.compare(rows_of([0, 1, 2]))
        queue.after_step()
        queue.begin(experience)
        assert bool(queue.stored.filled.any()) is not current_only
        assert (queue.stored["places"] == -1).all()


def test_its_state_goes_on():
    first, second = KeyQueue(8, current_only=True), KeyQueue(8, current_only=True)
    first.compare(rows_of([0, 1, 2]))
    first.after_step()
    second.load_state_dict(first.state_dict())
    rows = rows_of([3], seed=1)
    assert torch.equal(first.compare(rows).scores, second.compare(rows).scores)


def test_a_negative_of_its_own_stands_last_for_the_first_queries():
    queue = KeyQueue(8, current_only=True)
    rows = rows_of([0, 1, 2], [-1, -1, 3])
    onto = functional.normalize(
        torch.randn(2, 4, generator=torch.Generator().manual_seed(9)), dim=1
    )
    rows = replace(rows, swapped=onto)
    for stored in (0, 8):
        compared = queue.compare(rows)
        assert compared.scores.shape == (3, 2 + stored) == compared.positives().shape
        own = compared.scores[:, -1]
        torch.testing.assert_close(own[:2], (rows.queries[:2] * onto).sum(1))
        assert own[2] == -torch.inf  # a labelled query has none
        assert torch.equal(compared.beside[:, 0], own) and not compared.positives()[:, -1].any()
        assert compared.stored.shape == compared.allow.shape == compared.same.shape == (3, stored)
        queue.after_step()
    assert queue.stored.filled.sum() == 6  # nothing else enters
    assert torch.equal(queue.stored.rows[3:6], rows.keys)
