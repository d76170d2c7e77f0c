"""A task's images: what is known of them, and that each network looks at them once."""

import pytest
import torch

from contsemi.learner.learner import Learner
from contsemi.learner.loop import Hooks, fit


@pytest.fixture
def learner(small, stream_of):
    """In its second task."""
    config = small("optim.epochs=1", "memory.embeddings=50", "distiller.neighbours=3")
    stream, _ = stream_of(config)
    made = Learner(config)
    fit(made, stream.experiences[0], stream.images)
    made.begin(stream.experiences[1], stream.images)
    return made


def test_only_labels_of_the_run_are_in_it(learner):
    pool, experience = learner.inference.pool, learner.experience
    known = dict(zip(experience.labelled.tolist(), experience.labels.tolist(), strict=True))
    expected = [known.get(number, -1) for number in experience.unlabelled.tolist()]
    assert pool.labels.tolist() == expected and max(expected) >= 0 > min(expected)


def test_places_are_positions_in_the_pool(learner):
    pool, places = learner.inference.pool, torch.tensor([5, 0, 7])
    rows = learner.task.images.take(learner.experience.unlabelled[places])
    assert torch.equal(pool.images(places), rows)
    alone = learner.inference.look(rows)["projector"]
    torch.testing.assert_close(pool.outputs("predicting")["projector"][places], alone)


def test_a_network_that_is_not_there_is_said(learner):
    with pytest.raises(ValueError, match="no network 'teacher'"):
        learner.inference.pool.outputs("teacher")


def test_at_the_end_of_a_task_each_network_sees_each_image_of_it_once(learner, small, stream_of):
    size = len(learner.experience.unlabelled)
    counts = {"student": 0, "past": 0}
    learner.network.register_forward_hook(
        lambda _, seen, __: counts.update(student=counts["student"] + len(seen[0]))
    )
    learner.networks.pasts[0].register_forward_hook(
        lambda _, seen, __: counts.update(past=counts["past"] + len(seen[0]))
    )
    learner.inference.forget()
    learner.end()
    few = len(learner.experience or []) + 2 * len(learner.exemplars) + 200
    assert size <= counts["student"] < size + few
    assert size <= counts["past"] < size + few


def test_what_was_said_is_forgotten_after_a_step(small, stream_of):
    config = small("optim.epochs=1")
    stream, _ = stream_of(config)
    pools = []

    class Look(Hooks):
        def after_update(self, loop):
            pools.append(loop.learner.inference.pool)

    fit(Learner(config), stream.experiences[0], stream.images, Look())
    assert len({id(pool) for pool in pools}) == len(pools)


def test_its_labelled_images_are_those_at_hand_exemplars_among_them(learner):
    pool, task = learner.inference.pool, learner.task
    outputs, columns = pool.labelled("predicting", "projector")
    assert torch.equal(columns, task.labels) and task.from_memory.any()
    torch.testing.assert_close(
        outputs["projector"], learner.inference.look(task.labelled)["projector"]
    )


def test_the_nearest_rows_are_those_of_greatest_cosine(learner):
    rows = torch.nn.functional.normalize(torch.randn(30, 6), dim=1)
    cosines, places = learner.inference.pool.nearest(rows, 4)
    dense = (rows.double() @ rows.double().T).topk(4, dim=1)
    torch.testing.assert_close(cosines.double(), dense.values, atol=1e-5, rtol=0)
    assert torch.equal(places, dense.indices) and torch.equal(places[:, 0], torch.arange(30))
