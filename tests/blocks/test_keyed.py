"""Queries and keys of a step, one way or both, with labelled images or without."""

import pytest
import torch
from torch.nn import functional

from contsemi.blocks.by_view import by_view, equal_views, labels_of_all
from contsemi.blocks.keyed import keyed, keyed_needs, keyed_views
from contsemi.errors import InputError
from contsemi.types import Outputs, Seen, Step


def said(rows):
    return Outputs(rows[:, :0], {"projector": rows, "predictor": 2 * rows})


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def step_of(seen, unlabelled, labels):
    labels = torch.tensor(labels, dtype=torch.int64)
    return Step(
        seen=seen,
        labels=labels,
        labelled_ids=50 + torch.arange(len(labels)),
        unlabelled_ids=20 + torch.arange(unlabelled),
        places=torch.arange(unlabelled),
        columns=torch.arange(4),
        num_old=0,
        num_seen=4,
        progress=0.0,
        draw=lambda purpose: torch.Generator(),
    )


def unit(rows):
    return functional.normalize(rows, dim=1)


def test_one_way():
    rows = [random(3, 5, seed=i) for i in range(2)] + [random(2, 5, seed=i) for i in range(2, 4)]
    query, key, labelled, labelled_key = rows
    seen = {
        "query": Seen(student=said(query)),
        "key": Seen(teacher=said(key)),
        "labelled": Seen(student=said(labelled)),
        "labelled_key": Seen(teacher=said(labelled_key)),
    }
    found = keyed(step_of(seen, 3, [1, 0]))
    torch.testing.assert_close(found.queries, unit(torch.cat([query, labelled])))
    torch.testing.assert_close(found.keys, unit(torch.cat([key, labelled_key])))
    assert found.labels.tolist() == [-1, -1, -1, 1, 0]
    assert found.ids.tolist() == [20, 21, 22, 50, 51]
    assert found.places.tolist() == [0, 1, 2, -1, -1]
    assert torch.equal(found.others, ~torch.eye(5, dtype=torch.bool))
    assert not found.keys.requires_grad
    assert keyed(step_of({}, 0, [])) is None
    only = {name: each for name, each in seen.items() if "labelled" in name}
    assert len(keyed(step_of(only, 0, [1, 0])).queries) == 2


def test_both_ways_each_view_has_the_other_one_as_key():
    student, teacher = random(6, 5), random(6, 5, seed=1)
    seen = {"query": Seen(student=said(student), teacher=said(teacher), number=2)}
    found = keyed(step_of(seen, 3, []), head="predictor")
    torch.testing.assert_close(found.queries, unit(student))
    torch.testing.assert_close(found.keys, unit(torch.cat([teacher[3:], teacher[:3]])))
    assert found.ids.tolist() == [20, 21, 22] * 2
    assert found.direction.tolist() == [0, 0, 0, 1, 1, 1]
    assert found.others.sum() == 2 * 3 * 2


@pytest.mark.parametrize(("both_ways", "number"), [(False, 1), (True, 2)])
def test_the_views_asked_for_are_those_that_are_read(both_ways, number):
    views = keyed_views(both_ways=both_ways, labelled_views=number, key_policy="weak")
    assert sum(view.number for view in views.values()) == 4
    policies = {view.policy for view in views.values()}
    assert policies == {"large", "labelled"} | (set() if both_ways else {"weak"})
    only = keyed_views(both_ways=both_ways, labelled_views=0)
    assert {view.rows for view in only.values()} == {"unlabelled"}
    with pytest.raises(InputError, match="labelled_views"):
        keyed_views(both_ways=both_ways, labelled_views=3)


def test_all_images_side_by_side_in_each_view():
    large, labelled = random(6, 5), random(4, 5, seed=1)
    seen = {
        "large": Seen(student=said(large), number=2),
        "labelled": Seen(student=said(labelled), number=2),
    }
    step = step_of(seen, 3, [1, 0])
    found = by_view(step, "student", "projector")
    for v in range(2):
        expected = torch.cat([large[3 * v : 3 * v + 3], labelled[2 * v : 2 * v + 2]])
        assert torch.equal(found[v], expected)
    assert labels_of_all(step).tolist() == [-1, -1, -1, 1, 0]
    assert by_view(step, "teacher", "projector") is None
    with pytest.raises(InputError, match="labelled_views"):
        equal_views(2, 1, seen_by=("student",))
    assert equal_views(0, 3, seen_by=("student",))["labelled"].number == 3


def test_negatives_of_the_own_background_are_the_slow_networks_unit_rows():
    swapped = random(3, 5, seed=7).requires_grad_()
    seen = {
        "query": Seen(student=said(random(3, 5))),
        "key": Seen(teacher=said(random(3, 5, seed=1))),
        "labelled": Seen(student=said(random(1, 5, seed=2))),
        "labelled_key": Seen(teacher=said(random(1, 5, seed=3))),
    }
    assert keyed(step_of(seen, 3, [1])).swapped is None
    found = keyed(step_of(seen | {"swapped": Seen(teacher=said(swapped))}, 3, [1])).swapped
    torch.testing.assert_close(found, unit(swapped.detach()))
    assert not found.requires_grad
    given = {"both_ways": True, "labelled_views": 0, "supports_per_class": 0, "teacher": (0.9, 0.9)}
    assert not keyed_needs("projector", **given).if_swapped
    view = keyed_needs("projector", **given, swapped=True).if_swapped["swapped"]
    assert (view.number, view.seen_by, view.swapped) == (2, ("teacher",), True)
