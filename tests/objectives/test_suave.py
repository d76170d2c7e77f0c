"""Suave's terms of hand-made steps: a reference in NumPy, and its limits."""

import numpy as np
import pytest
import torch
from scipy.special import logsumexp, softmax
from torch.nn import functional

from contsemi.errors import InputError
from contsemi.objectives.objective import Objective
from contsemi.objectives.suave import Suave
from contsemi.types import Outputs, Seen

OPTIONS = {
    "temperature": 0.1,
    "epsilon": 0.05,
    "iterations": 3,
    "smoothing": 0.01,
    "large_views": 2,
    "small_views": 0,
    "labelled_views": 1,
    "supports_per_class": 0,
    "ramp": 0.0,
    "against": "current",
    "queue": 0,
    "queue_from": 0,
    "teacher": [],
    "mix_labelled": False,
    "mix_large": False,
    "mix_weight": "rows",
}
BATCH, OLD, SEEN = 4, 3, 5


def scores(rows, *, seed=0):
    draw = torch.Generator().manual_seed(seed)
    made = torch.rand(rows, SEEN, generator=draw, dtype=torch.float64) * 2 - 1
    return made.requires_grad_()


def outputs(prototypes):
    return Outputs(prototypes[:, :0], {"prototypes": prototypes})


@pytest.fixture
def later(make_step):
    """A step of a later task: 3 old classes, 2 new ones, 2 large views and 1 small one."""

    def make(large=None, **given):
        large = scores(2 * BATCH) if large is None else large
        facts = {"num_old": OLD, "num_seen": SEEN, "batch_size": BATCH}
        return make_step(large=outputs(large), **facts | given)

    return make


def shares_in_numpy(rows, options):
    """Sinkhorn-Knopp as in the official code, on plain numbers."""
    q = np.exp(rows / options["epsilon"]).T
    q /= q.sum()
    for _ in range(options["iterations"]):
        q /= q.sum(1, keepdims=True) * len(q)
        q /= q.sum(0, keepdims=True) * q.shape[1]
    return (q * q.shape[1]).T


@pytest.mark.parametrize("against", ["current", "seen"])
@pytest.mark.parametrize("progress", [0.0, 0.2, 0.9])
def test_equals_numpy_in_a_later_task(against, progress, later):
    options = OPTIONS | {"against": against, "ramp": 0.4, "small_views": 1, "labelled_views": 2}
    views = [scores(BATCH, seed=seed) for seed in range(3)]
    labels = torch.tensor([0, 4, 2])
    labelled = scores(6, seed=9)  # two views of three images
    step = later(
        torch.cat(views[:2]),
        small=outputs(views[2]),
        labelled=outputs(labelled),
        labels=labels,
        progress=progress,
    )
    terms = Suave(**options).terms(step)

    arrays = [view.detach().numpy() for view in views]
    targets = []
    for view in arrays[:2]:
        wide = np.zeros((BATCH, SEEN))
        wide[:, OLD:] = shares_in_numpy(view[:, OLD:], options)
        targets.append(wide)
    first = 0 if against == "seen" else OLD
    entropies = [
        -(targets[i][:, first:] * np.log(softmax(view[:, first:] / 0.1, axis=1))).sum(1).mean()
        for i in range(2)
        for v, view in enumerate(arrays)
        if v != i
    ]
    risen = min(1, progress / 0.4)
    expected = risen * np.mean(entropies) * 12 / 18
    np.testing.assert_allclose(terms["clustering"].detach(), expected, rtol=1e-10)

    rows = labelled.detach().numpy() / 0.1
    log_probs = rows - logsumexp(rows, axis=1, keepdims=True)
    soft = np.full((6, SEEN), 0.01 / SEEN)
    soft[range(6), labels.repeat(2)] += 0.99
    expected = -(soft * log_probs).sum(1).mean() * 6 / 18
    np.testing.assert_allclose(terms["labels"].detach(), expected, rtol=1e-10)


def test_small_crops_of_labelled_images_count_as_large_views_do(later):
    labels, rows = torch.tensor([0, 4, 2]), scores(9, seed=9)
    objective = Suave(**OPTIONS | {"labelled_small_views": 2})
    crops = {"labelled": outputs(rows[:3]), "labelled_small": outputs(rows[3:])}
    (found,) = torch.autograd.grad(objective.terms(later(**crops, labels=labels))["labels"], rows)
    plain = objective.terms(later(labelled=outputs(rows), labels=labels))
    (expected,) = torch.autograd.grad(plain["labels"], rows)
    torch.testing.assert_close(found, expected)
    assert found.any(dim=1).all()
    alone = objective.terms(later(labelled_small=outputs(rows), labels=labels))
    torch.testing.assert_close(alone["labels"], plain["labels"])
    small = objective.needs.views["labelled_small"]
    assert (small.rows, small.policy, small.number) == ("labelled", "small", 2)
    assert not small.known_to_past


def test_against_current_does_not_touch_old_prototypes(later):
    large = scores(2 * BATCH)
    Suave(**OPTIONS).terms(later(large))["clustering"].backward()
    assert not large.grad[:, :OLD].any()
    assert large.grad[:, OLD:].all()


