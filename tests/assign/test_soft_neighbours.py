"""ASCL's relations in their limits; the numbers are replayed through the objective."""

import pytest
import torch

from contsemi.assign.soft_neighbours import soft_neighbours

VARIANTS = ("soft", "confident", "hard")


@pytest.fixture
def scores():
    return torch.rand(5, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1


def relation(scores, **changes):
    options = {"temperature": 0.05, "neighbours": 2, "variant": "soft"} | changes
    return soft_neighbours(scores, **options)


def test_an_even_teacher_has_no_confidence(scores):
    for variant in ("soft", "confident"):
        found = relation(scores, temperature=1e6, variant=variant)
        torch.testing.assert_close(found, torch.zeros_like(found), atol=1e-5, rtol=0)


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_sure_teacher_relates_the_nearest_row_alone(scores, variant):
    found = relation(scores, temperature=1e-4, neighbours=1, variant=variant)
    nearest = torch.nn.functional.one_hot(scores.argmax(dim=1), 8).float()
    torch.testing.assert_close(found, nearest, atol=1e-4, rtol=0)


@pytest.mark.parametrize("variant", VARIANTS)
def test_no_neighbours_relate_nothing(scores, variant):
    assert not relation(scores, neighbours=0, variant=variant).any()


def test_by_hand():
    """p = (2/3, 1/3): H = log 3 - 2/3 log 2, and K = 2."""
    scores = torch.tensor([[2.0, 1.0]]).log()
    sure = 1 - (torch.tensor(3.0).log() - 2 / 3 * torch.tensor(2.0).log()) / torch.tensor(2.0).log()
    options = {"temperature": 1.0, "neighbours": 1}
    torch.testing.assert_close(relation(scores, **options), sure * torch.tensor([[2 / 3, 1 / 3]]))
    confident = relation(scores, variant="confident", **options)
    torch.testing.assert_close(confident, sure * torch.tensor([[1.0, 0.0]]))
    assert relation(scores, temperature=1.0, neighbours=100).max() == 1


@pytest.mark.parametrize("variant", VARIANTS)
def test_rows_that_are_not_there_change_nothing(scores, variant):
    wide = torch.cat([scores, torch.ones(5, 3)], dim=1)
    allow = torch.arange(11) < 8
    found = relation(wide, variant=variant, allow=allow)
    torch.testing.assert_close(found[:, :8], relation(scores, variant=variant))
    assert not found[:, 8:].any()
    barred = torch.cat([scores, torch.full((5, 3), -torch.inf)], dim=1)
    assert torch.equal(relation(barred, variant=variant), found)


@pytest.mark.parametrize("variant", VARIANTS)
def test_one_row_or_none_tells_nothing(variant):
    one = relation(torch.ones(3, 1), variant=variant)
    assert torch.equal(one, torch.full((3, 1), float(variant == "hard")))
    assert relation(torch.ones(3, 0), variant=variant).shape == (3, 0)
    barred = relation(torch.ones(3, 2), variant=variant, allow=torch.zeros(2, dtype=torch.bool))
    assert torch.equal(barred, torch.zeros(3, 2))
