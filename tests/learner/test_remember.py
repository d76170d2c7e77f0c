"""What a learner keeps when a task is over, by policy and within bytes; nothing is trained."""

import pytest
import torch

from contsemi.learner.kept import without_exemplars
from contsemi.learner.learner import Learner


def after_two_tasks(small, stream_of, *words):
    config = small("distiller=nnd", *words)
    stream, _ = stream_of(config)
    learner = Learner(config)
    for experience in stream.experiences[:2]:
        learner.begin(experience, stream.images)
        learner.end()
    return learner


@pytest.mark.parametrize("selection", ["first", "reservoir", "herding", "kmeans", "margin"])
@pytest.mark.quick(1)
def test_each_policy_keeps_a_balanced_part(small, stream_of, selection):
    words = (f"memory.selection={selection}", "memory.exemplars=16")
    learner, again = (after_two_tasks(small, stream_of, *words) for _ in range(2))
    assert torch.bincount(learner.exemplars.labels).tolist() == [4, 4, 4, 4]
    assert torch.equal(learner.exemplars.ids, again.exemplars.ids)


@pytest.mark.thorough
def test_policies_differ(small, stream_of):
    kept = {
        selection: tuple(
            after_two_tasks(
                small, stream_of, f"memory.selection={selection}", "memory.exemplars=16"
            ).exemplars.ids.tolist()
        )
        for selection in ("first", "reservoir", "herding", "margin")
    }
    assert len(set(kept.values())) == 4


@pytest.mark.thorough
def test_images_and_embeddings_share_the_bytes(small, stream_of):
    words = ("memory.exemplars=1000", "memory.pseudo_labels=0.0", "memory.embeddings=40")
    words += ("distiller.neighbours=5",)
    learner = after_two_tasks(small, stream_of, *words, "memory.bytes=20000")
    assert 19_000 < learner.memory_bytes <= 20_000
    assert len(learner.embeddings) == 40 and len(learner.exemplars) > 50
    words += ("predict=objective",)
    learner = after_two_tasks(small, stream_of, *words, "memory.bytes=1000")
    assert 800 < learner.memory_bytes <= 1000 and len(learner.exemplars) == 0


@pytest.mark.parametrize("drift", ["none", "translation", "linear", "mlp"])
@pytest.mark.quick(3)
def test_rows_of_kept_images_are_the_present_networks(small, stream_of, drift):
    config = small(
        "distiller=nnd",
        "distiller.neighbours=5",
        "memory.embeddings=400",
        "memory.pseudo_labels=0.0",
        f"memory.drift={drift}",
    )
    stream, _ = stream_of(config)
    learner = Learner(config)
    first, second = stream.experiences[:2]
    learner.begin(first, stream.images)
    learner.end()
    images, ids = learner.exemplars.images.clone(), learner.exemplars.ids.clone()
    learner.begin(second, stream.images)
    with torch.no_grad():
        for value in learner.networks.predicting.parameters():
            value.mul_(1 + 0.3 * torch.rand_like(value))
    learner.end()
    row = {
        int(i): row for i, row in zip(learner.embeddings.ids, learner.embeddings.rows, strict=True)
    }
    fresh = learner.inference.look(images)["projector"]
    both = [(row[int(i)].float(), f) for i, f in zip(ids, fresh, strict=True) if int(i) in row]
    assert both
    for stored, now in both:
        torch.testing.assert_close(
            stored, torch.nn.functional.normalize(now, dim=0), atol=2e-3, rtol=0
        )


@pytest.mark.quick(1)
@pytest.mark.parametrize(
    "words",
    [
        ["memory.exemplars=3"],  # fewer than the classes
        ["memory.exemplars=100", "memory.bytes=700"],
        ["memory.exemplars=0", "objective=suave", "distiller=nnd"],
    ],
)
def test_classes_of_which_no_image_is_kept_are_named(words, small, stream_of):
    chosen = [] if any(word.startswith("objective=") for word in words) else ["objective=csl"]
    filled = [] if "memory.exemplars=0" in words else ["memory.pseudo_labels=null"]
    config = small(*chosen, *words, "optim.epochs=1", *filled)
    stream, _ = stream_of(config)
    learner = Learner(config)
    for experience in stream.experiences[:3]:
        learner.begin(experience, stream.images)
        learner.end()
    kept = set(learner.exemplars.labels.tolist())
    assert without_exemplars(learner) == [c for c in range(6) if c not in kept] != []


def test_rows_of_the_embedding_memory_stand_for_images_in_distilling(small, stream_of):
    words = ("distiller=nnd", "distiller.neighbours=3", "memory.embeddings=60")
    config = small("objective=suave", *words, "memory.exemplars=3", "optim.epochs=1")
    stream, _ = stream_of(config)
    learner = Learner(config)
    for experience in stream.experiences[:2]:
        learner.begin(experience, stream.images)
        learner.end()
    assert len(set(learner.exemplars.labels.tolist())) < 4
    held = set(learner.embeddings.probs.argmax(1).tolist())
    missing = {0, 1, 2, 3} - held - set(learner.exemplars.labels.tolist())
    assert set(without_exemplars(learner)) == missing


@pytest.mark.parametrize("words", [["objective=suave"], ["objective=swav", "predict=moments"]])
def test_a_method_that_asks_for_no_image_names_no_class(words, small, stream_of):
    config = small(*words, "memory.exemplars=0", "distiller=none", "optim.epochs=1")
    stream, _ = stream_of(config)
    learner = Learner(config)
    learner.begin(stream.experiences[0], stream.images)
    learner.end()
    assert without_exemplars(learner) == []
