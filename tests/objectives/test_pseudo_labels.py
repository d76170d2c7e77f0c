"""Limit cases of the methods on pseudo-labels and mixed images."""

from dataclasses import replace

import pytest
import torch
from torch.nn import functional

from contsemi.errors import InputError
from contsemi.objectives.dynamic import Dynamic
from contsemi.objectives.fixmatch import FixMatch
from contsemi.objectives.hiermatch import HierMatch
from contsemi.objectives.trex import Trex
from contsemi.types import Experience, Outputs, Seen, Step

CLASSES = 4


def a_step(seen, labels=(), **given):
    labels = torch.tensor(labels, dtype=torch.int64)
    batch = given.pop("batch", 3)
    return Step(
        seen=seen,
        **{
            "labels": labels,
            "labelled_ids": torch.arange(len(labels)),
            "unlabelled_ids": torch.arange(batch),
            "places": torch.arange(batch),
            "columns": torch.arange(2, CLASSES),
            "num_old": 2,
            "num_seen": CLASSES,
            "progress": 0.5,
            "draw": lambda purpose: torch.Generator(),
        }
        | given,
    )


def logits(rows, seed=0, **given):
    draw = torch.Generator().manual_seed(seed)
    return torch.randn(rows, CLASSES, generator=draw).requires_grad_(**given)


def seen(**heads):
    rows = next(iter(heads.values()))
    return Seen(student=Outputs(rows[:, :0], heads), number=1)


def experience(images=3):
    empty = torch.empty(0, dtype=torch.int64)
    return Experience(1, (2, 3), 2, CLASSES, empty, empty, torch.arange(images))


def fixmatch(**given):
    values = {
        "rule": "fixed",
        "threshold": 0.95,
        "momentum": 0.9,
        "temperature": 1.0,
        "fairness": 0.0,
        "among": "current",
        "smoothing": 0.0,
        "teacher": [],
        "labelled_views": 1,
    }
    made = FixMatch(**values | given)
    made.begin(experience())
    return made


def test_no_sure_image_has_no_gradient():
    weak, strong = logits(3), logits(3, 1)
    terms = fixmatch(threshold=1.0).terms(
        a_step({"weak": seen(classifier=weak), "strong": seen(classifier=strong)})
    )
    terms["pseudo"].backward()
    assert terms["pseudo"] == 0 and not strong.grad.any()


@pytest.mark.parametrize("among", ["current", "seen"])
def test_which_classes_an_unlabelled_image_may_be_of(among):
    weak, strong = torch.zeros(3, CLASSES), logits(3)
    weak[:, 0] = 9.0
    weak[:, 3] = 4.0
    terms = fixmatch(threshold=0.5, among=among).terms(
        a_step({"weak": seen(classifier=weak), "strong": seen(classifier=strong)})
    )
    if among == "current":
        expected = functional.cross_entropy(strong[:, 2:], torch.ones(3, dtype=torch.int64))
    else:
        expected = functional.cross_entropy(strong, torch.zeros(3, dtype=torch.int64))
    torch.testing.assert_close(terms["pseudo"], expected)
    terms["pseudo"].backward()
    assert strong.grad[:, :2].any() == (among == "seen")


def test_fairness_joins_the_rule_that_has_its_means():
    weak, strong = logits(3), logits(3, 1)
    step = a_step({"weak": seen(classifier=weak), "strong": seen(classifier=strong)})
    plain, fair = (
        fixmatch(rule="adaptive", fairness=weight).terms(step)["pseudo"] for weight in (0.0, 0.5)
    )
    assert fair != plain and fair.isfinite()
    assert torch.equal(
        fixmatch(fairness=0.5).terms(step)["pseudo"], fixmatch().terms(step)["pseudo"]
    )


def test_a_step_of_one_kind_of_image():
    labelled = seen(classifier=logits(2))
    terms = fixmatch().terms(a_step({"labelled": labelled}, [2, 3], batch=0))
    assert terms.keys() == {"labels"}
    assert fixmatch().terms(a_step({}, batch=0)) == {}


def hiermatch(**given):
    values = {
        "coarse_classes": 2,
        "top": [],
        "base": "mixmatch",
        "threshold": 0.95,
        "mixes": "shared",
        "guesses": 1,
        "temperature": 0.5,
        "alpha": 0.75,
        "ramp": 0.0,
        "among": "current",
        "teacher": [],
    }
    return HierMatch(**values | given)