def test_against_seen_only_pushes_old_prototypes_away(later):
    """Where a target is zero, the gradient of a cross-entropy is the predicted probability."""
    large = scores(2 * BATCH)
    Suave(**OPTIONS | {"against": "seen"}).terms(later(large))["clustering"].backward()
    probs = (large.detach() / 0.1).softmax(1)[:, :OLD]
    # 2 views, each predicting one target: mean over 2 pairs and the batch, over the temperature.
    torch.testing.assert_close(large.grad[:, :OLD], probs / (2 * BATCH * 0.1))


def test_the_targets_take_no_gradient(later):
    """With one view's scores fixed the other's gradient does not pass through its own target."""
    large = scores(2 * BATCH)
    Suave(**OPTIONS).terms(later(large))["clustering"].backward()
    share = shares_in_numpy(large.detach().numpy()[BATCH:, OLD:], OPTIONS)
    probs = (large.detach()[:BATCH, OLD:] / 0.1).softmax(1).numpy()
    expected = (probs - share) / (2 * BATCH * 0.1)
    np.testing.assert_allclose(large.grad[:BATCH, OLD:], expected, rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("against", ["current", "seen"])
def test_terms_that_have_no_rows_are_absent(against, later, make_step):
    objective = Suave(**OPTIONS | {"against": against})
    assert objective.terms(later()).keys() == {"clustering"}
    only = make_step(
        labelled=outputs(scores(2)), labels=torch.tensor([0, 1]), num_seen=SEEN, num_old=OLD
    )
    assert objective.terms(only).keys() == {"labels"}
    empty = later(scores(0), batch_size=0, labelled=only.student("labelled"), labels=only.labels)
    assert objective.terms(empty).keys() == {"labels"}
    # Alone, the labels weigh fully.
    expected = functional.cross_entropy(
        only.student("labelled")["prototypes"] / 0.1, only.labels, label_smoothing=0.01
    )
    torch.testing.assert_close(objective.terms(only)["labels"], expected)


def test_prediction_is_the_scaled_cosine():
    made = scores(3)
    torch.testing.assert_close(Suave(**OPTIONS).predict(outputs(made), None), made * 10)


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"large_views": 1}, "objective.large_views"),
        ({"teacher": [0.9]}, "objective.teacher"),
    ],
)
def test_what_cannot_be_learned_from_is_refused(change, key):
    with pytest.raises(InputError, match=key):
        Suave(**OPTIONS | change)


def test_the_default_is_the_plain_loss_bit_for_bit(later):
    """Queue, EMA and mixing are off: nothing to save, and no operation more than before."""
    from omegaconf import OmegaConf

    from contsemi.assign.sinkhorn import sinkhorn
    from contsemi.compose import resources
    from contsemi.losses.cross_entropy import label_cross_entropy
    from contsemi.losses.swapped import swapped_cross_entropy

    options = OmegaConf.to_container(OmegaConf.load(resources.conf() / "objective" / "suave.yaml"))
    objective = Objective.named(options)
    assert not objective.state_dict() and not list(objective.parameters())
    assert objective.needs.teacher is None
    assert objective.needs.views.keys() <= {"labelled", "large", "small"}
    large, rows = scores(2 * BATCH).float(), scores(6, seed=1).float()
    labels = torch.tensor([0, 4, 2])
    step = later(large, labelled=outputs(rows), labels=labels, progress=0.3)
    terms = objective.terms(step)
    targets = torch.cat(
        [sinkhorn(view[:, OLD:], epsilon=0.05, iterations=3) for view in large.split(BATCH)]
    )
    plain = swapped_cross_entropy(large[:, OLD:], targets, batch_size=BATCH, temperature=0.1)
    share = 2 * BATCH / (2 * BATCH + 6)
    assert torch.equal(terms["clustering"], plain * share * min(1.0, 0.3 / 0.7))
    expected = label_cross_entropy(rows, labels.repeat(2), temperature=0.1, smoothing=0.01)
    assert torch.equal(terms["labels"], expected * 6 / (2 * BATCH + 6))


def test_without_large_views_nothing_is_mixed_of_them():
    for large, mixed in ((2, True), (0, False)):
        views = Suave(**OPTIONS | {"mix_large": True, "large_views": large}).needs.views
        assert ("mixed_large" in views) == mixed


def test_a_mixed_view_counts_by_its_rows_unless_as_published(later):
    """By rows it weighs as much as another view; as ``views`` it weighs as one row."""
    large, extra = scores(2 * BATCH), scores(BATCH, seed=2)
    step = later(large, seen={"mixed_large": Seen(student=outputs(extra), share=0.4)})
    first, second = (shares_in_numpy(v.detach().numpy()[:, OLD:], OPTIONS) for v in large.split(4))
    target = 0.4 * first + 0.6 * second[::-1]
    mixed = -(target * np.log(softmax(extra.detach().numpy()[:, OLD:] / 0.1, axis=1))).sum(1).mean()
    plain = Suave(**OPTIONS).terms(later(large))["clustering"].item()
    for weight, rows in (("rows", BATCH), ("views", 1)):
        objective = Suave(**OPTIONS | {"mix_large": True, "mix_weight": weight})
        expected = (2 * BATCH * plain + rows * mixed) / (2 * BATCH + rows)
        np.testing.assert_allclose(objective.terms(step)["clustering"].item(), expected, rtol=1e-10)
