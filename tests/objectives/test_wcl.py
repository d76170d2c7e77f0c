"""WCL against its official code, on one process and two, and what labels change."""

import numpy as np
import pytest
import torch
from replayed import settings
from torch.nn import functional

from contsemi.errors import InputError
from contsemi.learner.learner import Learner
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


@pytest.mark.parametrize("setting", settings("wcl"))
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
    views = step.student("labelled")["auxiliary"].view(2, 9, -1)
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


def test_crops_are_told_from_the_batch_by_both_views(whole_step):
    step = whole_step(5, small=2)
    loss = Wcl(**OPTIONS | {"small_views": 2}).terms(step)["crops"]
    crops, large = (
        step.student("small")["projector"].view(2, 5, -1),
        step.student("large")["projector"].view(2, 5, -1),
    )
    expected = [
        functional.cross_entropy(
            functional.cosine_similarity(crop[:, None], view, dim=2) / 0.1, torch.arange(5)
        )
        for crop in crops
        for view in large
    ]
    torch.testing.assert_close(loss, torch.stack(expected).mean())


def test_small_views_are_of_neighbours(stream_of, small):
    """In the second epoch every small view is a crop of the image next to its own."""
    words = ["method=wcl", "objective.neighbours=1", "batch.unlabelled=16", "precision=fp32"]
    learner = Learner(small(*words, "model=resnet_slim", "model.width=8"))
    experience = stream_of(learner.config)[0].experiences[0]
    # Pairs of images of one grey, so that a crop shows whose it is.
    images = torch.empty(int(experience.unlabelled.max()) + 1, 3, 8, 8, dtype=torch.uint8)
    images[:] = torch.arange(len(images))[:, None, None, None] // 2 % 256
    learner.begin(experience, images)
    near = learner.objective.near
    batch = learner.batch(0, 0)
    own = learner.task.others(batch, 0)["small"]
    assert torch.equal(own, images[batch.unlabelled_ids])  # nobody has come before
    angle = torch.rand(len(images), generator=torch.Generator().manual_seed(0))
    rows = torch.stack([angle.cos(), angle.sin()], dim=1)
    for _ in range(2):
        near.push(rows[experience.unlabelled], torch.arange(len(experience.unlabelled)))
    scores = rows[batch.unlabelled_ids] @ rows[experience.unlabelled].T
    itself = batch.unlabelled_ids[:, None] == experience.unlabelled
    nearest = scores.masked_fill(itself, -1).argmax(1)
    assert torch.equal(near(batch.places)[:, 0], nearest)
    crops = images[experience.unlabelled[nearest]]
    assert torch.equal(learner.task.others(batch, 0)["small"], crops)
    assert len(learner.forward(batch).student("small")) == 16


def test_neighbours_are_forgotten_between_tasks(stream_of, small):
    first, second = stream_of(small())[0].experiences[:2]
    objective = Wcl(**OPTIONS | {"small_views": 1})
    objective.begin(first)
    objective.near.push(torch.eye(3), torch.arange(3))
    objective.begin(second)
    assert not objective.near.stored.filled.any()
    assert objective.near.stored.slots == len(second.unlabelled)
    places = torch.arange(3)
    assert torch.equal(objective.near(places), places[:, None].expand(-1, 2))


def test_without_small_views_nobody_looks_for_neighbours():
    objective = Wcl(**OPTIONS | {"small_views": 0})
    assert objective.near is None
    assert objective.why_idle("neighbours") and objective.why_idle("weights.crops")


def test_a_state_with_a_table_that_nobody_read_is_taken_back():
    """Earlier versions made it without small views, too; such a run could not be gone on with."""
    saved = Wcl(**OPTIONS | {"small_views": 1}).state_dict()
    assert any(name.startswith("near.") for name in saved)
    Wcl(**OPTIONS).load_state_dict(saved)
    with pytest.raises(RuntimeError, match="Unexpected"):
        Wcl(**OPTIONS).load_state_dict({"far.stored.pointer": saved["near.stored.pointer"]})
    with pytest.raises(RuntimeError, match="Missing"):
        Wcl(**OPTIONS | {"small_views": 1}).load_state_dict({})


def test_small_views_without_large_ones_are_refused():
    """Before, the first step ended in a RuntimeError: labels were of images without a pair."""
    with pytest.raises(InputError, match=r"objective\.small_views: small views are told by"):
        Wcl(**OPTIONS | {"small_views": 1, "large_views": 0})


@pytest.mark.parametrize("change", [{"large_views": 3}, {"labelled_views": 1}])
def test_other_numbers_of_views_are_refused(change):
    with pytest.raises(InputError, match="two views"):
        Wcl(**OPTIONS | change)