def levels(objective, features):
    """What fresh heads of both levels say, and the finest head."""
    heads = [head.build(features.shape[1], torch.Generator()) for head in objective.needs.heads]
    heads[0].grow(CLASSES, torch.Generator().manual_seed(0))
    said = {name: head(features) for name, head in zip(objective.levels, heads, strict=True)}
    return Outputs(features, said), heads[0]


def test_a_coarse_label_alone_never_reaches_a_fine_one():
    """Its own label is in the coarse loss; for the fine level the image is a guess."""
    draw = torch.Generator().manual_seed(0)
    features = torch.randn(6, 8, generator=draw).requires_grad_()
    losses = []
    for coarse in (0, 1):
        objective = hiermatch()
        said, fine = levels(objective, features)
        weak, _ = levels(objective, torch.ones(3, 8))
        alone, _ = levels(objective, torch.ones(1, 8))
        step = a_step(
            {
                "labelled": Seen(coarse=torch.tensor([0, 1])),
                "coarse": Seen(student=alone, number=1, coarse=torch.tensor([coarse])),
                "weak": Seen(student=weak, number=1),
                "mixed_fine": Seen(
                    student=said, number=1, share=0.75, partners=torch.arange(6).flip(0)
                ),
            },
            [2, 3],
        )
        terms = objective.terms(step)
        total = terms["labels"] + terms["guesses"]
        losses.append((terms["labels"], *torch.autograd.grad(total, [fine.weight])))
    assert losses[0][0] != losses[1][0]
    assert torch.equal(losses[0][1], losses[1][1])  # the fine head's gradient


def test_coarse_losses_leave_the_fine_features_alone():
    objective = hiermatch()
    features = torch.randn(4, 9, generator=torch.Generator().manual_seed(0)).requires_grad_()
    said, fine = levels(objective, features)
    functional.cross_entropy(said["coarse"], torch.tensor([0, 1, 1, 0])).backward()
    assert not features.grad[:, fine.start :].any()
    assert features.grad[:, : fine.start].all()
    assert fine.start == 4 and fine.weight.shape[1] == 5  # the remainder is the finest level's


def test_labels_of_no_known_coarse_class_are_left_out():
    objective = hiermatch()
    said, _ = levels(objective, torch.randn(2, 8, generator=torch.Generator().manual_seed(0)))
    mixed = Seen(student=said, number=1, share=1.0, partners=torch.arange(2))
    unknown = Seen(coarse=torch.tensor([-1, -1]))
    step = a_step({"labelled": unknown, "mixed_fine": mixed}, [2, 3], batch=0)
    expected = functional.cross_entropy(said["fine"], torch.tensor([2, 3]))
    torch.testing.assert_close(objective.terms(step)["labels"], expected)


def test_levels_by_sure_classes():
    """The sum of FixMatch's losses over the levels, each with the rows that have a label of it."""
    objective = hiermatch(base="fixmatch", threshold=0.5)
    rows = {"labelled": 2, "coarse": 3, "weak": 4, "strong": 4}
    draw = torch.Generator().manual_seed(0)
    said = {
        name: levels(objective, torch.randn(n, 8, generator=draw))[0] for name, n in rows.items()
    }
    only = torch.tensor([1, 0, 0])
    coarse = {"labelled": torch.tensor([1, -1]), "coarse": only}
    step = a_step(
        {name: Seen(student=each, coarse=coarse.get(name)) for name, each in said.items()},
        [2, 3],
        batch=4,
    )
    terms = objective.terms(step)
    coarse = torch.cat([said["labelled"]["coarse"][:1], said["coarse"]["coarse"]])
    expected = functional.cross_entropy(
        said["labelled"]["fine"], torch.tensor([2, 3])
    ) + functional.cross_entropy(coarse, torch.cat([torch.tensor([1]), only]))
    torch.testing.assert_close(terms["labels"], expected)
    expected = 0
    for level, first in (("fine", 2), ("coarse", 0)):
        probs = said["weak"][level][:, first:].softmax(1)
        rows = functional.cross_entropy(
            said["strong"][level][:, first:], probs.argmax(1), reduction="none"
        )
        expected = expected + (rows * (probs.amax(1) >= 0.5)).mean()
    torch.testing.assert_close(terms["guesses"], expected)


