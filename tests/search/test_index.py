"""Every form of the index against brute force, on random rows and on clustered ones."""

import sys
from types import SimpleNamespace
from typing import get_args

import faiss
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from contsemi.config import Memory
from contsemi.search import faiss_gpu
from contsemi.search.faiss_gpu import code_length, why_not_on_gpu
from contsemi.search.faiss_rows import IvfRows
from contsemi.search.index import Index, Kind, bytes_per_row, choose

EXACT = ["torch", "flat"]
LISTS = ["ivf", "sq8", "pq"]


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
    ("kind", "floor"), [("torch", 1.0), ("flat", 1.0), ("ivf", 0.99),
                        ("sq8", 0.95), ("pq", 0.6)]
)  # fmt: skip
def test_recall_at_10_on_clustered_rows(kind, floor):
    rows, queries = clustered(3000, 1), clustered(100, 2)
    truth = (queries @ rows.T).topk(10).indices
    found = Index(rows, kind).search(queries, 10)[1]
    recall = (found[:, :, None] == truth[:, None, :]).any(2).float().mean()
    assert recall >= floor


@pytest.mark.parametrize("kind", LISTS)
@settings(max_examples=20, deadline=None)
@given(rows=st.integers(1, 60), k=st.integers(1, 70), seed=st.integers(0, 99))
def test_few_rows_are_all_found_by_lists(kind, rows, k, seed):
    """As many as there are, each once, from the best downwards."""
    scores, places = Index(unit(rows, seed), kind).search(unit(5, 999), k)
    assert scores.shape == places.shape == (5, min(k, rows))
    assert (scores.diff(dim=1) <= 1e-6).all()
    assert all(len(set(row)) == min(k, rows) and min(row) >= 0 for row in places.tolist())


@pytest.mark.thorough
@pytest.mark.parametrize("kind", ["sq8", "pq"])
def test_scores_of_compressed_unit_rows_are_cosines_with_what_is_decoded(kind):
    rows, queries = clustered(2000, 1), clustered(20, 2)
    lists = IvfRows(rows, kind)
    codes = lists._index.sa_decode(lists._index.sa_encode(rows.numpy()))
    decoded = functional.normalize(torch.from_numpy(codes), dim=1)
    scores, places = lists.search(queries, 10)
    torch.testing.assert_close(scores, (queries[:, None] * decoded[places]).sum(2))
    found = IvfRows(3 * rows, kind).search(queries, 10)[0]  # of other lengths: products
    assert (found[:, 0] > 2).all()


def test_half_precision_rows_are_found_like_their_float32():
    rows, queries = clustered(800, 1).half(), clustered(20, 2)
    for kind in EXACT + LISTS:
        found = [Index(each, kind).search(queries, 5)[1] for each in (rows, rows.float())]
        assert torch.equal(*found)


@pytest.mark.thorough
def test_lists_on_disk_answer_like_lists_in_memory(tmp_path, capfd):
    rows, queries = clustered(3000, 1), clustered(20, 2)
    for kind in LISTS:
        disk, memory = Index(rows, kind, folder=tmp_path), Index(rows, kind)
        assert disk.reason.endswith("on disk") and memory.reason == "asked for"
        assert not list(tmp_path.iterdir())  # nobody else can open it, and no kill leaves it behind
        assert torch.equal(disk.search(queries, 20)[1], memory.search(queries, 20)[1])
    assert capfd.readouterr() == ("", "")  # FAISS would tell each time that a file grows


@pytest.mark.parametrize(("kind", "rows"), [("torch", 700), ("flat", 5), ("sq8", 1000)])
def test_processes_search_their_parts_and_all_find_the_best(kind, rows, in_ranks):
    """Three processes, some of them without a row; each keeps about a third of the bytes."""
    stored, queries = clustered(rows, 1).half(), clustered(20, 2)
    budget = bytes_per_row(kind, 32) * rows - 1  # by which it does not fit whole

    def job(ranks):
        index = Index(stored, kind, budget=budget, peers=ranks)
        scores, places = index.search(queries, 7)
        return scores.tolist(), places.tolist(), index.memory_bytes, index.reason

    found = in_ranks(job, 3)
    assert all(each[:2] == found[0][:2] and "in 3 parts" in each[3] for each in found)
    scores, places = (torch.tensor(found[0][i]) for i in (0, 1))
    k = min(7, rows)
    assert places.shape == (20, k) and (scores.diff(dim=1) <= 0).all()
    truth = (queries @ stored.float().T).topk(k).indices
    hits = (places[:, :, None] == truth[:, None]).any(2).float().mean()
    assert hits >= (0.9 if kind == "sq8" else 1)
    whole = Index(stored, kind)
    whole.search(queries, 7)
    if rows > 100:
        assert max(each[2] for each in found) < 0.5 * whole.memory_bytes


