"""Rows in codes of a few bytes: what they are decoded to, found by, and count for."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_digits
from torch.nn import functional

from contsemi.memory.codes import CodedIndex, Codes, coded_bytes
from contsemi.memory.embeddings import Embeddings


def clustered(count, width, seed=0, groups=40, spread=0.25):
    """Unit rows around some directions, as embeddings of classes are."""
    draw = torch.Generator().manual_seed(seed)
    centres = torch.randn(groups, width, generator=draw)
    own = centres[torch.randint(groups, (count,), generator=draw)]
    return functional.normalize(own + spread * torch.randn(count, width, generator=draw), dim=1)


def by_hand(codes, place):
    """What a row is decoded to, number by number."""
    row = []
    for span, centroids in enumerate(codes.centroids.numpy().astype(np.float32)):
        byte = int(codes.packed[place, span // 2])
        row += list(centroids[byte & 15 if span % 2 == 0 else byte >> 4])
    row = np.array(row[: codes.width])
    return row / np.linalg.norm(row)


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 40), st.sampled_from([1, 3, 7, 16, 20]), st.integers(1, 8))
def test_each_span_is_its_nearest_centroid(count, width, size):
    rows = clustered(count, width, seed=width)
    codes = Codes.of(rows, size)
    shared, each = coded_bytes(width, size)
    assert each <= size and codes.nbytes == shared + each * count
    found = codes.all()
    assert found.shape == rows.shape and torch.equal(codes[torch.tensor([0, 0])], found[[0, 0]])
    for place in range(count):
        np.testing.assert_allclose(found[place], by_hand(codes, place), rtol=1e-5, atol=1e-6)
    numbers = codes.centroids.shape[2]
    padded = np.pad(rows.numpy(), [(0, 0), (0, len(codes.centroids) * numbers - width)])
    for span, centroids in enumerate(codes.centroids.float().numpy()):
        part = padded[:, span * numbers : (span + 1) * numbers]
        distance = ((part[:, None] - centroids) ** 2).sum(2)
        packed = codes.packed[:, span // 2].numpy()
        own = packed & 15 if span % 2 == 0 else packed >> 4
        chosen = distance[np.arange(count), own]
        np.testing.assert_allclose(chosen, distance.min(1), atol=1e-5)


def test_sixteen_different_rows_are_kept_as_they_are():
    """Each is a centroid of every span, but for the rounding to half precision."""
    rows = clustered(16, 12, groups=16)
    torch.testing.assert_close(Codes.of(rows, 6).all(), rows, atol=2e-3, rtol=0)


def test_the_search_is_that_of_what_is_decoded():
    rows, queries = clustered(3000, 32), clustered(9, 32, seed=1)
    codes = Codes.of(rows, 16)
    scores, places = CodedIndex(codes).search(queries, 20)
    plain = queries.numpy() @ codes.all().numpy().T
    order = np.argsort(-plain, axis=1, kind="stable")[:, :20]
    np.testing.assert_allclose(scores, np.take_along_axis(plain, order, 1), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(
        np.take_along_axis(plain, places.numpy(), 1), scores, rtol=1e-5, atol=1e-6
    )
    assert CodedIndex(codes).memory_bytes == 0
    few = Codes.of(rows[:3], 16).search(queries, 20)[1]
    assert few.shape == (9, 3)


@pytest.mark.parametrize(("size", "least"), [(8, 0.7), (16, 0.8), (32, 0.9)])
def test_most_of_the_nearest_are_found(size, least):
    """Digits as 64 numbers: recall of the ten nearest of 1,597 against exact search, and classes.

    Measured: .79, .85 and .95, where chance is .006; of the neighbours 90 % are of the query's
    class, found by codes or exactly.
    """
    digits = load_digits()
    pixels = torch.from_numpy(digits.data).float()
    rows = functional.normalize(pixels - pixels.mean(0), dim=1)
    labels = torch.from_numpy(digits.target)
    queries, stored = rows[:200], rows[200:]
    exact = (queries @ stored.T).topk(10, dim=1).indices
    found = Codes.of(stored, size).search(queries, 10)[1]
    recall = (exact[:, :, None] == found[:, None]).any(2).float().mean()
    assert recall > least
    right = [(labels[200:][near] == labels[:200, None]).float().mean() for near in (exact, found)]
    assert abs(right[0] - right[1]) < 0.02


def test_the_same_rows_have_the_same_codes():
    rows = clustered(300, 24)
    one, other = Codes.of(rows, 8), Codes.of(rows.clone(), 8)
    assert torch.equal(one.packed, other.packed) and torch.equal(one.centroids, other.centroids)


def filled(limit=None, budget=10_000, index="pq", width=128, **more):
    memory = Embeddings(budget, index, labels=1, **{"code_bytes": 16} | more)
    probs = torch.eye(20)[torch.arange(3000) % 20]
    memory.add(clustered(3000, width), probs, torch.arange(3000), 0, limit=limit)
    return memory


def test_thousands_fit_where_two_hundred_did():
    """In the bytes of 200 rows of half precision, codebooks and labels and ids counted."""
    plain = Embeddings(200)
    plain.add(clustered(200, 128), torch.eye(20)[torch.arange(200) % 20], torch.arange(200), 0)
    memory = filled(limit=plain.memory_bytes)
    assert plain.memory_bytes == 200 * 312
    assert len(memory) > 2000 and memory.memory_bytes <= plain.memory_bytes
    held = sum(tensor.nbytes for tensor in memory.state().values())
    assert memory.memory_bytes <= held <= memory.memory_bytes + 64
    assert memory.index_bytes == 0 and memory.reason.startswith("pq: 16 bytes a row")


def test_codes_live_through_tasks_and_states():
    memory = filled(budget=600, width=32)
    rows = memory.rows.float()
    turned = torch.linalg.qr(torch.randn(32, 32, generator=torch.Generator().manual_seed(3)))[0]
    memory.carry(lambda each: each @ turned)
    torch.testing.assert_close(memory.rows.float(), rows @ turned, atol=2e-3, rtol=0)
    exact = clustered(5, 32, seed=8)
    memory.renew(memory.ids[:5].long(), exact)
    torch.testing.assert_close(memory.rows[:5].float(), exact, atol=1e-3, rtol=0)
    probs = functional.one_hot(torch.arange(300) % 4 + 20, 24).float()
    memory.add(clustered(300, 32, seed=4), probs, 5000 + torch.arange(300), 1)
    assert len(memory) == 600 and set(memory.tasks.tolist()) == {0, 1}
    kept = (memory.rows.float() * rows.new_tensor(1)).norm(dim=1)
    torch.testing.assert_close(kept, torch.ones_like(kept), atol=2e-3, rtol=0)
    again = Embeddings(600, "pq", code_bytes=16, labels=1)
    again.load(memory.state())
    assert torch.equal(again.rows, memory.rows) and torch.equal(again.ids, memory.ids)
    assert again.memory_bytes == memory.memory_bytes
    queries = clustered(7, 32, seed=9)
    for one, other in zip(
        again.view().search(queries, 5), memory.view().search(queries, 5), strict=True
    ):
        assert torch.equal(one, other)


def test_a_vote_of_the_whole_memory_counts_what_it_decodes():
    memory = filled(budget=300)
    view = memory.view()
    assert memory.index_bytes == 0
    log_votes, _ = view.votes(clustered(4, 128, seed=2), 0.1)
    assert log_votes.shape == (4, 20) and memory.index_bytes == 300 * 128 * 2


def test_other_forms_and_no_code_bytes_keep_half_precision():
    for index, more in (("torch", {}), ("pq", {"code_bytes": None})):
        memory = filled(budget=100, index=index, **more)
        assert memory.rows.dtype == torch.float16 and memory.memory_bytes == 100 * (256 + 6 + 16)
