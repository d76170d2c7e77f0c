"""WCL against its official code, on one process and two, and what labels change."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from contsemi.errors import InputError
from contsemi.losses.contrast import relation_contrast
from contsemi.objectives.wcl import Wcl

OPTIONS = {
    "temperature": 0.1,
    "neighbours": 2,
    "smoothing": 0.0,
    "large_views": 2,
    "small_views": 0,
    "labelled_views": 2,
    "supports_per_class": 3,
}


def step_of(at, outputs, make_step):
    heads = {
        name: torch.cat([torch.from_numpy(at[f"{head}_view{v}"]) for v in (1, 2)])
        for name, head in (("projector", "head1"), ("auxiliary", "head2"))
    }
    heads = {name: value.requires_grad_() for name, value in heads.items()}
    return make_step(large=outputs(**heads), batch_size=len(heads["projector"]) // 2), heads


@pytest.mark.parametrize("setting", [0, 1])
def test_both_losses_equal_the_official_code(setting, arrays, outputs, make_step):
    at = arrays("wcl", setting)
    step, heads = step_of(at, outputs, make_step)
    terms = Wcl(**OPTIONS | {"temperature": float(at["temperature"])}).terms(step)
    sum(terms.values()).backward()
    np.testing.assert_allclose(terms["instances"].item(), at["instance_loss"], rtol=1e-6)
    np.testing.assert_allclose(terms["graph"].item(), at["graph_loss"], rtol=1e-5)
    for name, head in (("projector", "head1"), ("auxiliary", "head2")):
        expected = np.concatenate([at[f"grad_{head}_view1"], at[f"grad_{head}_view2"]])
        np.testing.assert_allclose(heads[name].grad, expected, atol=1e-6)


def test_two_processes_of_the_official_code_have_our_mean(arrays, outputs, make_step):
    at = arrays("wcl_2rank")
    step, _ = step_of(at, outputs, make_step)
    terms = Wcl(**OPTIONS | {"temperature": float(at["temperature"])}).terms(step)
    for name, key in (("instances", "instance"), ("graph", "graph")):
        expected = at[f"{key}_loss_per_rank"].mean()
        np.testing.assert_allclose(terms[name].item(), expected, rtol=1e-5)


def test_two_images_are_one_component_and_cost_nothing(whole_step):
    assert Wcl(**OPTIONS).terms(whole_step(2))["graph"] == 0


def test_with_all_labels_the_graph_is_supervised_contrast(whole_step):
    step = whole_step(0, 9, classes=3)
    same = step.labels[:, None] == step.labels
    views = step.labelled["auxiliary"].view(2, 9, -1)
    expected = sum(relation_contrast(view, same, temperature=0.1) / 2 for view in views)
    torch.testing.assert_close(Wcl(**OPTIONS).terms(step)["graph"], expected)


def test_labels_link_and_forbid(outputs, make_step):
    """Two unlabelled images beside labelled ones: 0 beside class 0, 1 beside class 1."""
    rows = torch.tensor([[1.0, 0.1], [0.1, 1.0], [1, 0], [0, 1], [0, 1.1]])
    labels = torch.tensor([0, 1, 0])  # the last is of class 0 and lies at class 1
    large, labelled = rows[:2].repeat(2, 1), rows[2:].repeat(2, 1)
    step = make_step(
        large=outputs(projector=large, auxiliary=large.requires_grad_()),
        labelled=outputs(projector=labelled, auxiliary=labelled, classifier=torch.zeros(6, 2)),
        labels=labels,
        batch_size=2,
    )
    loss = Wcl(**OPTIONS).terms(step)["graph"]
    # One component by the links: all images, but not the pairs of two classes.
    relation = torch.ones(5, 5, dtype=torch.bool)
    for i, j in ((2, 3), (3, 4)):
        relation[i, j] = relation[j, i] = False
    expected = relation_contrast(rows, relation, temperature=0.1)
    torch.testing.assert_close(loss, expected)


def test_labelled_images_of_a_class_are_not_pushed_apart(whole_step):
    step = whole_step(0, 4, labels=torch.zeros(4, dtype=torch.int64))
    loss = Wcl(**OPTIONS).terms(step)["instances"]
    assert loss == 0  # nothing but the own other view is left to compare with


def test_crops_are_drawn_to_the_stored_neighbours(outputs, make_step, stream_of, small):
    experience = stream_of(small())[0].experiences[0]
    objective = Wcl(**OPTIONS | {"neighbours": 1, "small_views": 1})
    objective.begin(experience)
    rows = torch.tensor([[1.0, 0, 0], [0, 1, 0], [0.9, 0.1, 0], [0, 0.9, 0.2]])
    crops = torch.tensor([[0.0, 0, 1], [1, 1, 0], [1, 0, 1], [1, 1, 1]]).requires_grad_()
    step = make_step(
        large=outputs(projector=rows.repeat(2, 1), auxiliary=rows.repeat(2, 1)),
        small=outputs(projector=crops),
        batch_size=4,
    )
    loss = objective.terms(step)["crops"]
    unit = functional.normalize(rows, dim=1)
    scores = functional.normalize(crops, dim=1) @ unit.T / 0.1
    scores = scores.masked_fill(torch.eye(4).bool(), -torch.inf)
    expected = functional.cross_entropy(scores, torch.tensor([2, 3, 0, 1]))
    torch.testing.assert_close(loss, expected)
    # A stored image that is not in the batch is a neighbour, but no negative.
    alone = make_step(
        large=outputs(projector=rows[2:].repeat(2, 1), auxiliary=rows[2:].repeat(2, 1)),
        small=outputs(projector=crops[2:]),
        batch_size=2,
        unlabelled_ids=torch.tensor([2, 3]),
    )
    scores = functional.normalize(crops[2:], dim=1) @ unit.T / 0.1
    scores[0, [1, 2]] = scores[1, [0, 3]] = -torch.inf
    expected = functional.cross_entropy(scores, torch.tensor([0, 1]))
    torch.testing.assert_close(objective.terms(alone)["crops"], expected)


@pytest.mark.parametrize("change", [{"large_views": 3}, {"labelled_views": 1}])
def test_other_numbers_of_views_are_refused(change):
    with pytest.raises(InputError, match="two views"):
        Wcl(**OPTIONS | change)