@pytest.fixture
def faiss_on_gpu(monkeypatch):
    """FAISS's lists on a GPU, played by those of the CPU: raw addresses in and out."""
    made = []

    def copy(resources, gpu, index, options):
        made.append(SimpleNamespace(resources=resources, gpu=gpu, options=options))
        return faiss.clone_index(index)

    resources = SimpleNamespace(
        setTempMemory=lambda size: None, setDefaultStream=lambda gpu, stream: None
    )
    for name, value in {
        "StandardGpuResources": lambda: resources,
        "GpuClonerOptions": SimpleNamespace,
        "index_cpu_to_gpu": copy,
        "get_num_gpus": lambda: 1,
    }.items():
        monkeypatch.setattr(faiss, name, value, raising=False)
    stream = SimpleNamespace(cuda_stream=0)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: stream)
    return made


@pytest.mark.parametrize("kind", LISTS)
@pytest.mark.quick(1)
def test_lists_on_a_gpu_answer_like_those_on_the_cpu(kind, faiss_on_gpu):
    rows, queries = clustered(3000, 1), clustered(20, 2)
    there, here = IvfRows(rows, kind, gpu=0), IvfRows(rows, kind)
    for k in (10, 200):
        found, expected = there.search(queries, k), here.search(queries, k)
        assert torch.equal(found[1], expected[1])
        torch.testing.assert_close(found[0], expected[0])
    assert [each.options.useFloat16 for each in faiss_on_gpu] == [kind == "pq"]
    there.search(queries, 2500)  # more than FAISS takes there: by the CPU


def test_lists_on_a_gpu_that_hold_too_few_say_so(faiss_on_gpu):
    rows = clustered(3000, 1)
    lists = IvfRows(rows, "sq8", gpu=0)
    lists._on_gpu._index.invlists.reset()
    scores, places = lists.search(rows[:4], 5)
    assert (places == -1).all() and (scores == -torch.inf).all()


def test_searching_on_a_gpu_leaves_faiss_as_it_is(faiss_on_gpu):
    """``faiss.contrib.torch_utils`` would replace ``search`` for the whole process."""
    IvfRows(clustered(500, 1), "ivf", gpu=0).search(clustered(3, 2), 5)
    assert "faiss.contrib.torch_utils" not in sys.modules
    IvfRows(clustered(500, 1), "ivf").search(clustered(3, 2), 5)


def test_what_a_gpu_takes(monkeypatch):
    rows = SimpleNamespace(device=torch.device("cuda:1"), shape=(1000, 128))
    assert why_not_on_gpu("ivf", rows) == "faiss finds no GPU"
    monkeypatch.setattr(faiss, "get_num_gpus", lambda: 2, raising=False)
    assert not why_not_on_gpu("ivf", rows) and not why_not_on_gpu("pq", rows)
    rows.shape = (100, 128)
    assert "from 256 rows" in why_not_on_gpu("pq", rows)
    rows.shape = (1000, 22)
    assert "no 11 codes" in why_not_on_gpu("pq", rows)
    for width in range(1, 1025):
        codes = code_length(width)
        assert width % codes == 0 and 2 * codes <= max(2, width)
    for width in (32, 64, 96, 128, 192, 256, 384, 512, 768):
        codes = code_length(width)
        assert codes in faiss_gpu._LENGTHS and width // codes in faiss_gpu._SPANS


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
    for kind in (*EXACT, *LISTS):
        index = Index(clustered(2000, 0), kind)
        assert index.memory_bytes <= 2000 * bytes_per_row(kind, 32) + 4 * 32 * 51


def test_every_name_of_the_configuration_is_a_form():
    assert {*EXACT, *LISTS, "auto"} == set(get_args(Kind))
    assert set(get_args(Memory.model_fields["index"].annotation)) == set(get_args(Kind))


def test_without_faiss_torch_answers(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "faiss", None)
    index = Index(torch.eye(3), "sq8")
    assert (index.kind, index.reason) == ("torch", "faiss is not installed")
    assert index.search(torch.eye(3), 1)[1].flatten().tolist() == [0, 1, 2]
