"""Methods that tell classes apart against references written row by row in numpy, in float64.

One class, one image, one label; more classes than images; old classes beside the task's own; ties
of probabilities; scores too large for a plain exponential. Gradients are those of central
differences of the reference.
"""

import math

import numpy as np
import pytest
import torch

from contsemi.compose import files
from contsemi.objectives.objective import Objective
from contsemi.types import Outputs, Seen

# unlabelled and labelled images, old classes, classes of the task, seed
SHAPES = [
    (1, 0, 0, 1, 0),
    (1, 1, 0, 1, 1),
    (2, 1, 3, 1, 2),
    (3, 5, 0, 7, 3),
    (7, 2, 2, 3, 4),
    (5, 4, 4, 2, 5),
]
SIZE = 4  # of embeddings


def made(name, **keys):
    section = {**files.read(files.find("objective", name)), **keys}
    return Objective.named(section)


def drawn(shape, scale=1.0):
    """Arrays of a step: scores of two unlabelled views and of labelled rows, and embeddings."""
    images, labelled, old, own, seed = shape
    draw = np.random.default_rng(seed)
    classes = old + own
    return {
        "large": scale * draw.standard_normal((2 * images, classes)),
        "labelled": scale * draw.standard_normal((2 * labelled, classes)),
        "rows": draw.standard_normal((2 * images, SIZE)),
        "supports": draw.standard_normal((2 * labelled, SIZE)),
        "labels": old + np.arange(labelled) % own,
        "columns": np.arange(old, classes),
        "images": images,
    }


def log_softmax(x):
    x = np.asarray(x, np.float64)
    top = x.max(1, keepdims=True)
    return x - top - np.log(np.exp(x - top).sum(1, keepdims=True))