def test_more_coarse_classes_than_the_head_has():
    with pytest.raises(InputError, match=r"objective\.coarse_classes.*3"):
        hiermatch().begin(replace(experience(), num_coarse=3))
    with pytest.raises(InputError, match=r"objective\.top"):
        hiermatch(top=[0])


def dynamic(**given):
    values = {
        "teacher": [0.99, 0.99],
        "teacher_temperature": 0.1,
        "at_border": "keep",
        "ramp": True,
        "centre_momentum": 0.0,
        "centre_twice": False,
        "among": "current",
        "smoothing": 0.0,
        "labelled_views": 1,
    }
    made = Dynamic(**values | given)
    made.begin(experience())
    return made


def taught(slow, strong, **given):
    rows = Outputs(slow[:, :0], {"classifier": slow})
    return a_step(
        {"weak": Seen(teacher=rows, number=1), "strong": seen(classifier=strong)}, **given
    )


@pytest.mark.parametrize(
    ("progress", "weight"), [(0.0, 0.0), (0.25, 0.2197), (0.5, 0.75), (0.7, 1)]
)
def test_the_weight_of_dynamic_distillation(progress, weight):
    slow, strong = logits(3), logits(3, 1)
    ramped, whole = (
        dynamic(ramp=ramp).terms(taught(slow, strong, progress=progress))["distillation"]
        for ramp in (True, False)
    )
    torch.testing.assert_close(ramped, weight * whole, atol=1e-4, rtol=1e-4)


def test_a_cold_teacher_gives_hard_labels_and_takes_no_gradient():
    slow, strong = logits(3), logits(3, 1)
    objective = dynamic(teacher_temperature=1e-4, ramp=False)
    loss = objective.terms(taught(slow, strong))["distillation"]
    expected = functional.cross_entropy(strong[:, 2:], slow[:, 2:].argmax(1))
    torch.testing.assert_close(loss, expected)
    loss.backward()
    assert slow.grad is None


def test_a_centre_follows_the_logits_themselves():
    objective = dynamic(centre_momentum=0.5)
    slow = torch.arange(12.0).view(3, 4)
    for _ in range(40):
        objective.terms(taught(slow, logits(3)))
        objective.after_step()
    torch.testing.assert_close(objective.centre, slow.mean(0))
    twice = dynamic(centre_momentum=0.5, centre_twice=True)
    for _ in range(40):
        twice.terms(taught(slow, logits(3)))
        twice.after_step()
    torch.testing.assert_close(twice.centre, slow.mean(0) / 2)  # the released code's


def trex(**given):
    values = {
        "temperature": 0.1,
        "memory": 2,
        "hidden_layers": 0,
        "hidden": 4,
        "size": 4,
        "teacher": [0.99, 0.99],
        "one_queue": False,
        "drop_overflow": False,
        "absent_as_zero": False,
        "labelled_views": 1,
    }
    made = Trex(**values | given)
    made.begin(experience())
    return made


def cropped(rows):
    said = Outputs(rows[:, :0], {"expendable": rows})
    return {"labelled": Seen(student=said, teacher=said, number=1)}


def test_a_class_of_which_nothing_is_stored_takes_no_part():
    objective, rows = trex(), logits(3)
    first = objective.terms(a_step(cropped(rows), [2, 3, 3]))
    assert first["labels"] == 0 and torch.isfinite(first["labels"])
    objective.after_step()
    loss = objective.terms(a_step(cropped(rows), [2, 3, 0]))["labels"]
    directions, there = objective.stored.directions()
    assert there.tolist() == [False, False, True, True]
    scores = functional.normalize(rows[:2], dim=1) @ directions[2:].T / 0.1
    torch.testing.assert_close(loss, functional.cross_entropy(scores, torch.tensor([0, 1])))
    scores = objective.predict(Outputs(rows, {"expendable": rows}), None)
    assert scores.isfinite().all() and (scores[:, :2] < scores[:, 2:].min()).all()


def test_a_memory_needs_a_slow_network():
    for given in ({"teacher": []}, {"memory": 0}, {"temperature": 0.0}):
        with pytest.raises(InputError, match=r"objective\.memory"):
            trex(**given)
