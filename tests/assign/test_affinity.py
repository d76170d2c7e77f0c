"""PromptCAL's graph, against the official arrays and a graph that is counted by hand."""

from pathlib import Path

import pytest
import torch

from contsemi.assign import affinity
from contsemi.assign.affinity import (
    affinity_graph,
    affinity_relation,
    consensus,
    diffused,
    neighbour_index,
    sampled_negatives,
)

FOLDER = Path(__file__).parents[1] / "reference" / "parts"
GRAPHS = sorted(FOLDER.glob("promptcal_graph_*.npz"))


@pytest.fixture(params=GRAPHS, ids=lambda path: path.stem)
def arrays(request, official):
    data = official.load(request.param)
    half = int(data["batch"])
    swapped = torch.cat([data["teacher"][half:], data["teacher"][:half]])
    return data | {"rows": torch.cat([swapped, data["bank"]])}


def test_neighbours_and_their_consensus(arrays, official):
    index = neighbour_index(arrays["rows"], int(arrays["k"]))
    assert torch.equal(index, arrays["knn_index"])
    graph = consensus(index, arrays["rows"].dtype)
    assert torch.equal(graph, arrays["consensus"])
    official.close(diffused(graph, int(arrays["diffusion_steps"])), arrays["diffused"])


def test_the_sparse_graph_is_the_official_one(arrays):
    found = affinity_graph(
        arrays["rows"],
        queries=2 * int(arrays["batch"]),
        neighbours=int(arrays["k"]),
        quantile=float(arrays["quantile"]),
        steps=int(arrays["diffusion_steps"]),
    )
    assert torch.equal(found, arrays["affinity_graph"].bool())


def test_the_dense_graph_of_accelerators_is_the_official_one(arrays):
    queries = 2 * int(arrays["batch"])
    index = neighbour_index(arrays["rows"], int(arrays["k"]))
    steps = int(arrays["diffusion_steps"])
    found = diffused(consensus(index, arrays["rows"].dtype), steps)
    threshold = affinity._threshold(found, float(arrays["quantile"]))
    torch.testing.assert_close(threshold, arrays["threshold"], rtol=1e-6, atol=1e-9)
    assert torch.equal(found[:queries, queries:] > threshold, arrays["affinity_graph"].bool())


def test_labels_overrule_the_graph(arrays):
    of_rows = torch.where(arrays["labelled"].bool(), arrays["labels"], -1).repeat(2)
    of_bank = torch.where(arrays["bank_labelled"].bool(), arrays["bank_labels"], -1)
    graph, drawn = arrays["affinity_graph"].bool(), arrays["negatives_sampled"].bool()
    positives, negatives = affinity_relation(graph, drawn, of_rows, of_bank)
    assert torch.equal(positives, arrays["affinity"].bool())
    assert torch.equal(negatives, arrays["negative"].bool())


def test_as_many_negatives_are_drawn_as_officially(arrays):
    graph = arrays["affinity_graph"].bool()
    drawn = sampled_negatives(graph, int(arrays["negatives"]), torch.Generator().manual_seed(1))
    assert torch.equal(drawn.sum(1), arrays["negatives_sampled"].sum(1))
    assert not (drawn & graph).any()


def test_a_row_with_more_positives_than_rows_asked_for_gets_no_negative():
    positives = torch.tensor([[True, True, True, False]])
    assert not sampled_negatives(positives, 2, torch.Generator()).any()


def test_every_negative_is_as_likely():
    positives = torch.zeros(4000, 4, dtype=torch.bool)
    positives[:, 0] = True
    drawn = sampled_negatives(positives, 2, torch.Generator().manual_seed(0)).double().mean(0)
    torch.testing.assert_close(drawn[1:], torch.full((3,), 1 / 3).double(), rtol=0, atol=0.03)


def test_hidden_labels_change_nothing():
    graph = torch.rand(5, 7, generator=torch.Generator().manual_seed(3)) < 0.4
    hidden, other = torch.full((5,), -1), torch.arange(7)
    positives, _ = affinity_relation(graph, ~graph, hidden, other)
    assert torch.equal(positives, graph)


@pytest.mark.parametrize("rows", [2, 3, 12])
def test_a_graph_of_few_or_equal_rows_is_finite(rows):
    found = affinity_graph(torch.ones(rows, 3), queries=1, neighbours=4, quantile=0.5)
    assert found.shape == (1, rows - 1)
