"""Every label choice: budgets, distinct picks, seeds, memory, and what each prefers."""

import inspect
from dataclasses import fields
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from contsemi.errors import InputError
from contsemi.labels.choices.by_embedding import ByEmbedding, Candidates
from contsemi.labels.choices.density import Density
from contsemi.labels.choices.kcenter import Kcenter
from contsemi.labels.choices.kmeans import Kmeans
from contsemi.labels.choices.margin import Margin
from contsemi.labels.choices.usl import Usl
from contsemi.labels.choices.usl_t import UslT

PARTS = Path(__file__).parents[2] / "reference" / "parts"
CONF = Path(__file__).parents[3] / "conf" / "labels"


def keys_of(name, **changed):
    """The keys of a policy's YAML file, some of them changed."""
    keys = yaml.safe_load((CONF / f"{name}.yaml").read_text())
    assert keys.pop("name") == name
    keys.pop("ranges", None)
    assert set(changed) <= set(keys)
    return keys | changed


USL = keys_of("usl", neighbours=5, neighbours_share=0.0, kmeans_iterations=10, iterations=3)
USL_T = keys_of("usl_t", heads=2, epochs=8, batch=16, lr=0.05, neighbours=5)
CHOICES = {
    "kmeans": Kmeans(**keys_of("kmeans")),
    "kcenter": Kcenter(**keys_of("kcenter")),
    "density": Density(**keys_of("density", neighbours=4)),
    "margin": Margin(**keys_of("margin")),
    "usl": Usl(**USL),
    "usl_t": UslT(**USL_T),
}
each = pytest.mark.parametrize("choice", CHOICES.values(), ids=CHOICES)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def blobs(classes=3, many=12, width=6):
    draw = seeded(4)
    centres = 3 * torch.randn(classes, width, generator=draw)
    labels = torch.arange(classes).repeat(many)
    return centres[labels] + 0.2 * torch.randn(len(labels), width, generator=draw), labels


@each
@settings(max_examples=15, deadline=None)
@given(st.integers(0, 12), st.integers(0, 15), st.integers(0, 3), st.booleans())
@pytest.mark.quick(3)
def test_the_budget_is_met_by_distinct_images(choice, images, budget, kinds, scored):
    """Pools of few kinds are full of duplicates, and of clusters without rows."""
    draw = seeded(images)
    rows = torch.randn(max(kinds, 1), 3, generator=draw)
    rows = rows[torch.randint(len(rows), (images,), generator=draw)]
    scores = torch.randn(images, 4, generator=draw) if scored else None
    found = choice.choose(Candidates(embeddings=rows, scores=scores), budget, seeded())
    assert found.dtype == torch.int64
    assert len(found) == len(found.unique()) == min(budget, images)
    assert ((found >= 0) & (found < images)).all()


@each
def test_the_same_seed_gives_the_same_picks(choice):
    rows, _ = blobs()
    found = [choice.choose(Candidates(embeddings=rows), 5, seeded(7)) for _ in range(2)]
    assert torch.equal(*found)


@each
def test_global_random_state_is_left_alone(choice):
    rows, _ = blobs()
    before = torch.get_rng_state()
    choice.choose(Candidates(embeddings=rows), 5, seeded(7))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("name", ["kmeans", "kcenter", "usl", "usl_t"])
def test_one_image_of_each_planted_blob(name):
    rows, labels = blobs()
    found = [
        labels[CHOICES[name].choose(Candidates(embeddings=rows), 3, seeded(seed))].unique()
        for seed in range(5)
    ]
    assert sum(len(classes) for classes in found) >= 14  # of 15: a k-means may start badly


