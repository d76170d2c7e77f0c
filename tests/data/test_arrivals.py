import pytest
import torch
from torch import Tensor

from contsemi.data.arrivals import Arrivals


def arrive(arrivals: Arrivals, classes: list[int]):
    rows = torch.arange(len(classes)) + 10
    return arrivals.add(rows, torch.tensor(classes, dtype=torch.int64), torch.arange(5))


def test_columns_are_given_in_order_of_arrival() -> None:
    arrivals = Arrivals()
    first = arrive(arrivals, [42, 7, 42])
    assert (first.index, first.columns, first.num_old, first.num_seen) == (0, (0, 1), 0, 2)
    assert first.labels.tolist() == [1, 0, 1]
    assert first.class_names == ("7", "42")
    second = arrive(arrivals, [99, 3])
    assert (second.index, second.columns, second.num_old, second.num_seen) == (1, (2, 3), 2, 4)
    assert second.labels.tolist() == [3, 2]
    assert arrivals.class_order == [7, 42, 3, 99]


def test_classes_may_return_and_tasks_may_have_no_labels() -> None:
    arrivals = Arrivals()
    arrive(arrivals, [5])
    arrive(arrivals, [2])
    back = arrive(arrivals, [5, 8])
    assert (back.index, back.columns, back.num_old, back.num_seen) == (2, (0, 2), 2, 3)
    none = arrive(arrivals, [])
    assert (none.columns, none.num_old, none.num_seen, len(none.labels)) == ((), 3, 3, 0)
    assert arrivals.columns_of(torch.tensor([2, 8, 9, 0, 5])).tolist() == [1, 2, -1, -1, 0]


def test_the_order_of_rows_does_not_matter() -> None:
    one, other = Arrivals(), Arrivals()
    arrive(one, [3, 1, 2])
    arrive(other, [2, 3, 1])
    assert one.class_order == other.class_order


@pytest.mark.parametrize(
    ("labelled", "classes"),
    [(torch.arange(3), torch.arange(2)), (torch.arange(1), torch.tensor([-1]))],
)
def test_bad_experiences(labelled: Tensor, classes: Tensor) -> None:
    with pytest.raises(ValueError, match=r"classes|class ids"):
        Arrivals().add(labelled, classes, torch.arange(1))


def test_a_pool_with_classes_that_have_no_label_here_may_be_of_all_seen_ones() -> None:
    arrivals, rows = Arrivals(), torch.arange(9)
    first = arrivals.add(rows[:2], torch.tensor([0, 1]), rows, torch.tensor([0, 1]))
    back = arrivals.add(rows[:1], torch.tensor([2]), rows, torch.tensor([1, 2]))
    bare = arrivals.add(rows[:0], rows[:0], rows, torch.tensor([0, 2]))
    assert (first.columns, first.pool_columns) == ((0, 1), (0, 1))
    assert (back.columns, back.pool_columns) == ((2,), (0, 1, 2))
    assert (bare.columns, bare.pool_columns) == ((), (0, 1, 2))


def test_a_pool_of_which_nothing_is_known_is_of_the_labelled_classes_or_of_all_seen() -> None:
    arrivals, rows = Arrivals(), torch.arange(9)
    arrivals.add(rows[:2], torch.tensor([5, 7]), rows)
    assert arrivals.add(rows[:1], torch.tensor([5]), rows).pool_columns == (0,)
    assert arrivals.add(rows[:0], rows[:0], rows).pool_columns == (0, 1)
