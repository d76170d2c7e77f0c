"""Every form of the index against brute force, on random programs and on clustered data."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from contsemi.search import faiss_rows as index_faiss
from contsemi.search.index import Index, bytes_per_row, choose

EXACT = ["torch", "flat"]
APPROXIMATE = ["ivf", "hnsw", "sq8", "pq"]


def unit(count, seed, width=8):
    draw = torch.Generator().manual_seed(seed)
    return functional.normalize(torch.randn(count, width, generator=draw), dim=1)


@pytest.mark.parametrize("kind", EXACT)
@settings(max_examples=12, deadline=None)
@given(
    rows=st.integers(0, 40),
    queries=st.integers(1, 8),
    k=st.integers(1, 50),
    seed=st.integers(0, 999),
)
def test_search_equals_numpy(kind, rows, queries, k, seed):
    draw = np.random.default_rng(seed)
    stored = draw.normal(size=(rows, 5)).astype(np.float32)
    asked = draw.normal(size=(queries, 5)).astype(np.float32)
    index = Index(torch.from_numpy(stored), kind)
    assert index.kind == kind
    scores, found = index.search(torch.from_numpy(asked), k)
    oracle = np.sort(asked @ stored.T, axis=1)[:, ::-1][:, : min(k, rows)]
    np.testing.assert_allclose(scores, oracle, atol=1e-4)
    np.testing.assert_allclose(
        np.take_along_axis(asked @ stored.T, found.numpy(), 1), oracle, atol=1e-4
    )


class Program:
    """An index and a dictionary that must agree: place -> row, class, soft label."""

    def __init__(self, kind, start):
        self.held = {}
        rows, classes, probs = self.draw(start, 0)
        self.index = Index(rows, kind, classes=classes, probs=probs)
        self.note(torch.arange(start), rows, classes, probs)

    @staticmethod
    def draw(count, seed):
        rows = unit(count, seed)
        return rows, torch.arange(seed, seed + count) % 3, rows[:, :4].softmax(1)

    def note(self, places, *what):
        self.held |= dict(zip(places.tolist(), zip(*what, strict=True), strict=True))

    def chosen(self, count, seed):
        places = sorted(self.held)
        order = np.random.default_rng(seed).permutation(len(places))[:count]
        return torch.tensor([places[i] for i in order], dtype=torch.int64)

    def do(self, step, count, seed):
        if step == "add":
            rows, classes, probs = self.draw(count, seed)
            places = self.index.add(rows, classes=classes, probs=probs)
            assert not set(places.tolist()) & set(self.held)
            self.note(places, rows, classes, probs)
        elif step == "replace":
            places = self.chosen(count, seed)
            rows, classes, probs = self.draw(len(places), seed)
            self.index.replace(places, rows, classes=classes, probs=probs)
            self.note(places, rows, classes, probs)
        else:
            places = self.chosen(count, seed)
            self.index.remove(places)
            for place in places.tolist():
                del self.held[place]

    def check(self, k, wanted, exact):
        assert len(self.index) == len(self.held)
        queries = unit(5, 999)
        allow = None if wanted is None else self.index.where(classes=torch.tensor(wanted))
        may = [p for p, (_, y, _) in self.held.items() if wanted is None or int(y) in wanted]
        scores, places = self.index.search(queries, k, allow)
        assert places.shape == scores.shape == (5, min(k, len(self.held)))
        assert (scores.diff(dim=1) <= 1e-6)[scores[:, 1:] > -torch.inf].all()
        assert ((places < 0) == (scores == -torch.inf)).all()
        for query, row_scores, row in zip(queries, scores, places, strict=True):
            found = [p for p in row.tolist() if p >= 0]
            assert set(found) <= set(may) and len(set(found)) == len(found)
            assert len(found) == min(k, len(may))
            for place in found:
                assert torch.equal(self.index["probs"][place], self.held[place][2])
            if exact and may:
                best = sorted((float(query @ self.held[p][0]) for p in may), reverse=True)[:k]
                np.testing.assert_allclose(row_scores[: len(found)], best, atol=1e-5)


@pytest.mark.parametrize("kind", EXACT + APPROXIMATE)
@settings(max_examples=12, deadline=None)
@given(
    start=st.sampled_from([0, 1, 7, 60]),
    steps=st.lists(
        st.tuples(
            st.sampled_from(["add", "replace", "remove"]), st.integers(0, 40), st.integers(1, 99)
        ),
        max_size=6,
    ),
    k=st.integers(1, 30),
    wanted=st.sampled_from([None, [0], [1, 2], [7]]),
)
def test_any_program_equals_brute_force(kind, start, steps, k, wanted):
    program = Program(kind, start)
    program.check(k, wanted, exact=kind in EXACT)
    for step in steps:
        program.do(*step)
        program.check(k, wanted, exact=kind in EXACT)


def clustered(count, seed, width=32, clusters=40, inner=6):
    """Unit rows around shared centres, each cluster with few directions of its own."""
    shape = np.random.default_rng(0)
    centres = shape.normal(size=(clusters, width))
    spread = shape.normal(size=(clusters, inner, width)) * 0.4
    draw = np.random.default_rng(seed)
    own = draw.integers(0, clusters, count)
    rows = centres[own] + np.einsum("ni,niw->nw", draw.normal(size=(count, inner)), spread[own])
    return functional.normalize(torch.tensor(rows, dtype=torch.float32), dim=1)


@pytest.mark.parametrize(
    ("kind", "floor"), [("torch", 1.0), ("flat", 1.0), ("ivf", 0.99), ("hnsw", 0.97),
                        ("sq8", 0.95), ("pq", 0.6)]
)  # fmt: skip
def test_recall_at_10_on_clustered_rows(kind, floor):
    rows, queries = clustered(3000, 1), clustered(100, 2)
    truth = (queries @ rows.T).topk(10).indices
    found = Index(rows, kind).search(queries, 10)[1]
    recall = (found[:, :, None] == truth[:, None, :]).any(2).float().mean()
    assert recall >= floor


@pytest.mark.parametrize("kind", EXACT + APPROXIMATE)
def test_removing_a_row_does_not_change_how_others_are_found(kind):
    rows, queries = clustered(2000, 1), clustered(20, 2)
    index = Index(rows, kind)
    scores, places = index.search(queries, 10)
    elsewhere = torch.ones(2000, dtype=torch.bool)
    elsewhere[places.flatten()] = False
    index.remove(elsewhere.nonzero().flatten()[:50])
    found = index.search(queries, 10)
    assert torch.equal(found[1], places)
    torch.testing.assert_close(found[0], scores)


def test_lists_on_disk_answer_like_lists_in_memory(tmp_path):
    rows, queries = clustered(3000, 1), clustered(20, 2)
    disk, memory = Index(rows, "ivf", folder=tmp_path), Index(rows, "ivf")
    assert len(list(tmp_path.iterdir())) == 1
    places = torch.arange(0, 900, 3)
    for index in (disk, memory):
        index.remove(places[:100])
        index.replace(places[100:], clustered(200, 3))
        index.add(clustered(500, 4))
    assert torch.equal(disk.search(queries, 20)[1], memory.search(queries, 20)[1])
    del index, disk
    assert not list(tmp_path.iterdir())


class OnGpu:
    """As FAISS's lists on a GPU: torch tensors in and out, no filter, and no removal."""

    made = 0

    def __init__(self, faiss, index, gpu):
        OnGpu.made += 1
        self.lists = faiss.clone_index(index)

    def search(self, queries, k):
        self.lists.nprobe = self.nprobe
        return tuple(map(torch.from_numpy, self.lists.search(queries.numpy(), k)))


