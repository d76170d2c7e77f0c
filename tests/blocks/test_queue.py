"""The queue of embeddings against a plain list, at any batch size, and its state."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from contsemi.blocks.queue import Queue
from contsemi.storage.checkpoint import Checkpoints

VIEWS, SIZE = 2, 3


def batches(sizes):
    draw = torch.Generator().manual_seed(0)
    return [torch.randn(VIEWS * n, SIZE, generator=draw, dtype=torch.float64) for n in sizes]


def push(queue, rows):
    queue.hold(rows, batch_size=len(rows) // VIEWS)
    queue.push()


@settings(max_examples=40, deadline=None)
@given(length=st.integers(1, 9), sizes=st.lists(st.integers(1, 12), min_size=1, max_size=8))
def test_is_a_shifted_array_as_in_swav(length, sizes):
    queue = Queue(length)
    expected = torch.zeros(VIEWS, length, SIZE, dtype=torch.float64)
    for rows in batches(sizes):
        queue.hold(rows, batch_size=len(rows) // VIEWS)
        push(queue, rows)
        new = functional.normalize(rows, dim=1).view(VIEWS, -1, SIZE)
        expected = torch.cat([new, expected], dim=1)[:, :length]
        torch.testing.assert_close(queue.rows(), expected)
    assert queue.full == (sum(sizes) >= length) == bool(expected[:, -1].any())


def test_scores_are_by_the_directions_given_and_only_when_full():
    queue, (first, second, third) = Queue(5), batches([2, 2, 2])
    directions = torch.randn(4, SIZE, dtype=torch.float64, requires_grad=True)
    for rows in (first, second):
        push(queue, rows)
        assert queue.scores(directions) is None
    push(queue, third)
    scores = queue.scores(directions)
    assert scores.shape == (VIEWS, 5, 4) and not scores.requires_grad
    expected = queue.rows() @ directions.detach().T
    torch.testing.assert_close(scores.sort(1).values, expected.sort(1).values)


def test_rows_enter_once_and_only_when_pushed():
    queue, (rows, others) = Queue(3), batches([3, 3])
    queue.hold(rows, batch_size=3)
    assert not queue.full
    queue.push()
    queue.push()
    assert queue.written == 3
    queue.hold(others, batch_size=3)
    before = queue.rows().clone()
    assert torch.equal(queue.rows(), before)


@pytest.mark.parametrize("sizes", [[], [2], [2, 2, 3]])
def test_state_survives_a_checkpoint(sizes, tmp_path):
    queue, again = Queue(4), Queue(4)
    for rows in batches(sizes):
        push(queue, rows)
    Checkpoints(tmp_path).save({"objective": queue.state_dict()}, {})
    state, _ = Checkpoints(tmp_path).load()
    again.load_state_dict(state["objective"])
    assert again.written == queue.written and again.full == queue.full
    (more,) = batches([3])
    for each in (queue, again):
        push(each, more)
    assert torch.equal(again.rows(), queue.rows())
    assert again.rows().data_ptr() != queue.rows().data_ptr()


def test_clear_leaves_nothing():
    queue = Queue(2)
    push(queue, batches([3])[0])
    queue.clear()
    assert not queue.full and not len(queue.rows())
    assert list(queue.get_extra_state()) == ["written"]