@pytest.mark.parametrize("name", ["kmeans", "kcenter", "usl"])
def test_labelled_images_turn_the_choice_elsewhere(name):
    rows, labels = blobs()
    known = rows[labels < 2]
    candidates = Candidates(embeddings=rows, labelled=known)
    options = USL | {"weight": 100.0, "momentum": 0.0}
    choice = Usl(**options) if name == "usl" else CHOICES[name]
    found = [labels[choice.choose(candidates, 1, seeded(seed))].item() for seed in range(6)]
    # one cluster of the whole pool has its centre between the blobs, wherever it starts
    assert name == "kmeans" or found.count(2) == 6
    choice.avoid_labelled = False
    without = choice.choose(candidates, 4, seeded())
    choice.avoid_labelled = True
    assert torch.equal(without, _blind(choice).choose(Candidates(embeddings=rows), 4, seeded()))


def _blind(choice):
    return type(choice)(
        **{f.name: getattr(choice, f.name) for f in fields(choice)} | {"avoid_labelled": False}
    )


def test_usl_with_starts_as_in_the_paper():
    rows, _ = blobs()
    found = Usl(**USL | {"starts": "random"}).choose(Candidates(embeddings=rows), 3, seeded())
    assert len(found.unique()) == 3
    with pytest.raises(InputError, match="give spread or random"):
        Usl(**USL | {"starts": "first"})


def test_usl_without_repulsion_takes_the_densest_of_each_cluster():
    rows, labels = blobs()
    usl = Usl(**USL | {"weight": 0.0})
    found = usl.choose(Candidates(embeddings=rows), 3, seeded(1))
    assert len(labels[found].unique()) == 3
    unit = torch.nn.functional.normalize(rows, dim=1)
    mean = torch.cdist(unit, unit).square().sort(1).values[:, :5].mean(1)
    for pick in found:
        assert mean[pick] <= mean[labels == labels[pick]].min() + 1e-6


def test_margin_takes_the_least_sure_first():
    scores = torch.tensor([[9.0, 0.0, 0.0], [1.0, 0.9, 0.0], [2.0, 0.0, 0.0]])
    candidates = Candidates(embeddings=torch.zeros(3, 2), scores=scores)
    assert Margin(at_first="refuse").choose(candidates, 2, seeded()).tolist() == [1, 2]
    with pytest.raises(InputError, match="before the first task is none"):
        Margin(at_first="refuse").choose(Candidates(embeddings=torch.zeros(3, 2)), 2, seeded())
    with pytest.raises(InputError, match="give random or refuse"):
        Margin(at_first="guess")


def test_density_takes_the_densest():
    rows = torch.tensor([[1.0, 0.0], [1.0, 0.01], [0.0, 1.0], [-1.0, 0.0]])
    dense = Density(neighbours=2, neighbours_share=0.0)
    found = dense.choose(Candidates(embeddings=rows), 2, seeded())
    assert sorted(found.tolist()) == [0, 1]


USL_FILES = [
    path
    for path in sorted(PARTS.glob("usl_*.npz"))
    if {"neighbours", "selected"} <= set(np.load(path))
]


@pytest.mark.parametrize("path", USL_FILES, ids=lambda path: path.stem)
def test_usl_chooses_as_the_official_code(path, official, monkeypatch):
    """Through the policy, from the released starts of k-means, or its clusters, on."""
    data = official.load(path)
    rows, room = data["features"], "contsemi.labels.choices.usl"
    if "kmeans_init" in data:
        monkeypatch.setattr(f"{room}.spread_starts", lambda *a, **k: rows[data["kmeans_init"]])
    else:
        known = SimpleNamespace(assignment=data["cluster"])
        monkeypatch.setattr(f"{room}.lloyd", lambda *a, **k: known)
    keys = {
        "unit": bool(torch.isclose(rows.norm(dim=1), rows.new_ones(1)).all()),
        "neighbours": int(data["neighbours"]),
        "neighbours_share": 0.0,
        "kmeans_iterations": int(data.get("kmeans_iterations", 1)),
        "iterations": len(data["selected"]),
        "weight": float(data["reg_weight"]),
        "momentum": float(data["reg_momentum"]),
        "alpha": float(data["alpha"]),
        "horizon": max(float(data.get("horizon", 0)), 0.0),
        "nearest": int(data.get("nearest_picks", 0)),
        "own_cluster": int(data.get("exclude_same_cluster", 1)) == 0,
    }
    budget = int(data["budget"])
    found = Usl(**keys_of("usl", **keys)).choose(Candidates(embeddings=rows), budget, seeded())
    assert torch.equal(found, data["selected"][-1])


