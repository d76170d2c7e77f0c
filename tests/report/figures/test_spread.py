"""Labels beside curves do not cover each other."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from contsemi.report.figures.spread import spread


@given(st.lists(st.floats(0, 100), max_size=25), st.floats(0.1, 20))
def test_labels_keep_order_distance_and_range(wanted, gap):
    places = spread(wanted, gap=gap, low=0, high=100)
    gap = min(gap, 100 / max(len(wanted) - 1, 1))
    assert len(places) == len(wanted)
    assert all(-1e-6 <= place <= 100 + 1e-6 for place in places)
    order = sorted(range(len(wanted)), key=lambda i: wanted[i])
    for lower, upper in itertools.pairwise(order):
        assert places[upper] - places[lower] >= gap - 1e-6


def test_labels_with_room_stay_where_they_are():
    assert spread([50, 10, 90], gap=5, low=0, high=100) == [50, 10, 90]


def test_touching_labels_share_the_displacement():
    assert spread([50, 50], gap=4, low=0, high=100) == [48, 52]
    assert spread([0, 0], gap=4, low=0, high=100) == [0, 4]
