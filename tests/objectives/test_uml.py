"""UML inside a step; tasks, similarities and hard negatives have tests of their own."""

from pathlib import Path

import pytest
import torch
import yaml

from contsemi.errors import InputError
from contsemi.objectives.uml import Uml
from contsemi.types import Outputs, Seen, Step

ROOT = Path(__file__).parents[2]
SECTION = yaml.safe_load((ROOT / "conf" / "objective" / "uml.yaml").read_text())


def uml(**keys):
    options = {k: v for k, v in SECTION.items() if k not in ("name", "weights", "ranges")}
    return Uml(**options | {"large_views": 3, "tasks": 40} | keys)


def step_of(features, views, labels=()):
    images = len(features) // views
    seen = {"large": Seen(student=Outputs(features, {"projector": -features}), number=views)}
    labels = torch.tensor(labels, dtype=torch.int64)
    if len(labels):
        made = Outputs(torch.zeros(len(labels), 2), {"classifier": torch.zeros(len(labels), 2)})
        seen["labelled"] = Seen(student=made)
    return Step(
        seen=seen if images else {},
        labels=labels,
        labelled_ids=torch.arange(len(labels)),
        unlabelled_ids=torch.arange(images),
        places=torch.arange(images),
        columns=torch.arange(2),
        num_old=0,
        num_seen=2,
        progress=0.0,
        draw=lambda purpose: torch.Generator().manual_seed(len(purpose)),
    )


def views_of(images, views, noise, width=8):
    draw = torch.Generator().manual_seed(1)
    base = torch.eye(width)[:images].repeat(views, 1) * 9
    return base + noise * torch.randn(base.shape, generator=draw)


def test_images_apart_are_told_apart_and_noise_is_chance():
    apart = uml().terms(step_of(views_of(8, 3, 0.0), 3))["tasks"]
    assert apart < 1e-3
    equal = uml().terms(step_of(torch.ones(24, 8), 3))["tasks"]
    torch.testing.assert_close(equal, torch.tensor(5.0).log())


def test_gradient_reaches_all_views_of_the_embedding_asked_for():
    for embedding in ("features", "projector"):
        rows = views_of(8, 3, 1.0).requires_grad_()
        uml(embedding=embedding).terms(step_of(rows, 3))["tasks"].backward()
        assert (rows.grad.abs().sum(1) > 0).all()


def test_hard_negatives_make_it_harder():
    step = step_of(views_of(8, 3, 1.0), 3)
    plain, hard = uml(), uml(hard_negatives=4)
    assert hard.terms(step)["tasks"] > plain.terms(step)["tasks"]
    released = uml(hard_negatives=4, temperature=0.5, released_negatives=True)
    assert (
        released.terms(step)["tasks"] != uml(hard_negatives=4, temperature=0.5).terms(step)["tasks"]
    )


def test_the_attention_is_trained_beside():
    made = uml(attention_heads=2, attention_width=8)
    made.terms(step_of(views_of(8, 3, 1.0), 3))["tasks"].backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in made.parameters())
    assert not list(uml().parameters())
    with pytest.raises(InputError, match="are 6 wide, not 8"):
        made.terms(step_of(torch.zeros(24, 6), 3))


def test_steps_of_one_image_of_none_and_with_labels():
    assert uml().terms(step_of(torch.ones(3, 8), 3))["tasks"] == 0
    assert uml().terms(step_of(torch.zeros(0, 8), 3)) == {}
    assert set(uml().terms(step_of(views_of(4, 3, 1.0), 3, [0, 1]))) == {"tasks", "labels"}


@pytest.mark.parametrize(
    ("keys", "line"),
    [
        ({"large_views": 1}, "more than the 1 views that support"),
        ({"attention_heads": 1, "hard_negatives": 2}, "cannot be compared"),
    ],
)
def test_keys_that_make_no_sense(keys, line):
    with pytest.raises(InputError, match=line):
        uml(**keys)
