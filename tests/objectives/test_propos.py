"""ProPos against the official code, and BYOL as its limit."""

import math

import numpy as np
import pytest
import torch
from replayed import settings
from torch import nn
from torch.nn import functional

from contsemi.losses.regression import swapped_regression
from contsemi.objectives.propos import Propos
from contsemi.types import Head

OPTIONS = {
    "predictor": [8],
    "version": "v2",
    "noise": 0.0,
    "noise_in": "own",
    "temperature": 0.5,
    "empty": -10.0,
    "clusters": 1.0,
    "iterations": 20,
    "warmup": 0,
    "queue": 0,
    "teacher": [0.996, 0.996],
    "smoothing": 0.0,
    "labelled_views": 2,
}


def made(**options):
    """The objective, with the predictor that it gets when a network is built."""
    objective = Propos(**options)
    (head,) = (head for head in objective.needs.heads if isinstance(head, Head))
    torch.manual_seed(0)
    assert isinstance(head.build(5, torch.Generator()), nn.Identity)
    return objective


def clustered(objective, cluster, clusters, *, num_seen=4):
    """Images 0, 1, ... in these of so many free clusters."""
    objective.found.num_seen = num_seen
    objective.found.table = num_seen + torch.as_tensor(cluster)[None]
    objective.found.known = torch.arange(num_seen + clusters) >= num_seen
    return objective


@pytest.mark.parametrize("setting", settings("propos"))
def test_it_equals_the_official_code(setting, arrays, seen, step_of):
    at = arrays("propos", setting)
    views = [torch.from_numpy(at[f"view{v}"]).requires_grad_() for v in (1, 2)]
    options = {"version": "v1", "temperature": float(at["temperature"])}
    objective = clustered(made(**OPTIONS | options), at["cluster_of"], int(at["clusters"]))
    objective.predict_other = nn.Identity()
    rows = torch.cat(views)
    step = step_of({"large": seen(rows, rows, number=2)}, len(views[0]))
    terms = objective.terms(step)
    np.testing.assert_allclose(terms["alignment"].item(), at["alignment_loss"], rtol=1e-5)
    np.testing.assert_allclose(terms["scattering"].item(), at["scattering_loss"], rtol=1e-5)
    (terms["alignment"] + 0.1 * terms["scattering"]).backward()
    for v, view in enumerate(views, 1):
        np.testing.assert_allclose(view.grad, at[f"grad_view{v}"], atol=1e-6)


@pytest.fixture
def step(seen, step_of, random):
    def make(unlabelled=6, labels=(), seed=0, **given):
        views = {}
        for i, (name, rows) in enumerate((("large", unlabelled), ("labelled", len(labels)))):
            if rows:
                pair = (random(2 * rows, 5, seed=10 * seed + i + k) for k in (0, 5))
                views[name] = seen(*pair, number=2)
        return step_of(views, unlabelled, labels, **given)

    return make


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_without_noise_the_alignment_is_byols(step, version):
    objective, one = made(**OPTIONS | {"version": version}), step()
    loss = objective.terms(one)["alignment"]
    predictions = objective.predict_other(one.student("large")["projector"])
    targets = functional.normalize(one.teacher("large")["projector"], dim=1)
    expected = swapped_regression(predictions, targets, batch_size=6)
    torch.testing.assert_close(loss, expected - (2 if version == "v1" else 0))


def test_noise_is_of_the_right_size_and_place(step):
    one, noise = step(), 0.1
    draw = one.draw("propos noise")
    drawn = noise * torch.randn(2, 6, 5, generator=draw).flatten(0, 1)
    own, slow = one.student("large")["projector"], one.teacher("large")["projector"]
    for noise_in, z, u in (("own", own + drawn, slow), ("other", own, slow + drawn)):
        objective = made(**OPTIONS | {"noise": noise, "noise_in": noise_in})
        objective.predict_other = nn.Identity()
        loss = objective.terms(one)["alignment"]
        expected = swapped_regression(z, functional.normalize(u, dim=1), batch_size=6)
        torch.testing.assert_close(loss, expected)


def test_the_first_epochs_are_byol_alone(step):
    objective = made(**OPTIONS | {"warmup": 2, "noise": 0.5})
    clustered(objective, torch.arange(6) % 2, 2)
    quiet = made(**OPTIONS)
    terms = objective.terms(step(epoch=1))
    assert "scattering" not in terms
    assert torch.equal(terms["alignment"], quiet.terms(step())["alignment"])
    assert "scattering" in objective.terms(step(epoch=2))


def test_two_orthogonal_clusters_and_one(seen, step_of):
    rows = torch.eye(5)[:2].repeat(2, 1)
    one = step_of({"large": seen(rows, rows, number=2)}, 2)
    for empty, cluster, expected in (
        (-math.inf, [0, 1], math.log(1 + math.exp(-2))),
        (-math.inf, [0, 0], 0.0),
        (-10.0, [0, 1], math.log(math.exp(2) + 1 + math.exp(-10)) - 2),  # a third one is empty
    ):
        objective = clustered(made(**OPTIONS | {"empty": empty}), cluster, 3)
        loss = objective.terms(one)["scattering"]
        assert loss.item() == pytest.approx(expected, abs=1e-6)


def test_labelled_images_are_in_the_cluster_of_their_class(step):
    """An image without a label that is in the cluster of a class shares its centre."""
    objective = made(**OPTIONS | {"empty": -math.inf})
    clustered(objective, torch.tensor([-3, -3, 0]), 1)  # 4 - 3: class 1
    one = step(3, [1, 2])
    found = objective.found(torch.tensor([0, 1, 2, -1, -1]), torch.tensor([-1, -1, -1, 1, 2]))
    assert found.tolist() == [[1, 1, 4, 1, 2]]
    assert objective.terms(one)["scattering"] > 0


def test_images_in_no_cluster_have_nothing_to_scatter(step):
    objective = made(**OPTIONS)
    assert objective.terms(step())["scattering"] == 0


def test_queued_targets_count_in_the_centres(step):
    options = {"queue": 8, "empty": -math.inf}
    objective = clustered(made(**OPTIONS | options), torch.arange(12) % 3, 3)
    first = step(4, ids=torch.arange(4), places=torch.arange(4))
    objective.terms(first)
    objective.after_step()
    second = step(4, seed=1, ids=4 + torch.arange(4), places=4 + torch.arange(4))
    loss = objective.terms(second)["scattering"]
    unit = functional.normalize
    stored = unit(first.teacher("large")["projector"][4:], dim=1)
    cluster = torch.cat([4 + torch.arange(4), torch.arange(4)]) % 3

    def centre(rows):
        rows = torch.cat([unit(rows, dim=1), stored])
        return unit(torch.stack([rows[cluster == c].mean(0) for c in range(3)]), dim=1)

    z, u = second.student("large")["projector"], second.teacher("large")["projector"]
    losses = []
    for own, other in ((z[:4], u[4:]), (z[4:], u[:4])):
        a, b = centre(own), centre(other)
        logits = (a @ a.T / 0.5).diagonal_scatter((a * b).sum(1) / 0.5)
        losses.append(functional.cross_entropy(logits, torch.arange(3)))
    torch.testing.assert_close(loss, torch.stack(losses).mean())
