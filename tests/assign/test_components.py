"""Components against hand examples, WCL's official masks and a walk in Python."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from contsemi.assign.components import _squared, components, nearest_others

WCL = np.load(
    Path(__file__).parents[1] / "reference" / "objectives" / "wcl.npz", allow_pickle=False
)


def mask(numbers):
    return numbers[:, None] == numbers


@pytest.mark.parametrize("setting", ["0", "1"])
@pytest.mark.parametrize("view", ["1", "2"])
def test_the_masks_equal_the_official_code(setting, view):
    rows = torch.from_numpy(WCL[f"{setting}_head2_view{view}"])
    found = mask(components(nearest_others(rows)))
    assert np.array_equal(found, WCL[f"{setting}_weak_mask_view{view}"])


def test_hand_example():
    found = mask(components(torch.tensor([1, 0, 3, 2, 3])))
    expected = torch.block_diag(torch.ones(2, 2), torch.ones(3, 3)).bool()
    assert torch.equal(found, expected)


def test_two_pairs_far_apart_are_two_components():
    rows = torch.tensor([[1.0, 0], [0, 1], [2, 0.01], [0.01, 3]])
    assert nearest_others(rows).tolist() == [2, 3, 0, 1]
    assert torch.equal(mask(components(nearest_others(rows))), torch.eye(2).repeat(2, 2).bool())


def test_a_chain_of_any_length_is_one_component_on_a_gpu():
    for size in (2, 3, 64, 65, 700):
        assert _squared(torch.arange(size).add(1).clamp(max=size - 1), None).tolist() == [0] * size


def test_one_row_is_its_own_component():
    assert components(nearest_others(torch.ones(1, 3))).tolist() == [0]


@settings(max_examples=80, deadline=None)
@given(data=st.data(), size=st.integers(1, 12))
def test_any_graph_equals_a_walk(data, size):
    numbers = st.integers(0, size - 1)
    neighbours = data.draw(st.lists(numbers, min_size=size, max_size=size))
    labels = data.draw(st.lists(st.integers(-1, 2), min_size=size, max_size=size))
    found = components(torch.tensor(neighbours), torch.tensor(labels))
    edges = {(i, j) for i, j in enumerate(neighbours)}
    edges |= {
        (i, j)
        for i in range(size)
        for j in range(size)
        if labels[i] == labels[j] and labels[i] >= 0
    }
    for i in range(size):
        reached, ahead = set(), {i}
        while ahead:
            reached |= ahead
            ahead = {b for a, b in edges if a in reached} | {a for a, b in edges if b in reached}
            ahead -= reached
        assert {j for j in range(size) if found[j] == found[i]} == reached
    assert torch.equal(found, components(torch.tensor(neighbours), torch.tensor(labels)))
    on_a_gpu = _squared(torch.tensor(neighbours), torch.tensor(labels))
    assert torch.equal(mask(on_a_gpu), mask(found))
    if max(labels) < 0:
        assert torch.equal(found, components(torch.tensor(neighbours)))
