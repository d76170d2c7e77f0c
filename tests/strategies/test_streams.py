import gc

import pytest
import torch
from torch import Tensor

from contsemi.errors import InputError
from contsemi.strategies.streams import ImageRows, StreamTask, assemble, task_of


@pytest.fixture
def tests_of():
    return [
        ImageRows(torch.arange(3), torch.tensor([7, 2, 7]), torch.zeros(3, dtype=torch.int64)),
        ImageRows(torch.arange(3, 5), torch.tensor([9, 0]), torch.zeros(2, dtype=torch.int64)),
    ]


@pytest.fixture
def scenario(two_tasks, tests_of):
    images, tasks = two_tasks
    return assemble(images, tasks, [7, 2, 9, 0], images[:5], tests_of)


def test_three_aligned_streams(scenario, two_tasks):
    images, _ = two_tasks
    lengths = [
        [len(e.dataset) for e in getattr(scenario, f"{name}_stream")]
        for name in ("train", "unlabeled", "test")
    ]
    assert lengths == [[3, 3], [20, 20], [3, 2]]
    assert [e.current_experience for e in scenario.unlabeled_stream] == [0, 1]
    labelled, pool = scenario.train_stream[1].dataset, scenario.unlabeled_stream[1].dataset
    image, target, task = labelled[2]
    assert torch.equal(image, images[22].float() / 255)
    assert (target, task) == (9, 0)
    assert len(pool[4]) == 1
    assert torch.equal(pool[4][0], images[24].float() / 255)
    assert not hasattr(pool, "targets")


def test_targets_are_class_ids_and_minus_one_is_nowhere(scenario):
    assert list(scenario.train_stream[0].dataset.targets) == [7, 2, 7]
    assert list(scenario.train_stream[1].dataset.targets) == [9, 0, 9]
    assert list(scenario.test_stream[1].dataset.targets) == [9, 0]
    assert scenario.test_stream[0].classes_in_this_experience == {2, 7}


def test_the_timeline_of_classes_has_no_future(scenario):
    first, second = scenario.train_stream
    assert first.classes_in_this_experience == {2, 7}
    assert first.previous_classes == set()
    assert second.classes_in_this_experience == {0, 9}
    assert second.previous_classes == {2, 7}
    assert second.classes_seen_so_far == {0, 2, 7, 9}
    assert not hasattr(first, "future_classes")
    assert task_of(first).class_ids == (7, 2)
    assert task_of(second).class_ids == (7, 2, 9, 0)


def test_task_labels_only_where_they_were_given(two_tasks, tests_of, scenario):
    images, tasks = two_tasks
    aware = assemble(
        images, tasks, [7, 2, 9, 0], images[:5], tests_of, 4 + 2 * (torch.arange(40) >= 20)
    )
    assert not hasattr(scenario.train_stream[1], "task_labels")
    assert aware.train_stream[1].task_labels == [6]
    assert aware.train_stream[1].dataset[0][2] == 6


def test_subsets_and_sums_of_the_datasets_work_in_avalanche(scenario):
    from avalanche.benchmarks.utils.data_loader import ReplayDataLoader

    first, second = (e.dataset for e in scenario.train_stream)
    both = first.subset([0, 2]).concat(second)
    assert list(both.targets) == [7, 7, 9, 0, 9]
    loader = ReplayDataLoader(second, first, batch_size=2, batch_size_mem=1)
    targets = {int(c) for _, y, _ in loader for c in y}
    assert targets >= {9, 0}
    assert targets & {7, 2}


def test_an_experience_without_labels_is_allowed(two_tasks, tests_of):
    from dataclasses import replace

    images, (first, second) = two_tasks
    bare = replace(second, labelled=second.labelled[:0], labels=second.labels[:0])
    scenario = assemble(images, [first, bare], [7, 2, 9, 0], images[:5], tests_of)
    assert len(scenario.train_stream[1].dataset) == 0
    assert scenario.train_stream[1].classes_in_this_experience == {0, 9}


def test_an_experience_of_another_benchmark_is_refused(theirs):
    with pytest.raises(InputError, match="which of its images are labelled; make the benchmark"):
        task_of(theirs.train_stream[0])


def reachable(root):
    """Everything that can be reached from an object by attributes, items and closures."""
    seen, waiting = {}, [root]
    while waiting:
        thing = waiting.pop()
        if id(thing) in seen or isinstance(thing, type) or type(thing).__name__ == "module":
            continue
        seen[id(thing)] = thing
        if type(thing).__name__ in ("function", "builtin_function_or_method", "method"):
            waiting += [getattr(thing, "__closure__", None), getattr(thing, "__self__", None)]
        else:
            waiting += gc.get_referents(thing)
            waiting += vars(thing).values() if hasattr(thing, "__dict__") else ()
    return list(seen.values())


def integer_sequences(root):
    """Every sequence of integers that is reachable, as lists."""
    for thing in reachable(root):
        if isinstance(thing, Tensor) and not thing.is_floating_point() and thing.ndim == 1:
            yield thing.tolist()
        elif isinstance(thing, list | tuple) and thing and all(type(x) is int for x in thing):
            yield list(thing)


def test_no_hidden_label_can_be_reached_from_a_train_experience(ours, theirs):
    experience = ours.train_stream[1]
    hidden = [list(e.dataset.targets) for e in theirs.train_stream]
    # The labels of the test stream are no secret: experience.benchmark leads to them.
    shown = [sorted(e.dataset.targets) for e in ours.test_stream]
    sequences = [
        sequence
        for sequence in integer_sequences([experience, experience.train(), task_of(experience)])
        if sorted(sequence) not in shown
    ]
    assert list(experience.dataset.targets) in sequences  # the search does find labels
    longest = max(len(e.dataset.targets) for e in ours.train_stream)
    for sequence in sequences:
        assert sequence not in hidden
        # Rows of the image array go beyond every class id; lists of labels must be short ones.
        if sequence and max(sequence) < 10 and len(set(sequence)) > 1:  # task labels are all 0
            assert len(sequence) <= longest
    assert any(h in list(integer_sequences(theirs.train_stream[1])) for h in hidden)
    assert not any(isinstance(thing, type(theirs)) for thing in reachable(experience))


def test_a_task_carries_no_more_than_it_says(ours):
    task = task_of(ours.train_stream[0])
    what = ("experience", "images", "class_ids", "width", "benchmark", "tasks", "renumbered")
    assert StreamTask.__slots__ == what
    assert type(task.benchmark) is object
    assert len(task.class_ids) == task.experience.num_seen == 2
