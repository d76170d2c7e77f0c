"""A run whose images are read ahead or cut from originals: the same bits however it goes."""

from dataclasses import replace

import pytest
import torch

from contsemi.devices.ranks import ALONE, Ranks
from contsemi.learner.learner import Learner
from contsemi.learner.loop import Hooks, fit
from contsemi.stores.mapped import Mapped

CPU = torch.device("cpu")
FORMS = ("resident", "mapped", "squares", "originals")


class Losses(Hooks):
    def __init__(self, stop=None):
        self.values, self.stop = [], stop

    def before_backward(self, loop):
        self.values.append(loop.loss.item())

    def after_training_iteration(self, loop):
        loop.stop = len(self.values) == self.stop


@pytest.fixture(scope="module")
def config(small):
    return small(
        "precision=fp32",
        "optim.epochs=2",
        "optim.lr=0.003",
        "optim.warmup=0",
        "model=resnet_slim",
        "model.width=4",
        "model.blocks=[1,1]",
        "projector=[8,8]",
        "batch.unlabelled=11",
        "batch.labelled=5",
        "memory.exemplars=9",
        "objective=suave",
        "objective.labelled_views=1",
        "distiller=nnd",
    )


@pytest.fixture(scope="module")
def stream(config, stream_of):
    """Two tasks of few images each, whose rows count from 0."""
    whole, _ = stream_of(config)
    found, start = [], 0
    for each in whole.experiences[:2]:
        rows = torch.arange(start, start + 20)
        found.append(
            replace(
                each,
                unlabelled=rows,
                labelled=rows[:6],
                labels=each.labels[:6],
                coarse=each.coarse[:6],
            )
        )
        start += 20
    return found


@pytest.fixture(scope="module")
def images_of(pictures, shards_of):
    """Makes the images of a form; those of the first three are the same array."""
    squares = shards_of(pictures, 16, False).take(torch.arange(40))

    def make(form):
        if form in ("squares", "originals"):
            return shards_of(pictures, 16, form == "originals")
        return squares if form == "resident" else Mapped(squares, CPU)

    return make


def train(config, stream, images, ranks=ALONE):
    """Losses and scores in float64, where no rounding grows into a difference."""
    learner = Learner(config, ranks, reads_again=True)
    for module in (learner.network, learner.objective, learner.distiller):
        module.double()
    learner.network.register_forward_pre_hook(lambda _, args: (args[0].double(), *args[1:]))
    losses = Losses()
    for experience in stream:
        fit(learner, experience, images, losses)
    outputs = learner.inference.look(images, torch.tensor([3, 0, 39, 3]))
    return losses.values, learner.inference.scores(outputs).tolist()


@pytest.mark.parametrize("form", ["mapped", "squares"])
@pytest.mark.quick(1)
def test_images_that_are_read_ahead_are_those_of_the_array(form, config, stream, images_of):
    alone = train(config, stream, images_of("resident"))
    assert train(config, stream, images_of(form)) == alone
    assert len(alone[0]) == 4


def test_what_is_read_ahead_changes_no_bit(config, stream, images_of, monkeypatch):
    images = images_of("originals")
    expected = train(config, stream, images)
    monkeypatch.setattr(type(images), "expect", lambda *_: None)
    assert train(config, stream, images) == expected
    assert train(config, stream, images_of("squares")) != expected


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("form", "size"),
    [
        pytest.param(form, size, marks=[pytest.mark.slow] * ((form, size) != ("originals", 2)))
        for form in FORMS
        for size in (2, 4)
    ],
)
def test_several_processes_have_the_losses_of_one(form, size, config, stream, images_of, in_ranks):
    images = images_of(form)
    losses, scores = train(config, stream, images)
    for found in in_ranks(lambda ranks: train(config, stream, images, ranks), size):
        assert found[0] == pytest.approx(losses, rel=1e-9, abs=1e-9)
        torch.testing.assert_close(torch.tensor(found[1]), torch.tensor(scores))


@pytest.mark.parametrize("form", ["mapped", "originals"])
def test_a_run_goes_on_inside_a_task_to_the_same_bits(form, config, stream, images_of):
    images = images_of(form)
    whole = Learner(config, reads_again=True)
    for experience in stream:
        fit(whole, experience, images)
    first = Learner(config, reads_again=True)
    fit(first, stream[0], images)
    first.begin(stream[1], images)
    one = Losses(stop=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(first, "end", lambda: None)
        fit(first, stream[1], images, one, (0, 0))
    second = Learner(config, reads_again=True)
    second.restore(first.state(), stream[1], images_of(form), step=1)
    fit(second, stream[1], images_of(form), start=(1, 0))
    for name, value in whole.network.state_dict().items():
        assert torch.equal(value, second.network.state_dict()[name]), name


def test_processes_cut_their_share_of_one_draw(config, stream, images_of):
    images = images_of("originals")
    batches = []
    for ranks in (ALONE, Ranks(0, 2), Ranks(1, 2)):
        learner = Learner(config)
        learner.begin(stream[0], images)
        rows = learner.task
        rows.ranks = rows._reading.ranks = ranks
        batches.append(rows.batch(1, 0))
    whole, *parts = batches
    assert whole.cut and not len(whole.images["unlabelled"])
    for name, crops in whole.cut.items():
        count = whole.count("labelled" if "label" in name else "unlabelled")
        views = len(crops) // count
        for rank, part in enumerate(parts):
            own = crops.view(views, count, *crops.shape[1:])[:, Ranks(rank, 2).share(count)]
            assert torch.equal(part.cut[name], own.flatten(0, 1))
