"""One more negative for each query: what another image shows, on the query's own background."""

from dataclasses import replace

import pytest
import torch

from contsemi import compose
from contsemi.devices.ranks import Ranks
from contsemi.learner.learner import Learner
from contsemi.learner.parts import build_part
from contsemi.learner.task import TaskRows
from contsemi.memory.exemplars import Exemplars
from contsemi.objectives.objective import Objective
from contsemi.pipeline.unread import notes
from contsemi.stores.resident import Resident
from contsemi.views.background import swapped
from contsemi.views.saliency import spectral_masks

SWAP = ("views.policies.large.background=swap", "views.policies.large.background_probability=1")
METHODS = {"mochi": "contrast", "xmoco": "contrast", "ifnd": "contrast", "interclr": "intra"}


def made(*words):
    config = compose.load(["device=cpu", *words])
    return build_part(config.objective, Objective)[0], config


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("both_ways", [False, True])
@pytest.mark.quick(3)
def test_the_first_contrast_is_with_that_negative_alone(
    method, both_ways, pairs_step, seen, random
):
    """Before the queue has a row the loss is that of two candidates: value and gradient."""
    objective, config = made(f"method={method}")
    if both_ways and method == "interclr":
        pytest.skip("it has one query an image")
    step = pairs_step(6, [2, 0], both_ways=both_ways)
    number = 2 if both_ways else 1
    onto = random(6 * number, 5, seed=99).double()
    step.seen["swapped"] = seen(teacher=onto, number=number)
    loss = objective.terms(step)[METHODS[method]]
    query = step.student("query")["projector"]
    (found,) = torch.autograd.grad(loss, query)
    q = query.detach().numpy().copy()
    key = (step.teacher("query") if both_ways else step.teacher("key"))["projector"].numpy()
    if both_ways:
        key = torch.from_numpy(key).view(2, 6, 5).flip(0).flatten(0, 1).numpy()
    leaf = torch.from_numpy(q).requires_grad_()
    u = leaf / leaf.norm(dim=1, keepdim=True)
    k, n = (torch.from_numpy(x) for x in (key, onto.numpy()))
    k, n = k / k.norm(dim=1, keepdim=True), n / n.norm(dim=1, keepdim=True)
    difference = ((u * n).sum(1) - (u * k).sum(1)) / config.objective["temperature"]
    rows = len(q) + 2 * number  # labelled queries have no such negative and lose nothing
    expected = torch.log1p(difference.exp()).sum() / rows
    torch.testing.assert_close(loss, expected)
    (wanted,) = torch.autograd.grad(expected, leaf)
    torch.testing.assert_close(found, wanted)


TINY = ("method=mochi", "scenario.classes=4", "scenario.tasks=2", "batch.unlabelled=16")


@pytest.fixture
def begun(small, stream_of):
    """A learner in its first task, and the images with their masks."""
    learner = Learner(small(*TINY, *SWAP))
    stream, _ = stream_of(learner.config)
    images = torch.cat([stream.images, spectral_masks(stream.images)[:, None]], dim=1)
    learner.begin(stream.experiences[0], images)
    return learner, images


def test_each_shows_another_image_of_the_pool_on_its_own_background(begun):
    learner, images = begun
    batch = learner.batch(0, 0)
    found = learner.task.others(batch, 0)["swapped"]
    views = learner.needs.views["swapped"].number
    pool = learner.task.experience.unlabelled
    ids = batch.unlabelled_ids.repeat(views)
    assert len(found) == len(ids)
    for shown, own in zip(found, ids, strict=True):
        all_others = swapped(images[pool], images[own].expand(len(pool), -1, -1, -1))
        same = (all_others == shown).flatten(1).all(1)
        assert (same & (pool != own)).any()
    assert not torch.equal(found, learner.task.others(batch, 1)["swapped"])
    seen = learner.forward(batch).seen["swapped"]
    assert seen.student is None and len(seen.teacher["projector"]) == len(ids)


def test_processes_share_them_out(begun):
    learner, images = begun
    whole = learner.task.others(learner.batch(0, 0), 0)["swapped"]
    views = learner.needs.views["swapped"].number
    for rank in range(3):
        ranks = Ranks(rank, 3)
        rows = TaskRows(
            learner.task.experience,
            Resident(images),
            Exemplars(0),
            learner.needs,
            learner.config,
            device=learner.device,
            ranks=ranks,
        )
        found = rows.others(rows.batch(0, 0), 0)["swapped"]
        expected = whole.unflatten(0, (views, -1))[:, ranks.share(16)].flatten(0, 1)
        assert torch.equal(found, expected)


def test_a_pool_of_one_image_has_no_other(begun):
    learner, _ = begun
    task = learner.task
    batch = replace(learner.batch(0, 0), places=torch.zeros(16, dtype=torch.int64))
    task.pool_ids = task.pool_ids[:1]
    assert task.others(batch, 0) == {}
    assert "swapped" not in learner.forward(batch).seen


@pytest.mark.quick(2)
@pytest.mark.parametrize(
    "words",
    [
        (),
        ("views.policies.large.background=random",),
        (SWAP[0], "views.policies.large.background_probability=0"),
        ("method=ascl", "objective.form=batch", *SWAP),
        ("method=byol", *SWAP),
    ],
)
def test_nobody_else_asks_for_them(words, small):
    learner = Learner(small(*(TINY if "method" not in "".join(words) else ()), *words))
    assert not any(view.swapped for view in learner.needs.views.values())
    told = any("does what random does" in note for note in notes(learner.config, learner, []))
    assert told == (SWAP[0] in words and SWAP[1] in words)
