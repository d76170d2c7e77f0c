"""Which class an id names, where ids restart at 0 in each task."""

import numpy as np
import pytest
import torch
from torch.utils.data import TensorDataset

from contsemi.errors import InputError
from contsemi.strategies import semi_supervised
from contsemi.strategies.naming import name_classes
from contsemi.strategies.streams import task_of


def part(*targets, task=None):
    """A dataset of random images of some classes."""
    from avalanche.benchmarks.utils import as_taskaware_classification_dataset

    data = TensorDataset(torch.rand(len(targets), 1, 4, 4), torch.tensor(targets))
    data.targets = list(targets)
    if task is not None:
        data.targets_task_labels = [task] * len(targets)
    return as_taskaware_classification_dataset(data)


def made_of(train, test, tasks=None):
    """A benchmark with task labels, if there are some."""
    from avalanche.benchmarks import benchmark_from_datasets

    given = benchmark_from_datasets(train=train, test=test)
    for stream in (given.train_stream, given.test_stream):
        for place, each in enumerate(stream):
            if tasks is not None:
                each.task_labels = [tasks[place]]
    return given


@pytest.mark.parametrize("task_labels", [True, False])
def test_ten_classes_stay_ten_where_ids_restart(digit_datasets, task_labels):
    from avalanche.benchmarks import nc_benchmark

    order = [3, 8, 0, 6, 9, 1, 7, 2, 5, 4]
    plain = nc_benchmark(*digit_datasets, 5, task_labels=False, fixed_class_order=order)
    restarting = nc_benchmark(
        *digit_datasets,
        5,
        task_labels=task_labels,
        fixed_class_order=order,
        class_ids_from_zero_in_each_exp=True,
    )
    made = semi_supervised(restarting, label_ratio="5%", seed=0)
    assert made.n_classes == 10
    assert made.n_classes_per_exp == [2] * 5
    assert made.original_classes == [(t, c) for t in range(5) for c in range(2)]
    for t, (own, known) in enumerate(zip(made.test_stream, plain.test_stream, strict=True)):
        true = np.array(known.dataset.targets)
        renumbered = np.array(own.dataset.targets)
        # a new id is the place of the class in the order of arrival
        assert np.array_equal(np.array(order)[renumbered], true)
        assert own.classes_in_this_experience == {2 * t, 2 * t + 1}
        assert own.task_label == (t if task_labels else 0)
    seen = [task_of(e).experience.num_seen for e in made.train_stream]
    assert seen == [2, 4, 6, 8, 10]


@pytest.mark.thorough
def test_it_trains_and_evaluates(digit_datasets, make_strategy):
    from avalanche.benchmarks import nc_benchmark
    from avalanche.evaluation.metrics import accuracy_metrics
    from avalanche.logging import BaseLogger
    from avalanche.training.plugins import EvaluationPlugin

    restarting = nc_benchmark(
        *digit_datasets, 5, task_labels=True, class_ids_from_zero_in_each_exp=True, seed=0
    )
    made = semi_supervised(restarting, label_ratio="5%", seed=0)

    class Quiet(BaseLogger):
        """Says nothing."""

    evaluator = EvaluationPlugin(accuracy_metrics(experience=True), loggers=[Quiet()])
    strategy = make_strategy(evaluator=evaluator, overrides=["optim.epochs=4"])
    strategy.train(made.train_stream[0])
    strategy.train(made.train_stream[1])
    results = strategy.eval(made.test_stream[:2])
    assert strategy.learner.num_seen == 4
    assert results["Top1_Acc_Exp/eval_phase/test_stream/Task001/Exp001"] > 0.3
    with pytest.raises(InputError, match=r"experience 0: its class ids restart in each task"):
        strategy.eval(restarting.test_stream)


