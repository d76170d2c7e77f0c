"""What classes and tasks are called."""

import pytest

from contsemi.records.names import Names


def test_a_task_is_its_number_and_the_classes_that_fit():
    names = Names(["cat", "dog", "a\nb", "hippopotamus", "gnu"], [[0, 1], [3, 0, 4, 1], [2], []])
    assert names.of_task(0) == "1: cat, dog"
    assert names.of_task(1, 16) == "2: hippopotamus, …"
    assert names.of_task(2) == "3: a b"
    assert names.of_task(3) == "4"
    assert names.of_task(4) == "5"


def test_a_task_in_which_classes_return_is_called_by_those_that_it_is_tested_on():
    """Each class is tested with the task that it came first in."""
    names = Names(["cat", "dog", "elk"], [[0, 1], [0, 2], [0, 1]])
    assert [names.of_task(task) for task in range(3)] == ["1: cat, dog", "2: elk", "3: cat, dog"]


@pytest.mark.parametrize("width", range(5, 40))
def test_no_name_is_wider_than_asked_for(width):
    words = [f"class number {n}" for n in range(9)]
    name = Names(words, [range(9)]).of_task(0, width)
    assert name.startswith("1: cl"[: width - 1]) and len(name) <= width + len("1: ")
    assert name.endswith(", …")


def test_without_names_there_are_ids_and_without_tasks_numbers():
    names = Names.of({"class_order": [7, 3], "class_names": ["seven"]})
    assert [names.of_class(column) for column in range(3)] == ["seven", "3", "2"]
    assert names.of_task(0) == "1"


@pytest.mark.parametrize("tasks", [1, "x", [3], [{"columns": "ab"}], [{"columns": [1.5]}], [[]]])
def test_a_damaged_manifest_gives_numbers(tasks):
    assert Names.of({"tasks": tasks, "class_names": 3}).of_task(0) == "1"