def test_lists_on_a_gpu_follow_every_change(monkeypatch):
    monkeypatch.setattr(index_faiss, "_to_gpu", OnGpu)
    rows, queries = clustered(800, 1), clustered(20, 2)
    both = [index_faiss.IvfRows(rows, "ivf", gpu=gpu) for gpu in (0, None)]
    some = torch.arange(0, 800, 7)
    changes = [
        lambda lists: None,
        lambda lists: lists.write(some, clustered(len(some), 3)),
        lambda lists: lists.drop(some[:100]),
        lambda lists: lists.append(clustered(200, 4)),
    ]
    for count, change in enumerate(changes, start=1):
        for lists in both:
            change(lists)
        for allowed in (None, torch.arange(1000) % 2 == 0, None):
            found = [lists.search(queries, 20, allowed) for lists in both]
            assert torch.equal(found[0][1], found[1][1])
            torch.testing.assert_close(found[0][0], found[1][0])
        assert OnGpu.made == count


def test_the_given_rows_are_not_written_to():
    rows = unit(10, 0)
    kept = rows.clone()
    for kind in EXACT:
        Index(rows, kind).replace(torch.tensor([3]), unit(1, 5))
    assert torch.equal(rows, kept)


def test_auto_says_why():
    index = Index(torch.eye(3), "auto")
    assert index.kind == "torch"
    assert "3 rows on cpu" in index.reason


def test_auto_goes_by_size_and_budget():
    cpu, gpu = torch.device("cpu"), torch.device("cuda")
    assert choose(100_000, 128, cpu)[0] == "torch"
    assert choose(1_000_000, 128, cpu)[0] == "ivf"
    assert choose(1_000_000, 128, gpu)[0] == "torch"
    kind, reason = choose(1_000_000, 128, cpu, 140e6)
    assert (kind, reason) == ("sq8", "1,000,000 rows on cpu, 140 bytes each")
    assert choose(1_000_000, 128, cpu, 80e6)[0] == "pq"
    assert choose(1000, 128, cpu, 520_000)[0] == "flat"
    for kind in (*EXACT, *APPROXIMATE):
        index = Index(clustered(2000, 0), kind)
        assert index.memory_bytes <= 2000 * bytes_per_row(kind, 32) + 4 * 32 * 51


def test_columns_must_fit():
    index = Index(unit(4, 0), tasks=torch.zeros(4, dtype=torch.int64))
    with pytest.raises(ValueError, match="'tasks' is missing"):
        index.add(unit(1, 1))
    with pytest.raises(ValueError, match="has 2 entries for 1 rows"):
        index.add(unit(1, 1), tasks=torch.zeros(2, dtype=torch.int64))
    index.replace(torch.tensor([0]), unit(1, 1))
    assert index["tasks"].tolist() == [0, 0, 0, 0]


def test_without_faiss_torch_answers(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "faiss", None)
    index = Index(torch.eye(3), "sq8")
    assert (index.kind, index.reason) == ("torch", "faiss is not installed")
    assert index.search(torch.eye(3), 1)[1].flatten().tolist() == [0, 1, 2]