def test_usl_t_selects_as_the_official_code(official, monkeypatch):
    """Its logits are the products of unit rows and what the heads then are."""
    data = official.load(PARTS / "uslt_selection_f64.npz")
    logits = data["logits"]
    budget, rows = logits.shape[2], torch.eye(logits.shape[1], dtype=logits.dtype)
    for heads, name in ((logits, "mean"), (logits[:1], "head")):
        choice = UslT(**USL_T | {"scale": 0.0})
        monkeypatch.setattr(choice, "_trained", lambda *args, heads=heads: heads.mT)
        found = choice.choose(Candidates(embeddings=rows), budget, seeded())
        assert torch.equal(found, data[f"selected_{name}_prob"])


USL_T_FILES = [path for path in sorted(PARTS.glob("uslt_*.npz")) if "steps" in np.load(path)]


@pytest.mark.parametrize("path", USL_T_FILES, ids=lambda path: path.stem)
def test_usl_t_learns_as_the_official_code(path, official):
    data = official.load(path)
    one = {name: value.item() for name, value in data.items() if not value.dim()}
    choice = UslT(
        **USL_T
        | {
            "adjustment": one["adjustment_weight"],
            "temperature": one["sharpen_temperature"],
            "threshold": one["threshold"],
            "local_weight": one["local_weight"],
            "momentum": one["ema_momentum"],
            "balance": bool(one["reweight"]),
            "divide_by_present": bool(one["reweight_renorm"]),
            "over_batch": bool(one["mean_outside_mask"]),
        }
    )
    shares = data["prob_ema_0"]
    for step in range(one["steps"]):
        strong = data["logits_strong"][step].clone().requires_grad_()
        weak, neighbour = data["logits_weak"][step], data["logits_neighbour"][step]
        loss, shares = choice.loss(strong, weak, neighbour, shares)
        official.close(loss, data["loss"][step])
        official.close(torch.autograd.grad(loss, strong)[0], data["grad_strong"][step])
        official.close(shares, data[f"prob_ema_{step + 1}"])


def test_usl_t_by_density_with_views_and_linear_heads():
    rows, _ = blobs()
    views = rows + 0.05 * torch.randn(4, *rows.shape, generator=seeded(2))
    options = USL_T | {"select": "density", "scale": 0.0, "balance": True, "threshold": 0.5}
    candidates = Candidates(embeddings=rows, views=views)
    assert len(UslT(**options).choose(candidates, 3, seeded()).unique()) == 3
    with pytest.raises(InputError, match="give probability or density"):
        UslT(**options | {"select": "edge"})


def test_bad_embeddings_budgets_and_picks_are_refused():
    with pytest.raises(ValueError, match="not finite"):
        CHOICES["kcenter"].choose(Candidates(embeddings=torch.tensor([[torch.nan]])), 1, seeded())
    with pytest.raises(ValueError, match="budget of -1"):
        CHOICES["kcenter"].choose(Candidates(embeddings=torch.zeros(1, 1)), -1, seeded())

    class Twice(ByEmbedding):
        def picks(self, candidates, budget, generator):
            return torch.zeros(2, dtype=torch.int64)

    with pytest.raises(ValueError, match="picked an image twice"):
        Twice().choose(Candidates(embeddings=torch.zeros(3, 1)), 2, seeded())


def test_no_label_can_be_read():
    """What a policy is given has no place for the labels of its candidates."""
    names = {field.name for field in fields(Candidates)}
    assert names == {"embeddings", "labelled", "scores", "views"}
    for choice in CHOICES.values():
        given = set(inspect.signature(choice.choose).parameters)
        assert given == {"candidates", "budget", "generator"}
