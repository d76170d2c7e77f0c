import torch

from contsemi.blocks.visits import Visits
from contsemi.types import Experience


def begin(visits, ids):
    ids = torch.as_tensor(ids)
    nothing = torch.empty(0, dtype=torch.int64)
    visits.begin(Experience(0, (0,), 0, 1, nothing, nothing, ids))


def test_the_visit_before_is_the_one_before():
    visits = Visits()
    begin(visits, [0, 5])
    first, second, third = torch.eye(3)[:, None]
    for row in (first, second, third):
        visits.push(row, torch.tensor([5]))
    assert torch.equal(visits.before.at(visits.places(torch.tensor([5])))[0], second)
    assert torch.equal(visits.latest.at(visits.places(torch.tensor([5])))[0], third)


def test_of_an_image_that_comes_twice_in_a_step_the_last_row_counts():
    visits = Visits()
    begin(visits, [0, 1])
    visits.push(torch.eye(2), torch.tensor([1, 1]))
    assert not visits.before.filled.any()
    visits.push(torch.eye(2), torch.tensor([1, 1]))
    assert torch.equal(
        visits.before.at(visits.places(torch.tensor([1])))[0], torch.tensor([[0.0, 1.0]])
    )


def test_who_never_came_before_has_no_neighbours_and_is_none():
    visits = Visits()
    begin(visits, range(4))
    rows = torch.nn.functional.normalize(torch.randn(4, 3), dim=1)
    ids = torch.arange(4)
    visits.push(rows, ids)
    anyone = torch.ones(4, 4, dtype=torch.bool)
    assert not visits.nearest(ids, ids, 4, anyone).any()
    visits.push(torch.randn(2, 3), ids[:2])
    near = visits.nearest(ids, ids, 4, anyone)
    expected = torch.zeros(4, 4, dtype=torch.bool)
    expected[:2, :2] = True
    assert torch.equal(near, expected)
    unknown = torch.tensor([0, -1, 77, 1])
    near = visits.nearest(unknown, unknown, 4, anyone)
    assert near.any(1).tolist() == [True, False, False, True]


def test_nearest_are_the_nearest_of_the_visits_before():
    visits = Visits()
    begin(visits, range(20))
    draw = torch.Generator().manual_seed(0)
    old = torch.nn.functional.normalize(torch.randn(20, 4, generator=draw), dim=1)
    ids = torch.arange(20)
    visits.push(old, ids)
    visits.push(torch.randn(20, 4, generator=draw), ids)
    others = ids.flip(0)
    near = visits.nearest(ids, others, 3, torch.ones(20, 20, dtype=torch.bool))
    scores = old @ old[others].T
    assert torch.equal(near, scores >= scores.sort(descending=True).values[:, 2:3])


def test_a_task_has_tables_of_its_own_images_alone():
    visits = Visits()
    nothing = torch.empty(0, dtype=torch.int64)
    assert visits.places(torch.tensor([3])).tolist() == [-1]
    pool, labelled = torch.tensor([9, 5, 700]), torch.tensor([5, 2])
    visits.begin(Experience(0, (0,), 0, 1, labelled, nothing, pool))
    assert visits.latest.slots == visits.before.slots == 4
    assert visits.places(torch.tensor([700, 2, 3, -1])).tolist() == [3, 0, -1, -1]
    visits.push(torch.eye(2), torch.tensor([700, 3]))
    begin(visits, [6])
    assert visits.latest.slots == 1 and not visits.latest.filled.any()
