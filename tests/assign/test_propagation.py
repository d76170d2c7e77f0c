"""Labels over a graph, against dense linear algebra in float64."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from contsemi.assign.propagation import certainty, propagated


def graph(count, neighbours, seed):
    draw = torch.Generator().manual_seed(seed)
    rows = torch.nn.functional.normalize(torch.randn(count, 5, generator=draw).double(), dim=1)
    cosines = rows @ rows.T
    values, places = cosines.topk(min(neighbours, count), dim=1)
    labels = torch.zeros(count, 3, dtype=torch.float64)
    for row in range(3):
        labels[row, row] = 1
    return labels, places, values


def dense(labels, places, values, alpha, power):
    """The closed form, entry by entry."""
    count = len(labels)
    weight = np.zeros((count, count))
    for i in range(count):
        for j, value in zip(places[i].tolist(), values[i].tolist(), strict=True):
            if j not in (i, -1):
                weight[i, j] = max(value, 0) ** power
    weight = weight + weight.T
    root = np.array([1 / np.sqrt(d) if d > 0 else 0.0 for d in weight.sum(1)])
    spread = root[:, None] * weight * root
    found = np.linalg.solve(np.eye(count) - alpha * spread, labels.numpy())
    found = found.clip(0) / found.clip(0).sum(0)
    total = found.sum(1, keepdims=True)
    return np.where(total > 0, found / np.where(total > 0, total, 1), 1 / labels.shape[1])


@given(
    count=st.integers(4, 25),
    neighbours=st.integers(1, 8),
    alpha=st.sampled_from([0.0, 0.5, 0.9]),
    seed=st.integers(0, 50),
)
def test_it_is_the_closed_form(count, neighbours, alpha, seed):
    labels, places, values = graph(count, neighbours, seed)
    found = propagated(labels, places, values, alpha=alpha, rounds=60)
    np.testing.assert_allclose(found, dense(labels, places, values, alpha, 3), atol=1e-6)
    assert torch.allclose(found.sum(1), torch.ones(count, dtype=torch.float64))


def test_two_clouds_take_the_label_of_their_own():
    draw = torch.Generator().manual_seed(0)
    cloud = torch.randn(40, 4, generator=draw) * 0.1
    cloud[:20, 0] += 1
    cloud[20:, 1] += 1
    rows = torch.nn.functional.normalize(cloud, dim=1)
    values, places = (rows @ rows.T).topk(6, dim=1)
    labels = torch.zeros(40, 2)
    labels[0, 0] = labels[39, 1] = 1
    found = propagated(labels, places, values, alpha=0.99)
    assert (found[:20, 0] > 0.9).all() and (found[20:, 1] > 0.9).all()


def test_a_row_that_no_label_reaches_is_spread_evenly():
    labels = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]])
    places, cosines = torch.tensor([[1], [0], [-1]]), torch.tensor([[0.5], [0.5], [0.0]])
    found = propagated(labels, places, cosines, alpha=0.9)
    assert found[2].tolist() == [0.5, 0.5] and found[0, 0] > 0.5


@pytest.mark.parametrize("classes", [2, 5])
def test_certainty_is_one_less_the_entropy_s_share(classes):
    probs = torch.randn(7, classes).double().softmax(1)
    entropy = -(probs * probs.log()).sum(1)
    torch.testing.assert_close(certainty(probs), 1 - entropy / np.log(classes))
    assert certainty(torch.ones(2, 1)).tolist() == [1, 1]
