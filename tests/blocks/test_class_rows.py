import pytest
import torch

from contsemi.blocks.class_rows import ClassRows
from contsemi.types import Experience


def experience(classes):
    empty = torch.empty(0, dtype=torch.int64)
    return Experience(0, tuple(range(classes)), 0, classes, empty, empty, empty)


def filled(stored, *batches):
    for rows, labels in batches:
        stored.hold(torch.tensor(rows)[:, None], torch.tensor(labels))
        stored.after_step()
    return stored


def ring(stored, column):
    return sorted(stored.rows[stored.labels == column][:, 0].tolist())


def test_old_classes_are_not_pushed_out():
    stored = ClassRows("head", 2)
    stored.begin(experience(2))
    filled(stored, ([1.0, 2.0, 3.0], [0, 1, 0]))
    stored.begin(experience(3))
    filled(stored, *[([float(10 + i)] * 4, [2] * 4) for i in range(5)], ([4.0], [0]))
    assert [ring(stored, c) for c in range(3)] == [[3.0, 4.0], [2.0], [14.0, 14.0]]
    assert stored.directions()[1].tolist() == [True] * 3
    assert stored.memory_bytes == 5 * (4 + 8)


def test_one_queue_pushes_them_out():
    stored = ClassRows("head", 4, one_queue=True)
    stored.begin(experience(3))
    filled(stored, ([1.0, 2.0], [0, 1]), ([5.0, 6.0, 7.0, 8.0], [2] * 4))
    assert sorted(stored.labels.tolist()) == [2] * 4
    assert stored.directions()[1].tolist() == [False, False, True]


def test_the_queue_wraps_or_drops():
    for drop, expected in ((False, [5.0, 2.0, 3.0, 4.0]), (True, [1.0, 2.0, 3.0, 4.0])):
        stored = ClassRows("head", 4, one_queue=True, drop_overflow=drop)
        stored.begin(experience(1))
        filled(stored, ([1.0, 2.0, 3.0], [0] * 3), ([4.0, 5.0], [0] * 2))
        assert stored.rows[:, 0].tolist() == expected
        filled(stored, ([9.0], [0]))
        assert stored.rows[:, 0].tolist() == ([5.0, 9.0] if not drop else [9.0, 2.0]) + [3.0, 4.0]


@pytest.mark.parametrize("number", [3, 4, 7, 9])
def test_more_rows_than_there_is_room_for(number):
    values = [float(i) for i in range(number)]
    for one_queue in (False, True):
        stored = ClassRows("head", 3, one_queue=one_queue)
        stored.begin(experience(1))
        filled(stored, (values, [0] * number))
        assert sorted(stored.rows[:, 0].tolist()) == values[-3:]


def test_nothing_enters_before_the_optimiser_steps():
    stored = ClassRows("head", 2)
    stored.begin(experience(1))
    stored.hold(torch.ones(1, 3), torch.zeros(1, dtype=torch.int64))
    assert not stored.directions()[1].any()
    stored.after_step()
    stored.after_step()
    assert stored.directions()[1].all()
    assert int((stored.labels >= 0).sum()) == 1


def test_labels_of_no_class_are_dropped():
    stored = ClassRows("head", 2)
    stored.begin(experience(1))
    filled(stored, ([1.0, 2.0], [-1, 0]))
    assert ring(stored, 0) == [2.0] and int((stored.labels >= 0).sum()) == 1


@pytest.mark.parametrize("one_queue", [False, True])
def test_state_comes_back(one_queue):
    stored, again = (ClassRows("head", 3, one_queue=one_queue) for _ in range(2))
    for each in (stored, again):
        each.begin(experience(2))
    filled(stored, ([1.0, 2.0, 3.0], [0, 1, 0]))
    again.load_state_dict(stored.state_dict())
    for each in (stored, again):
        each.begin(experience(3))
        filled(each, ([7.0, 8.0], [2, 0]))
    assert torch.equal(stored.rows, again.rows) and torch.equal(stored.labels, again.labels)


class ThePool:
    labels = torch.tensor([-1, 2, 0, -1])

    def outputs(self, network, *heads):
        assert (network, heads) == ("teacher", ("head",))
        return {"head": torch.arange(4.0)[:, None]}


def test_a_task_begins_with_the_labelled_images_of_its_pool():
    stored = ClassRows("head", 2)
    assert stored.refresh_every == "task"
    stored.begin(experience(3))
    stored.refresh(ThePool())
    assert [ring(stored, c) for c in range(3)] == [[2.0], [], [1.0]]
    assert ClassRows("head", 2, one_queue=True).refresh_every is None  # as in the paper


def test_as_released_the_queue_begins_with_noise_that_batches_replace():
    stored = ClassRows("head", 6, one_queue=True, noise=3)
    stored.begin(experience(4))
    assert stored.rows.shape == (6, 3) and stored.rows.abs().min() > 0
    assert set(stored.labels.tolist()) <= set(range(4))
    before = stored.rows.clone()
    stored.hold(torch.ones(4, 3), torch.tensor([1, 1, 2, 3]))
    stored.after_step()
    assert torch.equal(stored.rows[:4], torch.ones(4, 3))
    assert torch.equal(stored.rows[4:], before[4:])
    stored.begin(experience(6))  # a later task goes on with what is there
    assert torch.equal(stored.rows[:4], torch.ones(4, 3))
