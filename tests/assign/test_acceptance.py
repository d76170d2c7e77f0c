"""IFND's acceptance: as many as asked for, and the surest."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from contsemi.assign.acceptance import accepted, cluster_confidence, confidence_ranks


@given(st.lists(st.floats(0, 1), max_size=40), st.floats(0, 1))
def test_as_many_as_asked_for_and_the_surest(confidence, rate):
    confidence = torch.tensor(confidence)
    found = accepted(confidence_ranks(confidence), rate, len(confidence))
    assert found.sum() == round(rate * len(confidence))
    if found.any() and not found.all():
        assert confidence[found].min() >= confidence[~found].max()


def test_of_equal_ones_the_first():
    ranks = confidence_ranks(torch.ones(4))
    assert accepted(ranks, 0.5, 4).tolist() == [True, True, False, False]


def test_confidence_by_hand():
    """Cosines 1 and 0 at temperature 1: e / (e + 1)."""
    rows, centroids = torch.eye(2), 7 * torch.eye(2)
    found = cluster_confidence(rows, centroids, torch.tensor([0, 0]), temperature=1.0)
    e = torch.tensor(1.0).exp()
    torch.testing.assert_close(found, torch.stack([e / (e + 1), 1 / (e + 1)]))


@pytest.mark.parametrize("number", [0, 3])
def test_of_one_cluster_every_row_is_sure(number):
    found = cluster_confidence(
        torch.ones(number, 2), torch.ones(1, 2), torch.zeros(number).long(), temperature=0.2
    )
    assert torch.equal(found, torch.ones(number))
