"""What is said of two configurations that differ."""

from hypothesis import example, given
from hypothesis import strategies as st

from contsemi.storage.differences import differences


def test_a_method_stands_for_the_keys_that_come_with_it():
    old = {"method": "contsemi", "objective": {"name": "suave"}, "seed": 0}
    new = {"method": "paws", "objective": {"name": "paws"}, "seed": 1}
    assert differences(old, new) == ["method (contsemi -> paws)"]
    assert differences(old, new | {"method": "contsemi"}) == [
        "objective.name (suave -> paws)",
        "seed (0 -> 1)",
    ]


def test_long_values_show_where_they_part():
    names = [f"class {i}" for i in range(40)]
    (said,) = differences({"order": names}, {"order": [*names[:-1], "class 77"]})
    assert "class 39" in said and "class 77" in said and len(said) < 120


@given(st.text(max_size=90), st.text(max_size=90), st.text(max_size=90))
@example("x" * 60, "", "y")
@example("x" * 90, "a" * 41, "a" * 42)
def test_two_values_never_look_the_same(start, one, other):
    found = differences({"key": start + one}, {"key": start + other})
    if one == other:
        assert found == []
    else:
        old, _, new = found[0].removeprefix("key (").removesuffix(")").partition(" -> ")
        assert old != new or " -> " in start + one + other
