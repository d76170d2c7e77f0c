"""Uneven classes: the shares that clustering and votes aim at."""

from dataclasses import replace

import pytest
import torch

from contsemi.assign.centre import centred_softmax
from contsemi.assign.mira import mira
from contsemi.assign.sinkhorn import sinkhorn
from contsemi.blocks.prior import Prior
from contsemi.blocks.pseudo_rules import ALIGNING, RULES, Guesses
from contsemi.errors import InputError
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
        prior.after_step()
    torch.testing.assert_close(found, SHARES, atol=1e-3, rtol=0)


@pytest.mark.parametrize("clusters", [0, 3])
def test_an_estimate_waits_for_the_optimiser(clusters):
    prior = Prior("estimated", clusters)
    prior.begin(experience([0, 1, 2]))
    before = prior.shares.clone()
    prior(torch.arange(3), SHARES.log().repeat(5, 1))
    torch.testing.assert_close(prior.shares, before)
    prior.after_step()
    torch.testing.assert_close(prior.shares, 0.99 * torch.full((3,), 1 / 3) + 0.01 * SHARES)


def test_free_clusters_begin_evenly_whatever_the_labels_are():
    prior = Prior("estimated", clusters=4)
    prior.begin(experience([0] * 6 + [2] * 2))
    made = prior.of_scores(torch.zeros(5, 4), temperature=0.1)
    torch.testing.assert_close(made, torch.full((4,), 0.25))


def test_scores_are_predictions_over_their_temperature():
    prior, rows, columns = Prior("estimated"), scores(5).float(), torch.tensor([0, 2])
    prior.begin(experience([0, 1, 2]))
    prior.of_scores(rows, temperature=0.5, columns=columns)
    prior.after_step()
    expected = (rows[:, columns] / 0.5).softmax(1).mean(0)
    torch.testing.assert_close(prior.shares[columns], 0.5 * 0.99 + 0.01 * expected)


def test_a_centred_teacher_multiplies_by_the_prior():
    rows, centre = scores(20), torch.tensor([0.3, 0.0, -0.2], dtype=torch.float64)
    kept = {"temperature": 0.5, "momentum": 0.9}
    plain, after = centred_softmax(rows, centre, **kept)
    made, same = centred_softmax(rows, centre, **kept, prior=SHARES)
    expected = plain * SHARES
    torch.testing.assert_close(made, expected / expected.sum(1, keepdim=True))
    torch.testing.assert_close(same, after)


@pytest.mark.parametrize("rule", ALIGNING)
def test_rules_that_align_do_so_with_the_prior(rule):
    """Predictions whose mean is the prior already stay as they are."""
    probs = (scores(40) + SHARES.log()).softmax(1)
    picked = {}
    for name, prior in (("even", None), ("own", probs.mean(0))):
        picker = RULES[rule](threshold=0.6, momentum=0.0)
        picker.begin(experience([0, 1, 2]))
        picked[name] = picker(Guesses(probs, torch.arange(3), torch.arange(40), None, prior))
        surest = probs.max(1).values
        if name == "own" and rule == "relative":
            torch.testing.assert_close(picked[name].weights, (surest >= 0.6).double())
        if name == "own" and rule == "gaussian":
            picker.after_step()
            assert picker.centre.item() == pytest.approx(surest.mean().item())
    assert not torch.equal(picked["even"].weights, picked["own"].weights)


def test_a_rule_without_alignment_refuses_a_prior(small):
    with pytest.raises(InputError, match=r"objective\.prior=labels: has no effect with"):
        Learner(small("method=fixmatch", "objective.prior=labels"))


FORCES = ["suave", "csl", "paws", "daino", "fixmatch"]
FREE = ["swav", "dino", "mira"]


@pytest.mark.parametrize(
    ("objective", "prior"),
    [
        *((name, "labels") for name in FORCES),
        *((name, "estimated") for name in FREE),
        *(pytest.param(name, "estimated", marks=pytest.mark.slow) for name in FORCES),
    ],
)
@pytest.mark.quick(1)
def test_methods_take_it(prior, objective, small, stream_of):
    rule = ["objective.rule=relative", "objective.threshold=1"] if objective == "fixmatch" else []
    words = [f"objective={objective}", "distiller=none", "optim.epochs=1", *rule]
    terms = []
    for kind in ("even", prior):
        config = small(*words, f"objective.prior={kind}", "label_ratio=50%")
        stream, _ = stream_of(config, _uneven)
        learner = Learner(config)
        fit(learner, stream.experiences[0], stream.images)
        assert learner.predict(stream.images[:4]).isfinite().all()
        terms.append([x.detach().clone() for x in learner.network.parameters()])
    assert any(not torch.equal(a, b) for a, b in zip(*terms, strict=True))


def _uneven(train):
    """Of each class another share of the images is left."""
    kept = torch.arange(len(train)) % (train.targets + 1) == 0
    return replace(train, images=train.images[kept], targets=train.targets[kept])
