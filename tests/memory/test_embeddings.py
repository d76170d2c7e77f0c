"""The embedding memory against a NumPy oracle."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from contsemi.errors import StorageFailed
from contsemi.losses.nearest_stream import row_votes
from contsemi.memory import embeddings
from contsemi.memory.embeddings import Embeddings, label_bytes


def unit_rows(count, seed, width=6):
    return functional.normalize(
        torch.randn(count, width, generator=torch.Generator().manual_seed(seed)), dim=1
    )


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 12), min_size=1, max_size=4), st.integers(1, 20), st.integers(0, 99))
def test_each_class_keeps_its_most_confident_rows(sizes, budget, seed):
    memory = Embeddings(budget)
    held: list[tuple[float, int, int]] = []  # confidence, column, id
    draw = np.random.default_rng(seed)
    next_id = 0
    for task, size in enumerate(sizes):
        columns = 2 * (task + 1)
        probs = torch.tensor(draw.dirichlet(np.ones(columns), size)).half()
        ids = torch.arange(next_id, next_id + size)
        next_id += size
        memory.add(unit_rows(size, seed), probs, ids, task)
        confidence, column = probs.float().max(1)
        held += zip(confidence.tolist(), column.tolist(), ids.tolist(), strict=True)
        kept_ids = set(memory.ids.tolist())
        assert len(kept_ids) == len(memory) == min(budget, len(held))
        for each in range(columns):
            own = sorted((row for row in held if row[1] == each), key=lambda row: (-row[0], row[2]))
            kept = [row for row in own if row[2] in kept_ids]
            assert kept == own[: len(kept)]
        held = [row for row in held if row[2] in kept_ids]


def test_soft_labels_are_widened_when_classes_arrive():
    memory = Embeddings(10)
    memory.add(unit_rows(2, 0), torch.tensor([[0.75, 0.25], [0.5, 0.5]]), torch.arange(2), 0)
    memory.add(unit_rows(1, 1), torch.tensor([[0.0, 0.0, 1.0]]), torch.tensor([9]), 1)
    rows = memory.view()
    assert rows.probs.tolist() == [[0.75, 0.25, 0.0], [0.5, 0.5, 0.0], [0.0, 0.0, 1.0]]
    assert rows.tasks.tolist() == [0, 0, 1]


def test_no_budget_keeps_nothing():
    memory = Embeddings(0)
    memory.add(unit_rows(2, 0), torch.eye(2), torch.arange(2), 0)
    assert memory.view() is None
    assert memory.memory_bytes == 0


def test_carried_rows_follow_the_map():
    memory = Embeddings(10)
    old = unit_rows(5, 3)
    memory.add(old, torch.eye(5), torch.arange(5), 0)
    rotation = torch.linalg.qr(torch.randn(6, 6, generator=torch.Generator().manual_seed(4))).Q
    memory.carry(lambda rows: rows @ rotation)
    torch.testing.assert_close(memory.view().embeddings.float(), old @ rotation, atol=2e-3, rtol=0)


def test_rows_whose_image_is_kept_are_renewed():
    memory = Embeddings(10)
    old, new = unit_rows(4, 3), unit_rows(3, 5)
    memory.add(old, torch.eye(4), torch.tensor([7, 2, 9, 4]), 0)
    memory.view()
    memory.renew(torch.tensor([9, 30, 7]), new)
    expected = torch.stack([new[2], old[1], new[0], old[3]])
    torch.testing.assert_close(memory.view().embeddings.float(), expected, atol=1e-3, rtol=0)
    memory.renew(torch.empty(0, dtype=torch.int64), new[:0])
    torch.testing.assert_close(memory.view().embeddings.float(), expected, atol=1e-3, rtol=0)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 600), st.integers(1, 4))
def test_bytes_are_never_exceeded(limit, tasks):
    memory, offered = Embeddings(12), 0
    for task in range(tasks):
        probs = torch.eye(2 * task + 2).repeat(3, 1)
        ids = torch.arange(100 * task, 100 * task + len(probs))
        memory.add(unit_rows(len(probs), task), probs, ids, task, limit=limit)
        each = 2 * (6 + probs.shape[1]) + 16
        offered += len(probs)
        assert len(memory) == min(12, limit // each, offered)
        offered = len(memory)
        assert memory.memory_bytes <= limit


def test_the_index_is_made_of_the_rows_held_and_never_restored():
    saved, memory = Embeddings(10), Embeddings(10)
    for each, seed in ((saved, 3), (memory, 4)):
        each.add(unit_rows(5, seed), torch.eye(5), torch.arange(5), 0)
        each.view()
    assert saved.state().keys() == {"rows", "probs", "ids", "tasks"}
    memory.load(saved.state())
    assert memory.view().search(unit_rows(5, 3), 1)[1].flatten().tolist() == [0, 1, 2, 3, 4]


def test_of_soft_labels_the_likeliest_stay():
    """Bytes as promised, rows that sum to 1, and the same choice after a way through a file."""
    draw = torch.Generator().manual_seed(0)
    first = (6 * torch.randn(20, 4, generator=draw)).softmax(1)
    then = (6 * torch.randn(20, 9, generator=draw)).softmax(1)
    memory = Embeddings(24, labels=3)
    memory.add(unit_rows(20, 0), first, torch.arange(20), 0)
    memory.add(unit_rows(20, 1), then, torch.arange(20, 40), 1)
    assert len(memory) == 24
    assert memory.memory_bytes == 24 * (2 * 6 + label_bytes(3, 9) + 16)
    again = Embeddings(24, labels=3)
    again.load(memory.state())
    everyone = torch.cat([functional.pad(first, (0, 5)), then]).numpy()
    for each in (memory, again):
        probs = each.view().probs
        assert probs.shape == (24, 9)
        found, kept = probs[:].numpy(), everyone[each.ids]
        least = np.sort(kept, axis=1)[:, [-3]]
        expected = np.where(kept >= least, kept, 0)
        np.testing.assert_allclose(found, expected / expected.sum(1, keepdims=True), atol=1e-3)
        assert probs.best()[1].tolist() == kept.argmax(1).tolist()


@pytest.mark.parametrize("labels", [5, 6])
def test_all_classes_kept_are_the_whole_label(labels):
    """Votes of the memory, values and gradients, are those of a memory with whole labels."""
    draw = torch.Generator().manual_seed(0)
    probs, asked = torch.rand(30, 5, generator=draw).softmax(1), unit_rows(4, 9)
    found = []
    for kept in (None, labels):
        memory, queries = Embeddings(20, labels=kept), asked.clone().requires_grad_()
        memory.add(unit_rows(30, 0), probs, torch.arange(30), 0)
        rows = memory.view()
        log_votes, log_total = rows.votes(queries, 0.1)
        places = rows.search(asked, 3)[1]
        near = row_votes(queries, rows.embeddings, rows.probs, places, temperature=0.1)
        (log_votes.sum() + near.log_votes.square().sum()).backward()
        found.append([log_votes, log_total, near.log_votes, queries.grad, memory.ids])
    for whole, few in zip(*found, strict=True):
        torch.testing.assert_close(few, whole, atol=4e-3, rtol=4e-3)


def test_an_index_without_room_lies_on_disk(tmp_path, monkeypatch):
    monkeypatch.setattr(embeddings, "_LEAST_ROOM", 0)
    rows, asked = unit_rows(300, 0), unit_rows(4, 1)
    for room, said in ((300 * 18, "sq8: 300 rows on cpu"), (10, "on disk")):
        memory = Embeddings(300, room=room, folder=tmp_path / "scratch")
        memory.add(rows, torch.ones(300, 1), torch.arange(300), 0)
        assert memory.index_bytes > 0  # made when it is asked for
        places = memory.view().search(asked, 20)[1]
        assert said in memory.reason, memory.reason
        truth = (asked @ rows.half().float().T).topk(3).indices
        hits = (places[:, :, None] == truth[:, None]).any(1).float().mean()
        assert hits > 0.9
        assert memory.index_bytes > 0
    assert not list((tmp_path / "scratch").iterdir())  # a kill leaves nothing behind


def test_an_index_is_refused_where_the_disk_has_no_room(tmp_path, monkeypatch):
    monkeypatch.setattr(embeddings, "_LEAST_ROOM", 0)
    usage = SimpleNamespace(free=100)
    monkeypatch.setattr("contsemi.search.faiss_rows.shutil.disk_usage", lambda folder: usage)
    memory = Embeddings(50, room=10, folder=tmp_path)
    memory.add(unit_rows(50, 0), torch.ones(50, 1), torch.arange(50), 0)
    with pytest.raises(StorageFailed, match=r"100 bytes free, \d+ needed for the index"):
        memory.view()


def test_the_index_says_why():
    memory = Embeddings(10, "flat")
    assert memory.reason == ""
    memory.add(unit_rows(2, 0), torch.eye(2), torch.arange(2), 0)
    assert memory.reason == "flat: asked for"
