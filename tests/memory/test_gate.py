"""Images of no class do not count, and none counts twice."""

import pytest
import torch

from contsemi.learner.learner import Learner
from contsemi.learner.loop import fit
from contsemi.memory.gate import fits

NONE = torch.empty(0, dtype=torch.int64)


def cloud(centre, count, seed, spread=0.3):
    draw = torch.Generator().manual_seed(seed)
    return torch.tensor(centre) + spread * torch.randn(count, len(centre), generator=draw)


FIRST, SECOND, THIRD = [5.0, 0.0, 0.0], [-5.0, 0.0, 0.0], [0.0, 6.0, 0.0]


def test_images_between_or_beside_the_classes_are_left_out():
    pool = torch.cat([cloud(FIRST, 40, 0), cloud(SECOND, 40, 1), cloud(THIRD, 60, 2)])
    labelled = torch.cat([cloud(FIRST, 4, 3), cloud(SECOND, 4, 4)])
    labels = torch.tensor([0] * 4 + [1] * 4)
    said = torch.tensor([0] * 40 + [1] * 40 + [0] * 30 + [1] * 30)
    found = fits(pool, said, labelled, labels, means=pool[:0], of=NONE)
    assert not found[80:].any()
    assert found[:80].float().mean() > 0.3  # about as many as the median lets through


def test_what_is_predicted_and_what_is_near_must_agree():
    pool = torch.cat([cloud(FIRST, 40, 0), cloud(SECOND, 40, 1)])
    labelled = torch.cat([cloud(FIRST, 6, 3), cloud(SECOND, 6, 4)])
    labels = torch.tensor([0] * 6 + [1] * 6)
    wrong = torch.tensor([1] * 40 + [0] * 40)
    assert not fits(pool, wrong, labelled, labels, means=pool[:0], of=NONE).any()


def test_classes_of_which_only_the_mean_is_left_take_their_images():
    pool = torch.cat([cloud(FIRST, 40, 0), cloud(SECOND, 40, 1)])
    labelled, labels = cloud(FIRST, 6, 3), torch.zeros(6, dtype=torch.int64)
    said = torch.tensor([0] * 40 + [4] * 40)
    found = fits(pool, said, labelled, labels, means=torch.tensor([SECOND]), of=torch.tensor([4]))
    assert found[40:].any()


@pytest.mark.parametrize("labels", [[0], [0, 1]])
def test_one_label_a_class_lets_the_nearer_half_through(labels):
    pool = torch.cat([cloud(FIRST, 40, 0), cloud(SECOND, 40, 1)])
    rows = torch.tensor([FIRST, SECOND])[: len(labels)]
    said = torch.tensor([0] * 40 + [1] * 40)
    found = fits(pool, said, rows, torch.tensor(labels), means=pool[:0], of=NONE)
    assert 0 < found.sum() <= 40


def test_an_empty_pool_and_no_class_at_all():
    rows = torch.ones(3, 2)
    assert fits(rows[:0], NONE, rows, NONE.new_zeros(3), means=rows[:0], of=NONE).shape == (0,)
    assert not fits(rows, NONE.new_zeros(3), rows[:0], NONE, means=rows[:0], of=NONE).any()


@pytest.mark.quick(1)
@pytest.mark.parametrize("unlabelled", ["seen", "current"])
def test_each_image_counts_once_whatever_the_pools_share(unlabelled, small, stream_of):
    config = small("predict=moments", "optim.epochs=1", f"scenario.unlabelled={unlabelled}")
    stream, _ = stream_of(config)
    learner = Learner(config)
    for experience in stream.experiences[:3]:
        fit(learner, experience, stream.images)
    images = sum(len(each.unlabelled) for each in stream.experiences[:3])
    if unlabelled == "seen":
        images = len(stream.experiences[2].unlabelled)
        assert 0 <= learner.inference.decides.left_out <= 1
    else:
        assert learner.inference.decides.left_out is None
    counts = learner.inference.decides.kept.counts
    assert counts.sum() <= images + 1e-3
    assert unlabelled == "seen" or torch.isclose(counts.sum(), torch.tensor(float(images)))


def test_what_has_counted_is_saved(small, stream_of):
    config = small("predict=moments", "optim.epochs=1", "scenario.unlabelled=seen")
    stream, _ = stream_of(config)
    first, second = Learner(config), Learner(config)
    fit(first, stream.experiences[0], stream.images)
    state = {name: dict(value) for name, value in first.state().items()}
    second.restore(state, stream.experiences[0], stream.images, step=None)
    for learner in (first, second):
        fit(learner, stream.experiences[1], stream.images)
    counts = [learner.inference.decides.kept.counts for learner in (first, second)]
    assert torch.equal(*counts)
