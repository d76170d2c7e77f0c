"""Labels change nothing where there are none, and decide everything where all are known."""

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf
from torch.nn import functional

from contsemi.assign.components import components, nearest_others
from contsemi.blocks.fifo import Fifo
from contsemi.blocks.others import others_of_each
from contsemi.compose import resources
from contsemi.learner.parts import build_part
from contsemi.losses.agreement import invariance
from contsemi.losses.contrast import first_contrast, paired_contrast, relation_contrast
from contsemi.losses.regression import swapped_regression
from contsemi.objectives.objective import Objective
from contsemi.types import Experience


def build(name, **change):
    path = resources.conf() / "objective" / f"{name}.yaml"
    options = OmegaConf.to_container(OmegaConf.load(path)) | change
    objective, _ = build_part(options, Objective)
    nothing = torch.empty(0, dtype=torch.int64)
    objective.begin(Experience(0, (0, 1, 2, 3), 0, 4, nothing, nothing, torch.arange(20)))
    return objective, options


def rows_of(step):
    views = step.views("predictor")
    return views, functional.normalize(step.teacher("large")["projector"], dim=1)


def byol(options):
    def terms(step):
        views, targets = rows_of(step)
        return {"regression": swapped_regression(views, targets, batch_size=step.batch_size)}

    return terms


def msf(options):
    bank = Fifo(options["bank"])

    def terms(step):
        views, targets = rows_of(step)
        bank.push(targets)
        targets = bank.shifted(targets, options["neighbours"])
        return {"shift": swapped_regression(views, targets, batch_size=step.batch_size)}

    return terms


def wcl(options):
    def terms(step):
        first, second = step.student("large")["projector"].view(2, step.batch_size, -1)
        views = step.student("large")["auxiliary"].view(2, step.batch_size, -1)
        weak = [components(nearest_others(view)) for view in views]
        masks = [numbers[:, None] == numbers for numbers in weak]
        graph = torch.zeros(())
        for view, mask in zip(views, reversed(masks), strict=True):
            graph = graph + relation_contrast(view, mask, temperature=0.1) / 2
        return {"instances": paired_contrast(first, second, temperature=0.1), "graph": graph}

    return terms


def semppl(options):
    def terms(step):
        views, targets = rows_of(step)
        size = step.batch_size
        views = functional.normalize(views, dim=1).view(-1, size, views.shape[1])
        targets = targets.view(-1, *views.shape[1:])
        drawn = others_of_each(size, options["negatives"], step.draw("negatives unlabelled"))
        others = targets[:, drawn]
        own = torch.einsum("vnd,tnd->vtn", views, targets)[..., None]
        scores = torch.cat([own, torch.einsum("vnd,tnkd->vtnk", views, others)], dim=-1)
        return {
            "contrast": first_contrast(scores, temperature=options["temperature"]),
            "invariance": invariance(scores, temperature=options["temperature"]),
        }

    return terms


# The self-supervised form of each, from the blocks alone. CMSF trusts no class at threshold 1; its
# variant self has visits of its own and is compared with itself below.
SELF_SUPERVISED = [
    ("byol", {}, byol),
    ("msf", {}, msf),
    ("cmsf", {"threshold": 1.0}, msf),
    ("cmsf", {"variant": "sup"}, msf),
    ("wcl", {}, wcl),
    ("semppl", {}, semppl),
]


@pytest.mark.quick(3)
@pytest.mark.parametrize(
    ("name", "change", "reference"),
    SELF_SUPERVISED,
    ids=[f"{name}-{'-'.join(map(str, change.values()))}" for name, change, _ in SELF_SUPERVISED],
)
@settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(seed=st.integers(0, 10_000), size=st.integers(2, 9))
def test_without_labels_the_loss_is_the_self_supervised_one(
    name, change, reference, seed, size, whole_step
):
    objective, options = build(name, **change)
    expected = reference(options)
    for i in range(3):  # stores carry over
        step = whole_step(size, seed=seed + i)
        terms, wanted = objective.terms(step), expected(step)
        assert terms.keys() == wanted.keys()
        for term, value in wanted.items():
            assert torch.equal(terms[term], value), term


@pytest.mark.parametrize(
    ("name", "variant"),
    [(name, {}) for name in ("byol", "msf", "cmsf", "wcl", "semppl")]
    + [("cmsf", {"variant": "self"})],
)
def test_without_labels_it_is_as_if_none_were_asked_for(name, variant, whole_step):
    with_labels, _ = build(name, **variant)
    without, _ = build(name, **variant, labelled_views=0)
    assert "labelled" in with_labels.needs.views and "labelled" not in without.needs.views
    for seed in range(4):
        step = whole_step(6, small=1, seed=seed)
        ours, theirs = with_labels.terms(step), without.terms(step)
        assert ours.keys() == theirs.keys() and "labels" not in ours
        assert all(torch.equal(ours[term], theirs[term]) for term in ours)


def test_with_all_labels_mean_shift_is_supervised(whole_step):
    """MSF and CMSF's semi are then CMSF's sup, and everyone's neighbours are of its class."""
    objectives = [build("msf")[0], build("cmsf")[0], build("cmsf", variant="sup")[0]]
    for seed in range(3):
        step = whole_step(0, 12, seed=seed)
        losses = [objective.terms(step)["shift"] for objective in objectives]
        assert torch.equal(losses[0], losses[1]) and torch.equal(losses[1], losses[2])
    bank = objectives[2].stored
    rows = functional.normalize(step.teacher("labelled")["projector"], dim=1)
    near = bank.search(rows, 5, bank.equal("labels", step.labels.repeat(2)))
    assert near.found.all()
    assert torch.equal(bank["labels"][near.index], step.labels.repeat(2)[:, None].expand(-1, 5))
    predictions = functional.normalize(step.student("labelled")["predictor"], dim=1).view(2, 12, -1)
    means = bank.rows[near.index].mean(1).view(2, 12, -1)
    expected = 2 - (predictions * means.flip(0)).sum(-1).mean() * 2
    torch.testing.assert_close(losses[2], expected)


def test_with_all_labels_weak_labels_are_the_labels(whole_step):
    step = whole_step(0, 12)
    same = step.labels[:, None] == step.labels
    views = step.student("labelled")["auxiliary"].view(2, 12, -1)
    expected = sum(relation_contrast(view, same, temperature=0.1) / 2 for view in views)
    torch.testing.assert_close(build("wcl")[0].terms(step)["graph"], expected)
