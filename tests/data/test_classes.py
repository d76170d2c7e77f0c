from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contsemi.config import Scenario
from contsemi.data.classes import task_classes
from contsemi.errors import InputError

NAMES = ["apple", "bear", "cat", "dog", "eel", "fox", "goat", "hen", "ibis", "jay"]
KEYS: dict[str, Any] = {
    "name": "test",
    "dataset": "digits",
    "tasks": None,
    "classes": None,
    "class_order": "id",
    "order_seed": None,
    "task_classes": None,
    "labels": None,
    "label_seed": None,
    "unlabelled": "current",
    "unlabelled_share": 1.0,
    "unlabelled_root": None,
}


def tasks(seed: int = 0, names: list[str] = NAMES, **keys: Any) -> list[list[int]]:
    return task_classes(Scenario(**{**KEYS, **keys}), names, seed)


@settings(deadline=None)
@given(st.integers(2, 40), st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_equal_tasks_are_a_partition(classes: int, count: int, seed: int) -> None:
    names = [f"c{n}" for n in range(50)]
    keys = {"tasks": count, "classes": classes, "class_order": "shuffled"}
    if classes % count:
        with pytest.raises(InputError, match=r"scenario\.tasks"):
            tasks(seed, names, **keys)
        return
    made = tasks(seed, names, **keys)
    assert {len(task) for task in made} == {classes // count}
    assert sorted(n for task in made for n in task) == list(range(classes))
    assert made == tasks(seed + 1, names, **keys, order_seed=seed)


def test_orders() -> None:
    assert tasks(tasks=5) == [[0, 1], [2, 3], [4, 5], [6, 7], [8, 9]]
    assert tasks(seed=1, tasks=2, class_order="shuffled") != tasks(
        seed=2, tasks=2, class_order="shuffled"
    )
    assert tasks(tasks=2, classes=4, class_order=["dog", 0, "cat", 1]) == [[3, 0], [2, 1]]
    assert tasks(tasks=2, classes=["jay", "cat", 0, 5]) == [[0, 2], [5, 9]]
    assert tasks(task_classes=[4, 3, 3]) == [[0, 1, 2, 3], [4, 5, 6], [7, 8, 9]]
    assert tasks(task_classes=[["fox", "eel"], ["apple"]]) == [[5, 4], [0]]
    assert tasks(tasks=1) == [list(range(10))]
    assert tasks(tasks=10) == [[n] for n in range(10)]


@pytest.mark.parametrize(("classes", "sizes"), [(2, [2]), (3, [3]), (5, [3, 2]), (10, [2] * 5)])
def test_an_open_number_of_tasks(classes: int, sizes: list[int]) -> None:
    assert [len(task) for task in tasks(classes=classes)] == sizes


def test_names_that_look_like_ids_are_names() -> None:
    assert tasks(names=["1", "0"], task_classes=[["1"], ["0"]]) == [[0], [1]]
    assert tasks(names=["1", "0"], task_classes=[[1], [0]]) == [[0], [1]]


@pytest.mark.parametrize("key", ["task_classes", "classes", "class_order"])
def test_a_bare_number_is_the_class_that_is_called_so(key: str) -> None:
    names = ["2", "3", "1", "40"]
    given = [3, 40, 2, 1]
    found = tasks(
        names=names, tasks=2, **{key: [given[:2], given[2:]] if key == "task_classes" else given}
    )
    flat = [names[number] for task in found for number in task]
    assert flat == (["2", "3", "1", "40"] if key == "classes" else list(map(str, given)))


@pytest.mark.parametrize(
    ("names", "entry", "remedy"),
    [
        (["007", "8", "9", "1e3"], 7, "write it quoted, as in \"'007'\""),
        (["007", "8", "9", "1e3"], 1000, "write it quoted, as in \"'1e3'\""),
        (["5", "6", "7", "cat"], 0, "the dataset has 5, 6, 7, cat"),
    ],
)
def test_a_number_that_no_class_is_called_is_refused(
    names: list[str], entry: int, remedy: str
) -> None:
    with pytest.raises(InputError) as caught:
        tasks(names=names, tasks=2, class_order=[entry, *names[1:]])
    assert f"no class is named '{entry}'; {remedy}" in caught.value.args[0].replace(
        "classes are called by numbers here: ", ""
    )


def test_a_name_in_another_unicode_form_is_the_same_name() -> None:
    names = ["caf\u00e9", "the\u0301"]  # one composed, one decomposed
    assert tasks(names=names, task_classes=[["th\u00e9"], ["cafe\u0301"]]) == [[1], [0]]


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"tasks": 11}, "scenario.tasks: 11 tasks for 10 classes; give at most 10"),
        (
            {"tasks": 3},
            "scenario.tasks: 10 classes do not divide into 3 equal tasks; give one of "
            "[1, 2, 5, 10], or scenario.tasks=null scenario.task_classes=[4,3,3]",
        ),
        ({"classes": 11}, "scenario.classes: 11 of 10 classes; give at most 10"),
        ({"classes": 1}, "scenario.classes: 1 class in use; at least two are needed"),
        ({"classes": ["cat"]}, "scenario.classes: 1 class in use;"),
        (
            {"classes": ["cat", "dgo"]},
            "scenario.classes: entry 1: no class is named 'dgo'; did you mean 'dog'?",
        ),
        (
            {"classes": ["cat", "zzzzzz"]},
            "no class is named 'zzzzzz'; the dataset has apple, bear, cat, dog, eel and 5 more",
        ),
        (
            {"class_order": [0, 1, 2, 3, 4, 5, 6, 7, 2, 9]},
            "scenario.class_order: class 'cat' stands at positions 2 and 8; name each class once",
        ),
        (
            {"class_order": [0, "apple"]},
            "scenario.class_order: class 'apple' stands at positions 0 and 1;",
        ),
        (
            {"class_order": [0, 10]},
            "scenario.class_order: entry 1: class 10 is out of range; ids are 0 to 9",
        ),
        ({"class_order": [0, -1]}, "entry 1: class -1 is out of range;"),
        (
            {"class_order": [0, 1, 2, 3]},
            "scenario.class_order: lacks 'eel', 'fox', 'goat', 'hen', 'ibis' and 1 more of the",
        ),
        (
            {"classes": 3, "class_order": [0, 1, 2, 3]},
            "scenario.class_order: entry 3 is 'dog', which is not in use;",
        ),
        (
            {"task_classes": [5, 4]},
            "scenario.task_classes: 5 + 4 = 9 classes, but 10 are in use; make them sum to 10",
        ),
        ({"task_classes": [5, 0, 5]}, "scenario.task_classes: entry 1 is 0; give at least 1"),
        ({"task_classes": [12, -2]}, "scenario.task_classes: entry 1 is -2;"),
        ({"task_classes": []}, "scenario.task_classes: the list is empty;"),
        ({"task_classes": [[0, 1], []]}, "scenario.task_classes: task 1 is empty;"),
        (
            {"task_classes": [[0, 1], [1, 2]]},
            "scenario.task_classes: class 'bear' stands at positions 1 and 2;",
        ),
        ({"task_classes": [[0]]}, "1 class in use; at least two are needed"),
        (
            {"tasks": 3, "task_classes": [5, 5]},
            "scenario.tasks: 3 tasks, but scenario.task_classes has 2; set scenario.tasks=2",
        ),
        ({"tasks": 3, "task_classes": [[0], [1]]}, "3 tasks, but scenario.task_classes has 2;"),
        (
            {"classes": 3, "task_classes": [[0], [1]]},
            "scenario.task_classes: does not match scenario.classes at 'cat';",
        ),
        (
            {"class_order": "shuffled", "task_classes": [[0], [1]]},
            "names the classes of each task, and scenario.class_order is set too; choose one",
        ),
    ],
)
def test_what_is_refused(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        tasks(**keys)
    assert message in str(caught.value)
    assert str(caught.value).startswith("scenario.")
