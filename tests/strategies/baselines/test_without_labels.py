"""Tasks and classes without a label: a baseline learns nothing from them and never says them."""

from dataclasses import replace

import pytest
import torch

from contsemi import compose
from contsemi.strategies.baselines import Baseline
from contsemi.strategies.baselines.rows import labelled_stream
from contsemi.strategies.scores import UNSEEN

NAMES = ("icarl", "slda", "agem", "derpp", "mir", "ewc", "lwf", "cumulative")
OURS = ("model.width=8", "optim.epochs=1", "batch.unlabelled=96", "device=cpu", "threads=1")
TASKS = ("scenario.classes=8", "scenario.tasks=4", "label_ratio=[0%,4/class,0%,4/class]")


@pytest.fixture(scope="module")
def stream(stream_of):
    """Of eight classes in four tasks the first and the third pair have no label, nor class 2."""
    made, test = stream_of(compose.load([*TASKS, *OURS]))
    second = made.experiences[1]
    known = second.labels != 2
    made.experiences[1] = replace(
        second, labelled=second.labelled[known], labels=second.labels[known]
    )
    return made, test


@pytest.mark.quick(1)
@pytest.mark.parametrize("name", NAMES)
def test_they_change_nothing_and_are_never_said(name, stream):
    made, test = stream
    baseline = Baseline(
        compose.load([f"method={name}", *TASKS, *OURS]), made.experiences, made.images
    )
    said, weights = [], []
    for task in baseline.tasks:
        assert baseline.trains(task) == (task in (1, 3))
        baseline.train(task)
        if task == 0:
            assert baseline.without_exemplars in ([], [0, 1]) and "exemplars" not in baseline.memory
        said.append(baseline.predict(test.images[:200]))
        weights.append(torch.cat([p.flatten() for p in baseline.conditions.network.parameters()]))
    assert [scores.shape[1] for scores in said] == [2, 4, 6, 8]
    assert (said[0] == UNSEEN).all()
    assert torch.equal(weights[1], weights[2]) and torch.equal(said[1], said[2][:, :4])
    assert not torch.equal(weights[1], weights[3]) or name == "slda"
    for scores in said[1:]:
        assert scores.isfinite().all() and set(scores.argmax(1).tolist()) <= {3, 6, 7}


def test_icarl_is_told_the_classes_that_are_labelled_for_the_first_time(stream):
    facts = labelled_stream(stream[0].experiences)[0].benchmark
    assert facts.n_classes_per_exp == [1, 2, 5]
    assert facts.classes_order == [3, 6, 7, 0, 1, 2, 4, 5]
