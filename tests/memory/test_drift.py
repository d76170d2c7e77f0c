"""Drift maps against NumPy, and how well old classes are still found on synthetic drift."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from contsemi.compose import parts
from contsemi.memory.drift.drift import Drift
from contsemi.memory.drift.still_found import still_found

KINDS = ["none", "translation", "linear", "mlp"]


def fit_drift(kind, old, new, **options):
    return Drift.named(parts.defaults("memory.drift", kind)).fit(old, new, **options)


def draw(seed=0):
    return torch.Generator().manual_seed(seed)


def unit(x):
    return functional.normalize(x, dim=1)


def unit_rows(count, seed, width=6):
    return unit(torch.randn(count, width, generator=draw(seed)))


def rotation(width, seed=4):
    return torch.linalg.qr(torch.randn(width, width, generator=draw(seed))).Q


def test_linear_recovers_a_turn_and_weighs_the_images():
    """Two kinds of images that moved in two ways: the map is that of those that weigh."""
    old, rows = unit_rows(400, 3), unit_rows(50, 5)
    turns = rotation(6, 4), rotation(6, 9)
    new = torch.cat([old[:200] @ turns[0], old[200:] @ turns[1]])
    for place, turn in enumerate(turns):
        weights = torch.full((400,), 1e-9)
        weights[200 * place : 200 * place + 200] = 1.0
        found = fit_drift("linear", old, new, weights=weights, draw=draw())(rows)
        assert ((found * (rows @ turn)).sum(1) > 0.99).all()


@pytest.mark.parametrize("kind", ["translation", "mlp"])
def test_other_maps_weigh_the_images_too(kind):
    old = unit_rows(60, 1)
    new, weights = torch.cat([old[:30], -old[30:]]), torch.ones(60)
    weights[30:] = 1e-9
    found = fit_drift(kind, old, new, weights=weights, draw=draw())(old[:30])
    assert ((found * old[:30]).sum(1) > 0.9).all()


def test_translation_is_the_weighted_displacement_of_images_near_by():
    old, new, rows = unit_rows(50, 1), unit_rows(50, 2), unit_rows(7, 3)
    found = fit_drift("translation", old, new, draw=draw())(rows)
    distance = ((rows[:, None] - old[None]) ** 2).sum(2).double().numpy()
    weight = np.exp(-distance / (2 * 0.2**2))
    moved = rows.numpy() + weight @ (new - old).double().numpy() / weight.sum(1, keepdims=True)
    expected = moved / np.linalg.norm(moved, axis=1, keepdims=True)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_with_neighbours_only_the_nearest_images_move_a_row():
    old, new, rows = unit_rows(50, 1), unit_rows(50, 2), unit_rows(7, 3)
    options = parts.defaults("memory.drift", "translation") | {"neighbours": 4}
    found = Drift.named(options).fit(old, new, draw=draw())(rows)
    for row, said in zip(rows, found, strict=True):
        near = (old @ row).argsort(descending=True)[:4]
        weight = torch.exp((old[near] @ row).double() / 0.2**2)
        moved = row + (weight[:, None] * (new - old)[near]).sum(0) / weight.sum()
        np.testing.assert_allclose(said, functional.normalize(moved, dim=0), atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_without_drift_rows_stay(kind):
    old, rows = unit_rows(300, 1), unit_rows(9, 2)
    found = fit_drift(kind, old, old, draw=draw())(rows)
    assert ((found * rows).sum(1) > 0.99).all()


@pytest.mark.parametrize("kind", KINDS)
def test_same_draw_same_map_unit_rows_no_graph_and_no_image_no_map(kind):
    old, new, rows = unit_rows(40, 1), unit_rows(40, 2), unit_rows(9, 3).requires_grad_()
    found, again = (fit_drift(kind, old, new, draw=draw())(rows) for _ in range(2))
    assert torch.equal(found, again) and not found.requires_grad
    torch.testing.assert_close(found.norm(dim=1), torch.ones(9))
    torch.testing.assert_close(fit_drift(kind, old[:0], new[:0], draw=draw())(rows), rows.detach())
    assert fit_drift(kind, old, new, draw=draw())(rows[:0]).shape == (0, 6)


def drifted(bend, seed=0, width=16, classes=8):
    """Old and new classes in an old space and in a new one, turned and bent.

    Returns:
        rows and labels of old classes, queries of old classes in the new space with their columns,
        and images of new classes in both spaces.
    """
    generator = draw(seed)
    centres = torch.randn(2 * classes, width, generator=generator)
    turn = torch.linalg.matrix_exp(
        0.35 * torch.triu(torch.randn(width, width, generator=generator), 1)
        - 0.35 * torch.triu(torch.randn(width, width, generator=generator), 1).T
    )
    turn = torch.linalg.qr(turn).Q
    inner = torch.randn(width, width, generator=generator)

    def sample(columns):
        noise = 0.6 * torch.randn(len(columns), width, generator=generator)
        return unit(centres[columns] + noise)

    def move(x):
        return unit(x @ turn + bend * torch.tanh(2 * x @ inner))

    columns = torch.arange(classes).repeat(30)
    stored, asked = sample(columns), move(sample(columns))
    seen = sample(torch.arange(classes, 2 * classes).repeat(60))
    return stored, torch.eye(classes)[columns], asked, columns, seen, move(seen)


def found_by(kind, bend):
    shares = []
    for seed in range(3):
        rows, labels, asked, columns, before, after = drifted(bend, seed)
        carry = fit_drift(kind, before, after, draw=draw())
        shares.append(still_found(carry(rows), labels, asked, columns))
    return float(np.mean(shares))


def test_old_classes_are_found_again_after_a_turn():
    share = {kind: found_by(kind, bend=0.0) for kind in KINDS}
    assert share["linear"] > share["translation"] > share["none"]
    assert share["linear"] > share["none"] + 0.2 and share["mlp"] > share["none"] + 0.2


def test_old_classes_are_found_again_after_a_turn_that_bends():
    share = {kind: found_by(kind, bend=0.3) for kind in KINDS}
    assert min(share["linear"], share["mlp"], share["translation"]) > share["none"]


def test_still_found_counts_the_votes():
    rows, labels = torch.eye(3), torch.eye(3)
    queries = unit(torch.tensor([[1.0, 0.1, 0], [0, 1, 0.2], [0, 0.9, 1]]))
    assert still_found(rows, labels, queries, torch.tensor([0, 1, 1])) == pytest.approx(2 / 3)