def test_task_labels_that_share_an_id_have_to_be_explained():
    train = [part(0, 1, 0, 1, task=0), part(0, 1, 1, 0, task=7)]
    test = [part(0, 1, task=0), part(1, 0, task=7)]
    given = made_of(train, test, tasks=[0, 7])
    with pytest.raises(InputError, match="class id 0 comes with the task labels 0 and 7; say"):
        semi_supervised(given, label_ratio="100%")
    two = semi_supervised(given, label_ratio="100%", classes="id")
    assert (two.n_classes, two.original_classes) == (2, None)
    four = semi_supervised(given, label_ratio="100%", classes="task")
    assert four.original_classes == [(0, 0), (0, 1), (7, 0), (7, 1)]
    assert list(four.test_stream[1].dataset.targets) == [3, 2]
    assert four.train_stream[1].task_labels == [7]


def test_ids_that_come_with_one_task_label_each_are_kept():
    train, test = [part(5, 1, 5, 1, task=0), part(8, 3, task=1)], [part(5, 1), part(8, 3)]
    made = semi_supervised(made_of(train, test, tasks=[0, 1]), label_ratio="100%")
    assert made.original_classes is None
    assert task_of(made.train_stream[1]).class_ids == (1, 5, 3, 8)


def test_new_instances_stay_the_classes_that_they_are(digit_datasets):
    from avalanche.benchmarks import ni_benchmark

    made = semi_supervised(ni_benchmark(*digit_datasets, 3, seed=0), label_ratio="10%")
    assert (made.n_classes, len(made.test_stream)) == (10, 1)
    assert [task_of(e).experience.num_seen for e in made.train_stream] == [10, 10, 10]


def test_restarting_ids_and_one_test_experience_cannot_be_told_apart():
    class Restarts:
        class_ids_from_zero_in_each_exp = True

    with pytest.raises(InputError, match="2 experiences for training have 1 for testing"):
        name_classes(Restarts(), [[0], [0]], [[0]], None, "auto")


def test_an_unknown_word_is_refused():
    with pytest.raises(InputError, match="'both' is unknown; use 'auto' or 'id' or 'task'"):
        name_classes(object(), [[0]], [[0]], None, "both")


def test_a_test_class_that_was_never_trained_gets_an_id_of_its_own():
    named = name_classes(object(), [[0], [0]], [[0, 4], [0]], None, "task")
    assert named.train == [[0], [1]]
    assert named.test == [[0, 2], [1]]
    assert named.original == ((0, 0), (1, 0), (0, 4))


def test_an_experience_without_labels_keeps_its_task_label():
    """Its labelled part is empty, and had none: Avalanche ended in StopIteration."""
    train = [part(0, 1, 0, 1, task=0), part(2, 3, 2, 3, task=1)]
    given = made_of(train, [part(0, 1), part(2, 3)], tasks=[0, 1])
    made = semi_supervised(given, label_ratio=["100%", "1/class"])
    for t, each in enumerate(made.train_stream):
        assert each.task_labels == [t]
        assert each.task_label == t
        assert each.benchmark is made


@pytest.mark.parametrize(("task", "tasks"), [(None, None), (0, [0, 0, 0])])
def test_ids_that_restart_without_a_word_of_it_have_to_be_explained(task, tasks):
    train = [part(0, 1, 0, 1, task=task), part(1, 0, task=task), part(0, 1, 2, task=task)]
    given = made_of(
        train, [part(0, 1), part(1, 0), part(2, 1)], tasks=[0] * 3 if task == 0 else None
    )
    with pytest.raises(InputError, match="class ids from 0 on, 2 at most, and no task labels; say"):
        semi_supervised(given, label_ratio="100%")
    assert semi_supervised(given, label_ratio="100%", classes="task").n_classes == 7
    assert semi_supervised(given, label_ratio="100%", classes="id").n_classes == 3
    instances = made_of(train, [part(0, 1, 2)], tasks=None)
    assert semi_supervised(instances, label_ratio="100%").n_classes == 3
