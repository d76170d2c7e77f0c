"""Probes in Avalanche strategies: numbers of the features; training does not notice them."""

import io

import numpy as np
import pytest
import torch
from torch import nn

from contsemi.errors import InputError
from contsemi.metrics.knn_probe import knn_accuracy
from contsemi.metrics.probes.knn import Knn
from contsemi.metrics.probes.linear import linear_probe_accuracy
from contsemi.strategies import probe_metrics


def features(model, images):
    return model[:-1](images)


def trained(theirs, *metrics):
    from avalanche.logging import TextLogger
    from avalanche.training.plugins import EvaluationPlugin
    from avalanche.training.supervised import Naive

    torch.manual_seed(0)
    hidden = [nn.Linear(64, 32), nn.ReLU(), nn.Dropout(0.5)]
    model = nn.Sequential(nn.Flatten(), *hidden, nn.Linear(32, 10))
    text = io.StringIO()
    strategy = Naive(
        model=model,
        optimizer=torch.optim.SGD(model.parameters(), lr=0.2),
        criterion=nn.CrossEntropyLoss(),
        train_mb_size=32,
        train_epochs=2,
        evaluator=EvaluationPlugin(*metrics, loggers=[TextLogger(text)]),
    )
    for experience in theirs.train_stream[:2]:
        strategy.train(experience)
    return model.eval(), text.getvalue()


def arrays(model, stream):
    pairs = [(x, y) for experience in stream for x, y, *_ in experience.dataset]
    with torch.no_grad():
        rows = features(model, torch.stack([x for x, _ in pairs]))
    return rows.numpy(), np.array([y for _, y in pairs])


@pytest.mark.thorough
def test_the_numbers_are_those_of_the_features(theirs):
    (mine,) = probe_metrics(theirs.train_stream, theirs.test_stream, features, images=0)
    model, text = trained(theirs, [mine])
    bank, asked = (
        arrays(model, stream[:2]) for stream in (theirs.train_stream, theirs.test_stream)
    )
    found = mine.result()
    assert found["probe/knn_20"] == knn_accuracy(*bank, *asked, neighbours=20)
    assert found["probe/linear"] == pytest.approx(linear_probe_accuracy(*bank, *asked), abs=1e-9)
    assert set(found) >= {
        "probe/few_shot_unseen_5",
        "probe/clustering_nmi",
        "probe/knn_within/task_5",
    }
    assert "probe/linear = " in text


def test_training_is_the_same_with_them(theirs):
    few = [Knn(neighbours=[1], within=20)]
    few = probe_metrics(theirs.train_stream, theirs.test_stream, features, probes=few, images=50)
    with_them, _ = trained(theirs, few)
    without, _ = trained(theirs, [])
    for mine, other in zip(with_them.parameters(), without.parameters(), strict=True):
        assert torch.equal(mine, other)
    assert sum(len(task.indices) for task in few[0].probes.bank) == 50
    assert len(few[0].probes.bank_images) == 50


def test_wrong_input_is_named(theirs):
    with pytest.raises(InputError, match="'svm' is none; give probes of"):
        probe_metrics(theirs.train_stream, theirs.test_stream, features, probes=["svm"])
    with pytest.raises(InputError, match="1 experiences, but 5 are trained"):
        probe_metrics(theirs.train_stream, theirs.test_stream[:1], features)
