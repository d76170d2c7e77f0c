"""Clustering objectives at scores of any size: finite, and gradients as in float64."""

import pytest
import torch

from contsemi.objectives.daino import Daino
from contsemi.objectives.dino import Dino
from contsemi.objectives.suave import Suave
from contsemi.objectives.swav import Swav
from contsemi.types import Experience, Outputs, Seen

BATCH, CLASSES = 4, 3
LABELS = torch.tensor([0, 2, 0])
VIEWS = {"large_views": 2, "small_views": 1, "labelled_views": 1, "supports_per_class": 0}
SINKHORN = {"epsilon": 0.05, "iterations": 3, "queue": 4, "queue_from": 0}
SLOW = {
    "directions": "gain",
    "teacher": [0.9, 1.0],
    "teacher_temperature": [0.04, 0.07],
    "teacher_warmup": 2,
    "centre_momentum": 0.9,
}
SELF = {"temperature": 0.1, "smoothing": 0.1, "clusters": CLASSES, "vote_temperature": 0.1}


def made(name):
    if name == "swav":
        return Swav(**SELF, **VIEWS, **SINKHORN)
    if name == "dino":
        return Dino(**SELF, **VIEWS, **SLOW)
    tied = {"temperature": 0.1, "smoothing": 0.1, "ramp": 0.0, "mix_labelled": True}
    if name == "daino":
        return Daino(**tied, **VIEWS, **SLOW)
    mixing = {"mix_large": True, "mix_weight": "rows", "against": "current"}
    return Suave(**tied, **mixing, **VIEWS, **SINKHORN, teacher=[0.9, 1.0])


def drawn(rows, seed, scale):
    """Scores of +-scale, and some between."""
    draw = torch.Generator().manual_seed(seed)
    made = torch.rand(rows, CLASSES, generator=draw, dtype=torch.float64) * 2 - 1
    return scale * made.sign() * made.abs().clamp(0.3, 1).pow(0.01 if scale > 1 else 1)


def outputs(scores, seed):
    draw = torch.Generator().manual_seed(seed)
    embeddings = torch.randn(len(scores), 5, generator=draw, dtype=torch.float64).to(scores.dtype)
    heads = dict.fromkeys(("prototypes", "clusters", "classifier"), scores)
    directions = torch.randn(CLASSES, 5, generator=draw, dtype=torch.float64).to(scores.dtype)
    unit = dict.fromkeys(("prototypes", "clusters"), directions)
    return Outputs(embeddings, heads | {"projector": embeddings}, unit)


def played(name, dtype, scale, make_step, steps=2):
    """Losses and all gradients of some steps, the last of them with a full queue."""
    objective, found = made(name), []
    empty = torch.empty(0, dtype=torch.int64)
    objective.begin(Experience(0, (0, 1, 2), 0, CLASSES, empty, empty, empty))
    for step in range(steps):
        sizes = {"large": 2 * BATCH, "small": BATCH, "labelled": 3, "mixed": 3, "extra": BATCH}
        # Rounded to bf16 for all, so that every precision has the same numbers.
        leaves = {
            key: drawn(rows, 10 * step + i, scale).bfloat16().to(dtype).requires_grad_()
            for i, (key, rows) in enumerate(sizes.items())
        }
        slow = drawn(2 * BATCH, 10 * step + 9, scale).bfloat16().to(dtype)
        parts = {key: outputs(leaf, step) for key, leaf in leaves.items()}
        terms = objective.terms(
            make_step(
                labelled=parts["labelled"],
                labels=LABELS,
                large=parts["large"],
                small=parts["small"],
                teacher=outputs(slow, step),
                seen={
                    "mixed_labelled": Seen(student=parts["mixed"], share=0.3),
                    "mixed_large": Seen(student=parts["extra"], share=0.7),
                },
                batch_size=BATCH,
                num_seen=CLASSES,
                epoch=step,
            )
        )
        assert terms.keys() == {"clustering", "labels"}
        sum(terms.values()).backward()
        objective.after_step()
        grads = {key: leaf.grad for key, leaf in leaves.items() if leaf.grad is not None}
        found.append((terms, grads))
    return found


METHODS = ["swav", "dino", "suave", "daino"]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["fp32", "bf16"])
@pytest.mark.parametrize("name", METHODS)
def test_finite_at_scores_of_ten_thousand(name, dtype, make_step):
    exact = played(name, torch.float64, 1e4, make_step)
    for (terms, grads), (terms64, grads64) in zip(
        played(name, dtype, 1e4, make_step), exact, strict=True
    ):
        for key, value in terms.items():
            assert value.dtype == torch.float32 and value.isfinite()
            # Sinkhorn's exponents are around 2e5, where float32 has steps of 0.016.
            torch.testing.assert_close(value.double(), terms64[key], rtol=1e-3, atol=1e-3)
        assert grads.keys() == grads64.keys()
        for key, grad in grads.items():
            assert grad.isfinite().all()
            torch.testing.assert_close(grad.double(), grads64[key], rtol=1e-2, atol=2e-2)


@pytest.mark.parametrize("name", METHODS)
def test_gradients_equal_those_of_float64(name, make_step):
    exact = played(name, torch.float64, 1.0, make_step, steps=4)
    for (terms, grads), (terms64, grads64) in zip(
        played(name, torch.float32, 1.0, make_step, steps=4), exact, strict=True
    ):
        for key, value in terms.items():
            torch.testing.assert_close(value.double(), terms64[key], rtol=1e-5, atol=1e-6)
        assert any(grad.any() for grad in grads.values())
        for key, grad in grads.items():
            torch.testing.assert_close(grad.double(), grads64[key], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", METHODS)
def test_a_loss_that_is_evaluated_twice_is_the_same(name, make_step):
    """State moves with the optimiser's step, not with the look at a loss."""
    objective = made(name)
    empty = torch.empty(0, dtype=torch.int64)
    objective.begin(Experience(0, (0, 1, 2), 0, CLASSES, empty, empty, empty))

    def terms(seed):
        large = outputs(drawn(2 * BATCH, seed, 1.0), seed)
        teacher = outputs(drawn(2 * BATCH, seed + 50, 1.0), seed + 50)
        step = make_step(large=large, teacher=teacher, batch_size=BATCH, num_seen=CLASSES)
        return objective.terms(step)["clustering"]

    first = terms(0)
    assert torch.equal(terms(0), first)
    objective.after_step()
    assert not torch.equal(terms(0), first)  # a full queue, or a centre that moved
