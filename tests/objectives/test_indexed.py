"""An index that has a say in the soft classes of several methods: losses and gradients by hand."""

import numpy as np
import pytest
import torch

from contsemi import compose
from contsemi.errors import InputError
from contsemi.learner.learner import Learner
from contsemi.learner.parts import build_part
from contsemi.objectives.objective import Objective
from contsemi.types import Outputs, Seen

METHODS = ("suave", "daino", "csl", "fixmatch")
CLASSES, IMAGES = 3, 5


class Known(torch.nn.Module):
    """An index whose answer is fixed, and that sees what it is asked."""

    def __init__(self, table):
        super().__init__()
        self.table, self.asked = table, None

    def forward(self, probs, rows, places):
        self.asked = probs, rows, places
        return self.table[places].repeat(len(probs) // len(places), 1)


def made(method, *words):
    config = compose.load(["device=cpu", f"objective={method}", "distiller=none", *words])
    return build_part(config.objective, Objective)[0]


def softmax(x):
    e = np.exp(x - x.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def believed(probs, table, how):
    """Targets by hand: [N, K] of the method, the index's by image, one of the two or both."""
    found = np.tile(table, (len(probs) // len(table), 1))
    if how == "index":
        return found
    entropy = -(found * np.log(np.maximum(found, 1e-300))).sum(1)
    sure = 1 - entropy[:, None] / np.log(found.shape[1])
    return (1 - sure) * probs + sure * found


def table(seed=0):
    draw = np.random.default_rng(seed)
    return draw.dirichlet(np.full(CLASSES, 0.3), IMAGES)


@pytest.mark.parametrize("how", ["index", "both"])
def test_swapped_targets_are_what_is_believed(how, whole_step):
    """Suave: -q log p between the two views, q the index's word blended with its own shares."""
    own = []
    for labels_from in ("prototypes", how):
        objective = made("suave", f"objective.labels_from={labels_from}", "objective.ramp=0")
        step = step_with(whole_step, "prototypes")
        known = Known(torch.from_numpy(table()))
        if labels_from != "prototypes":
            objective.index = known
        own.append((objective, objective.terms(step)["clustering"], step))
    objective, loss, step = own[1]
    probs = known.asked[0].numpy()
    scores = step.student("large")["prototypes"]
    (found,) = torch.autograd.grad(loss, scores)
    logits = scores.detach().numpy() / objective.temperature
    aims = believed(probs, table(), how)
    swapped = np.concatenate([aims[IMAGES:], aims[:IMAGES]])
    p = softmax(logits)
    expected = -(swapped * np.log(p)).sum(1).mean()
    assert loss.item() == pytest.approx(expected, rel=1e-6)
    gradient = (p * swapped.sum(1, keepdims=True) - swapped) / len(p) / objective.temperature
    np.testing.assert_allclose(found, gradient, rtol=1e-5, atol=1e-7)
    assert own[0][1] != loss


def step_with(whole_step, head):
    """Two large views of five images in float64; scores of the head are leaves."""
    step = whole_step(IMAGES, classes=CLASSES)
    draw = torch.Generator().manual_seed(3)
    scores = torch.randn(2 * IMAGES, CLASSES, generator=draw, dtype=torch.float64)
    rows = torch.randn(2 * IMAGES, 5, generator=draw, dtype=torch.float64)
    heads = {head: scores.requires_grad_(), "projector": rows}
    towards = {head: torch.zeros(CLASSES, 5, dtype=torch.float64)}
    said = Outputs(rows, heads, towards)
    step.seen["large"] = Seen(student=said, teacher=said, number=2)
    return step


@pytest.mark.parametrize("how", ["index", "both"])
def test_pseudo_labels_are_what_is_believed(how, whole_step):
    """FixMatch: cross-entropy with the likeliest class where it reaches the threshold."""
    words = ("objective.threshold=0.6", f"objective.labels_from={how}")
    objective = made("fixmatch", *words)
    draw = torch.Generator().manual_seed(1)
    weak, strong = (
        torch.randn(IMAGES, CLASSES, generator=draw, dtype=torch.float64) for _ in range(2)
    )
    features = torch.randn(IMAGES, 7, generator=draw, dtype=torch.float64)
    strong.requires_grad_()
    step = whole_step(IMAGES, classes=CLASSES)
    step.seen.clear()
    step.seen["weak"] = Seen(student=Outputs(features, {"classifier": weak}))
    step.seen["strong"] = Seen(student=Outputs(features, {"classifier": strong}))
    objective.index = Known(torch.from_numpy(table(5)))
    loss = objective.terms(step)["pseudo"]
    aims = believed(softmax(weak.numpy()), table(5), how)
    taken, sure = aims.argmax(1), aims.max(1) >= 0.6
    assert 0 < sure.sum() < IMAGES
    p = softmax(strong.detach().numpy())
    expected = -(np.log(p[np.arange(IMAGES), taken]) * sure).mean()
    assert loss.item() == pytest.approx(expected, rel=1e-6)
    gradient = (p - np.eye(CLASSES)[taken]) * sure[:, None] / IMAGES
    (found,) = torch.autograd.grad(loss, strong)
    np.testing.assert_allclose(found, gradient, rtol=1e-5, atol=1e-8)
    unit = features / features.norm(dim=1, keepdim=True)
    torch.testing.assert_close(objective.index.asked[1], unit)


@pytest.mark.parametrize("how", ["index", "both"])
def test_votes_are_what_is_believed(how, whole_step):
    """CSL: the sharpened targets of the other view; entries below 1e-4 are dropped there."""
    objective = made("csl", f"objective.labels_from={how}", "objective.small_views=0")
    step = whole_step(IMAGES, 6, labels=torch.arange(6) % CLASSES, classes=CLASSES)
    objective.index = Known(torch.from_numpy(table(2)))
    loss = objective.terms(step)["consistency"]
    votes = objective.index.asked[0].double().numpy()  # of the large views, by the supports
    aims = believed(votes, table(2), how) ** (1 / objective.sharpening)
    aims /= aims.sum(1, keepdims=True)
    aims[aims < 1e-4] = 0
    swapped = np.concatenate([aims[IMAGES:], aims[:IMAGES]])
    assert loss.item() == pytest.approx(-(swapped * np.log(votes)).sum(1).mean(), rel=1e-4)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.quick(1)
def test_a_run_of_each_learns_from_it(method, small, stream_of):
    words = (f"objective={method}", "objective.labels_from=both", "distiller=none")
    more = ("scenario.classes=4", "scenario.tasks=2", "memory.embeddings=0", "batch.unlabelled=32")
    config = small(*words, *more)
    stream, _ = stream_of(config)
    terms = []
    for labels_from in ("both", "prototypes"):
        section = {**config.objective, "labels_from": labels_from}
        learner = Learner(config.model_copy(update={"objective": section}))
        learner.begin(stream.experiences[0], stream.images)
        loss, found = learner.loss(learner.forward(learner.batch(0, 0)))
        learner.backward(loss)
        assert loss.isfinite()
        terms.append({name: term.item() for name, term in found.items()})
    assert terms[0].keys() == terms[1].keys()


def test_an_index_of_the_tasks_classes_tells_no_others_apart():
    with pytest.raises(InputError, match="among=seen"):
        made("fixmatch", "objective.labels_from=index", "objective.among=seen")
