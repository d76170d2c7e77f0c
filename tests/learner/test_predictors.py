"""Predictors from one pass of outputs, against plain NumPy and scikit-learn."""

import numpy as np
import pytest
import torch
from scipy.special import softmax
from sklearn.neighbors import KNeighborsClassifier

from contsemi.learner import predictors
from contsemi.learner.learner import Learner
from contsemi.learner.loop import fit
from contsemi.memory.embeddings import Embeddings
from contsemi.types import Outputs

CLASSES, WIDTH = 4, 6


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def made(rows, *heads, seed=0):
    draw = torch.Generator().manual_seed(seed)
    sizes = {"projector": WIDTH, "prototypes": CLASSES, "classifier": CLASSES}
    outputs = {head: torch.randn(rows, sizes[head], generator=draw) for head in heads}
    return Outputs(torch.randn(rows, 9, generator=draw), outputs)


def memory(rows=0):
    kept = Embeddings(rows, "torch")
    if rows:
        draw = torch.Generator().manual_seed(5)
        embeddings = torch.nn.functional.normalize(torch.randn(rows, WIDTH, generator=draw), dim=1)
        # Of a time when there were two classes.
        probs = torch.rand(rows, 2, generator=draw).softmax(1)
        kept.add(embeddings, probs, torch.arange(rows), 0)
    return kept


def all_of(outputs, labelled, kept):
    return predictors.predictions(outputs, labelled, kept, num_seen=CLASSES, index="torch")


def test_heads_are_taken_as_they_are():
    outputs = made(5, "projector", "prototypes", "classifier")
    found = all_of(outputs, None, memory())
    assert found.keys() == {"prototypes", "classifier"}
    assert all(found[name] is outputs[name] for name in found)


def test_neighbours_equal_numpy():
    outputs, supports = made(50, "projector"), made(30, "projector", seed=1)
    labels = torch.arange(30) % 3  # class 3 has no support
    labels[0] = 1
    found = all_of(outputs, (supports, labels), memory())
    assert found.keys() == {"neighbours", "index"}
    cosines = unit(outputs["projector"].numpy()) @ unit(supports["projector"].numpy()).T
    counts = np.bincount(labels, minlength=CLASSES)
    votes = np.exp(10 * cosines) / counts[labels]
    shares = votes @ np.eye(CLASSES)[labels] / votes.sum(1, keepdims=True)
    np.testing.assert_allclose(found["neighbours"].exp(), shares, rtol=1e-4, atol=1e-6)
    assert found["neighbours"].isfinite().all()


@pytest.mark.parametrize("heads", [("projector",), ()])
def test_index_equals_scikit_learn(heads):
    """Over the projector's embeddings, or the features of a network without one."""
    outputs, supports = made(50, *heads), made(40, *heads, seed=1)
    labels = torch.arange(40) % CLASSES
    found = all_of(outputs, (supports, labels), memory())["index"]
    queries, rows = (
        (each["projector"] if heads else each.features).numpy() for each in (outputs, supports)
    )
    nearest = KNeighborsClassifier(
        predictors.NEAREST,
        metric="cosine",
        weights=lambda distances: softmax((1 - distances) / predictors.TEMPERATURE, axis=1),
    ).fit(rows, labels)
    np.testing.assert_allclose(found, nearest.predict_proba(queries), rtol=1e-3, atol=1e-5)


def test_index_searches_embeddings_and_labelled_images():
    outputs, supports = made(20, "projector"), made(8, "projector", seed=1)
    labels, kept = torch.arange(8) % CLASSES, memory(6)
    found = all_of(outputs, (supports, labels), kept)["index"]
    past = kept.view()
    rows = np.concatenate([unit(supports["projector"].numpy()), past.embeddings.numpy()])
    votes = np.concatenate([np.eye(CLASSES)[labels], np.pad(past.probs.numpy(), ((0, 0), (0, 2)))])
    weights = softmax(10 * unit(outputs["projector"].numpy()) @ rows.T, axis=1)  # all 14 vote
    np.testing.assert_allclose(found, weights @ votes, rtol=1e-4, atol=1e-6)
    assert all_of(outputs, None, kept).keys() == {"index"}


@pytest.mark.thorough
def test_a_learner_has_them_all_and_embeds_the_labelled_images_once(small, stream_of):
    config = small("method=nncsl", "optim.epochs=1", "memory.embeddings=0")
    stream, _ = stream_of(config)
    learner = Learner(config)
    for experience in stream.experiences[:2]:
        fit(learner, experience, stream.images)
    rows = []
    hook = learner.network.register_forward_hook(lambda *seen: rows.append(len(seen[1][0])))
    images = stream.images[:30]
    found = learner.inference.predictions(learner.inference.look(images))
    again = learner.inference.predictions(learner.inference.look(images))
    hook.remove()
    assert found.keys() == {"headline", "classifier", "neighbours", "index"}
    assert sum(rows) == 2 * 30 + len(learner.exemplars)
    assert all(scores.shape == (30, 4) and scores.isfinite().all() for scores in found.values())
    assert all(torch.equal(found[name], again[name]) for name in found)
    assert torch.equal(found["headline"], learner.predict(images))


def test_nothing_labelled_is_left_without_exemplars(small, stream_of):
    config = small("method=finetune", "optim.epochs=1", "memory.exemplars=0")
    stream, _ = stream_of(config)
    learner = Learner(config)
    fit(learner, stream.experiences[0], stream.images)
    assert learner.inference.predictions(learner.inference.look(stream.images[:3])).keys() == {
        "headline",
        "classifier",
    }
