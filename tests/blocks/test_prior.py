"""Uneven classes: the shares that clustering and votes aim at."""

import pytest
import torch

from contsemi.assign.mira import mira
from contsemi.assign.sinkhorn import sinkhorn
from contsemi.blocks.prior import Prior
from contsemi.learner.learner import Learner
from contsemi.learner.loop import fit
from contsemi.losses.paws import mean_entropy_maximisation, sharpen
from contsemi.types import Experience

SHARES = torch.tensor([0.7, 0.2, 0.1])


def scores(count=500):
    return torch.randn(count, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def experience(labels, pool=()):
    labels = torch.tensor(labels, dtype=torch.int64)
    return Experience(
        0, (0, 1, 2), 0, 3, torch.arange(len(labels)), labels, torch.arange(9), pool_columns=pool
    )


def test_sinkhorn_uses_the_classes_by_the_prior():
    made = sinkhorn(scores(), epsilon=0.5, iterations=200, prior=SHARES)
    torch.testing.assert_close(made.mean(0), SHARES.double(), atol=1e-6, rtol=0)


@pytest.mark.parametrize("assign", ["sinkhorn", "mira", "me_max"])
def test_an_even_prior_is_none(assign):
    rows, even = scores(), torch.full((3,), 1 / 3)

    def made(prior):
        if assign == "sinkhorn":
            return sinkhorn(rows, epsilon=0.5, iterations=3, prior=prior)
        if assign == "mira":
            return mira(rows, temperature=1.0, beta=0.6, iterations=30, prior=prior)
        return mean_entropy_maximisation(rows.log_softmax(1), sharpening=0.25, prior=prior)

    torch.testing.assert_close(made(even.double()), made(None))


def test_mira_with_a_prior_is_the_minimum_of_its_definition():
    rows, beta = scores(40), 0.6
    log_p = rows.log_softmax(1)

    def value(w):
        m = w.mean(0)
        divergence = (w * (w.log() - log_p)).sum(1).mean()
        own = -(w * w.log()).sum(1).mean()
        return divergence - beta * (-(m * (m / SHARES).log()).sum() - own)

    found = mira(rows, temperature=1.0, beta=beta, iterations=500, prior=SHARES)
    logits = found.log().clone().requires_grad_()
    (gradient,) = torch.autograd.grad(value(logits.softmax(1)), logits)
    assert gradient.abs().max() < 1e-7


def test_me_max_is_least_where_the_mean_is_the_prior():
    logits = SHARES.double().log().mul(0.25).repeat(8, 1).requires_grad_()
    loss = mean_entropy_maximisation(logits.log_softmax(1), sharpening=0.25, prior=SHARES)
    (gradient,) = torch.autograd.grad(loss, logits)
    assert gradient.abs().max() < 1e-7
    torch.testing.assert_close(sharpen(logits, sharpening=0.25).exp()[0], SHARES.double())


def test_labels_say_how_much_and_a_class_without_one_is_average():
    prior, rows = Prior("labels"), torch.zeros(4, 3)
    prior.begin(experience([0] * 6 + [2] * 2))
    torch.testing.assert_close(prior(torch.arange(3), rows), torch.tensor([6.0, 4.0, 2.0]) / 12)
    torch.testing.assert_close(prior(torch.tensor([0, 2]), rows[:, :2]), torch.tensor([0.75, 0.25]))
    prior.begin(experience([]))
    torch.testing.assert_close(prior(torch.arange(3), rows), torch.full((3,), 1 / 3))
    assert Prior("even")(torch.arange(3), rows) is None


def test_the_estimate_follows_what_is_predicted():
    prior = Prior("estimated")
    prior.begin(experience([0, 1, 2]))
    for _ in range(1000):
        found = prior(torch.arange(3), SHARES.log().repeat(5, 1))
    torch.testing.assert_close(found, SHARES, atol=1e-3, rtol=0)


@pytest.mark.parametrize("prior", ["labels", "estimated"])
@pytest.mark.parametrize("objective", ["suave", "csl"])
def test_methods_take_it(prior, objective, small, stream_of):
    config = small(f"objective={objective}", f"objective.prior={prior}", "optim.epochs=1")
    stream, _ = stream_of(config)
    learner = Learner(config)
    fit(learner, stream.experiences[0], stream.images)
    assert learner.predict(stream.images[:4]).isfinite().all()