def swapped(x):
    return np.concatenate([x[len(x) // 2 :], x[: len(x) // 2]])


def smoothed(labels, classes, epsilon):
    target = np.full((len(labels), classes), epsilon / classes)
    target[np.arange(len(labels)), labels] += 1 - epsilon
    return target


def sinkhorn(scores, epsilon, iterations):
    """Shares [B, K] by alternate scaling of one entry after another."""
    logs = scores / epsilon
    share = np.exp(logs - logs.max())
    for _ in range(iterations):
        share = share / share.sum(0) / share.shape[1]
        share = share / share.sum(1, keepdims=True) / share.shape[0]
    return share / share.sum(1, keepdims=True)


def by_hand(x, arrays, key, objective):
    """The weighted sum of a method's terms, where the array of one key is x."""
    at = {**arrays, key: x}
    return globals()[f"_{objective.__class__.__name__.lower()}"](at, objective)


def _suave(at, objective):
    columns, images = at["columns"], at["images"]
    own = at["large"][:, columns]
    shares = np.concatenate(
        [
            sinkhorn(at["frozen"][v][:, columns], objective.epsilon, objective.iterations)
            for v in (slice(0, images), slice(images, None))
        ]
    )
    clustering = -(swapped(shares) * log_softmax(own / objective.temperature)).sum(1).mean()
    rows, count = len(own), len(at["labelled"])
    if not count:
        return clustering
    target = smoothed(np.tile(at["labels"], 2), at["labelled"].shape[1], objective.smoothing)
    classes = -(target * log_softmax(at["labelled"] / objective.temperature)).sum(1).mean()
    return (clustering * rows + classes * count) / (rows + count)


def _fixmatch(at, objective):
    columns, images = at["columns"], at["images"]
    weak = at["frozen"][:images][:, columns]
    strong = at["large"][images:][:, columns]
    probs = np.exp(log_softmax(weak / objective.temperature))
    loss = 0.0
    for p, logits in zip(probs, log_softmax(strong), strict=True):
        if p.max() >= objective.threshold:
            loss -= logits[np.flatnonzero(p == p.max())[0]]
    return loss / images + _labels(at)


def _labels(at):
    if not len(at["labels"]):
        return 0.0
    logs = log_softmax(at["labelled"])
    return -logs[np.arange(len(logs)), np.tile(at["labels"], 2)].mean()


def _csl(at, objective):
    if not len(at["labels"]):
        return 0.0
    unit = at["rows"] / np.linalg.norm(at["rows"], axis=1, keepdims=True)
    frozen = at["still"] / np.linalg.norm(at["still"], axis=1, keepdims=True)
    supports = at["supports"] / np.linalg.norm(at["supports"], axis=1, keepdims=True)
    present, own = np.unique(np.tile(at["labels"], 2), return_inverse=True)
    soft = smoothed(own, len(present), objective.smoothing)  # a class without a label has no vote
    votes, targets = (
        np.exp(log_softmax(x @ supports.T / objective.temperature)) @ soft for x in (unit, frozen)
    )
    aims = targets ** (1 / objective.sharpening)
    aims /= aims.sum(1, keepdims=True)
    aims[aims < 1e-4] = 0
    loss = -(swapped(aims) * np.log(votes)).sum(1).mean()
    sharp = votes ** (1 / objective.sharpening)
    mean = (sharp / sharp.sum(1, keepdims=True)).mean(0)
    entropy = -sum(m * math.log(m) for m in mean if m > 0)
    return loss - entropy + 0.005 * _labels(at)


def step_by(make_step, arrays, key):
    """The same as a step, and the leaf of the array of a key."""
    at = {k: torch.from_numpy(v.copy()) for k, v in arrays.items() if isinstance(v, np.ndarray)}
    leaf = at[key].requires_grad_()
    images, labels = arrays["images"], at["labels"]
    heads = ("prototypes", "classifier")
    towards = {"prototypes": torch.zeros(at["large"].shape[1], SIZE).double()}

    def said(scores, rows):
        return Outputs(rows, {**dict.fromkeys(heads, scores), "projector": rows}, towards)

    large = said(at["large"], at["rows"])
    seen = {
        "large": Seen(student=large, number=2),
        "weak": Seen(student=large.rows(slice(0, images))),
        "strong": Seen(student=large.rows(slice(images, None))),
    }
    if len(labels):
        rows = said(at["labelled"], at["supports"])
        seen["labelled"] = Seen(student=rows, rows="labelled", number=2)
    classes = at["large"].shape[1]
    old = int(at["columns"][0])
    step = make_step(
        seen=seen, labels=labels, batch_size=images, num_seen=classes, num_old=old,
        columns=at["columns"],
    )  # fmt: skip
    return step, leaf


METHODS = [
    ("suave", {"ramp": 0.0}, "large", 1.0),
    ("suave", {"ramp": 0.0, "iterations": 10, "epsilon": 0.5}, "large", 1.0),
    ("fixmatch", {"threshold": 0.4}, "large", 2.0),
    ("fixmatch", {"threshold": 0.4, "temperature": 0.5}, "labelled", 300.0),
    ("csl", {"small_views": 0}, "rows", 1.0),
]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize(("name", "keys", "key", "scale"), METHODS, ids=str)
def test_values_and_gradients(name, keys, key, scale, shape, make_step):
    objective = made(name, **keys)
    objective.num_seen = shape[2] + shape[3]
    arrays = drawn(shape, scale)
    weights = files.read(files.find("objective", name))["weights"]
    step, leaf = step_by(make_step, arrays, key)
    terms = objective.terms(step)
    arrays |= {"frozen": arrays["large"].copy(), "still": arrays["rows"].copy()}
    expected = by_hand(arrays[key], arrays, key, objective)
    if not terms:
        assert expected == 0
        return
    loss = sum(weights[term] * value for term, value in terms.items())
    assert loss.item() == pytest.approx(expected, rel=1e-8, abs=1e-10)
    if not leaf.numel():
        return
    (found,) = torch.autograd.grad(loss, leaf, allow_unused=True)
    found = np.zeros(leaf.shape) if found is None else found.numpy()
    numeric = np.zeros(leaf.shape)
    for place in np.ndindex(*leaf.shape):
        ends = []
        for way in (1, -1):
            x = arrays[key].copy()
            x[place] += way * 1e-6
            ends.append(by_hand(x, arrays, key, objective))
        numeric[place] = (ends[0] - ends[1]) / 2e-6
    np.testing.assert_allclose(found, numeric, rtol=1e-5, atol=1e-7)


def test_of_tied_classes_the_first_is_taken_and_the_threshold_itself_is_enough(make_step):
    """Two classes of exactly one half each, and a threshold of one half."""
    objective = made("fixmatch", threshold=0.5)
    arrays = drawn((3, 0, 0, 2, 9))
    arrays["large"][:3] = 1.0
    step, _ = step_by(make_step, arrays, "large")
    logs = log_softmax(arrays["large"][3:])
    assert objective.terms(step)["pseudo"].item() == pytest.approx(-logs[:, 0].mean())
