"""UML inside a step; tasks, similarities and hard negatives have tests of their own."""

from pathlib import Path

import pytest
import torch
import yaml

from contsemi.errors import InputError
from contsemi.losses.few_shot import hard_indices
from contsemi.objectives.uml import Uml
from contsemi.types import Outputs, Seen, Step

ROOT = Path(__file__).parents[2]
PARTS = ROOT / "tests" / "reference" / "parts"
TSP = {  # our name of a weight of the attention -> theirs
    "queries.weight": "w_qs.weight",
    "keys.weight": "w_ks.weight",
    "values.weight": "w_vs.weight",
    "out.weight": "fc.weight",
    "out.bias": "fc.bias",
    "norm.weight": "layer_norm.weight",
    "norm.bias": "layer_norm.bias",
}
SECTION = yaml.safe_load((ROOT / "conf" / "objective" / "uml.yaml").read_text())


def uml(**keys):
    options = {k: v for k, v in SECTION.items() if k not in ("name", "weights", "ranges")}
    return Uml(**options | {"large_views": 3, "tasks": 40} | keys)


@pytest.mark.parametrize(
    "path",
    [p for p in sorted(PARTS.glob("uml_*.npz")) if "eval" not in p.stem],
    ids=lambda path: path.stem,
)
def test_the_official_arrays(path, official, monkeypatch):
    """Tasks, mined negatives and their shares are given; value and gradients of the term."""
    data = official.load(path)
    shots = int(data["shot"])
    tsp = "tsp_heads" in data
    rows = data["embeddings"].requires_grad_()
    objective = uml(
        ways=int(data["way"]),
        shots=shots,
        large_views=shots + int(data["query"]),
        tasks=int(data["tasks"]),
        similarity=str(data["similarity"]),
        temperature=float(data["temperature"]),
        hard_negatives=int(data["hard_negatives"]) if "hard_negatives" in data else 0,
        attention_heads=int(data["tsp_heads"]) if tsp else 0,
        attention_width=rows.shape[1],
        strength=1.0,
        released_negatives=True,
    )
    room = "contsemi.objectives.uml"
    asked = data["support_index"], data["query_index"]
    monkeypatch.setattr(f"{room}.draw_tasks", lambda *args, **more: asked)
    if objective.hard_negatives:
        kind = objective.similarity
        mined = hard_indices(rows, int(data["images"]), objective.hard_negatives, kind)
        assert torch.equal(mined.sort().values, data["hard_index"].sort().values)
        monkeypatch.setattr(f"{room}.hard_indices", lambda *args: data["hard_index"])
        monkeypatch.setattr(torch, "rand", lambda *args, **more: data["mix_coefficient"])
    if tsp:
        objective.attention.to(rows.dtype).eval()
        weights = {name: data[f"tsp_slf_attn.0.{theirs}"] for name, theirs in TSP.items()}
        objective.attention.load_state_dict(weights)
    loss = objective.terms(step_of(rows, objective.large_views))["tasks"]
    official.close(loss, data["loss"])
    (gradient,) = torch.autograd.grad(loss, rows, retain_graph=True)
    official.close(gradient, data["grad_embeddings"])
    for name, parameter in objective.attention.named_parameters() if tsp else ():
        (found,) = torch.autograd.grad(loss, parameter, retain_graph=True)
        official.close(found, data[f"grad_tsp_slf_attn.0.{TSP[name]}"], name)


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
        from_memory=torch.zeros(len(labels), dtype=torch.bool),
        labelled_ids=torch.arange(len(labels)),
        unlabelled_ids=torch.arange(images),
        places=torch.arange(images),
        coarse=torch.full_like(labels, -1),
        coarse_only=torch.empty(0, dtype=torch.int64),
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
