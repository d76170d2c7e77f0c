"""Our metrics in Avalanche's own strategies: its accuracies are ours, its forgetting is not."""

import io

import numpy as np
import pytest
import torch
from torch import nn

from contsemi.errors import InputError
from contsemi.metrics.forgetting import forgetting
from contsemi.metrics.matrix import Undefined
from contsemi.strategies import continual_metrics


def theirs_of(theirs, evaluator, *, name="Naive", **options):
    from avalanche.training import supervised

    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
    return getattr(supervised, name)(
        model=model,
        optimizer=torch.optim.SGD(model.parameters(), lr=0.2),
        criterion=nn.CrossEntropyLoss(),
        train_mb_size=32,
        train_epochs=2,
        eval_mb_size=128,
        evaluator=evaluator,
        **options,
    )


def through(theirs, tmp_path, **options):
    """Three experiences; the metrics, all results after each, and what was logged."""
    from avalanche.evaluation.metrics import accuracy_metrics, forgetting_metrics
    from avalanche.logging import CSVLogger, TensorboardLogger, TextLogger
    from avalanche.training.plugins import EvaluationPlugin

    (mine,), text = continual_metrics(), io.StringIO()
    csv, board = CSVLogger(str(tmp_path)), TensorboardLogger(str(tmp_path / "board"))
    evaluator = EvaluationPlugin(
        [mine],
        accuracy_metrics(experience=True),
        forgetting_metrics(stream=True),
        loggers=[TextLogger(text), csv, board],
    )
    strategy, results = theirs_of(theirs, evaluator, **options), []
    for experience in list(theirs.train_stream)[:3]:
        strategy.train(experience, eval_streams=[theirs.test_stream[:3]])
        results.append(strategy.eval(theirs.test_stream[:3]))
    csv.close()
    board.writer.close()
    return mine, results, text.getvalue(), strategy


@pytest.mark.parametrize(("name", "more"), [("Naive", {}), ("Replay", {"mem_size": 60})])
def test_against_avalanches_own(theirs, tmp_path, name, more):
    mine, results, text, _ = through(theirs, tmp_path, name=name, **more)
    matrix = mine.matrix("class_incremental")
    for row, result in enumerate(results):
        for column in range(row + 1):
            key = f"Top1_Acc_Exp/eval_phase/test_stream/Task000/Exp{column:03d}"
            assert matrix[row, column] == pytest.approx(result[key], abs=1e-12)
    last = results[-1]
    (stream_forgetting,) = (v for k, v in last.items() if k.startswith("StreamForgetting"))
    end = "class_incremental/eval_phase/test_stream"
    assert last[f"forgetting_first_minus_last/{end}"] == pytest.approx(stream_forgetting)
    assert last[f"forgetting/{end}"] == pytest.approx(forgetting(matrix))
    assert last[f"forgetting/{end}"] >= stream_forgetting - 1e-12
    averages = [np.mean(matrix[row, : row + 1]) for row in range(3)]
    assert last[f"average_incremental_accuracy/{end}"] == pytest.approx(np.mean(averages))
    assert f"average_accuracy/{end} = " in text
    assert (tmp_path / "eval_results.csv").read_text().count("\n") > 3
    assert not any(name.startswith("gap_depth") for name in last)


def test_the_board_holds_our_curves(theirs, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    mine, results, _, strategy = through(theirs, tmp_path)
    board = EventAccumulator(str(tmp_path / "board")).Reload()
    name = "average_accuracy/class_incremental/eval_phase/test_stream"
    points = [(event.step, event.value) for event in board.Scalars(name)]
    assert points[-1] == (strategy.clock.train_iterations, pytest.approx(results[-1][name]))
    assert len({step for step, _ in points}) == 3
    assert mine.result()[name] == results[-1][name]


def test_task_incremental_from_the_same_pass(theirs, tmp_path):
    mine, _, _, strategy = through(theirs, tmp_path)
    row = mine.matrix("task_incremental")[-1]
    for column, experience in enumerate(theirs.test_stream[:3]):
        images, targets = zip(*((x, y) for x, y, *_ in experience.dataset), strict=True)
        with torch.no_grad():
            scores = strategy.model(torch.stack(images))
        own = sorted(experience.classes_in_this_experience)
        right = torch.tensor(own)[scores[:, own].argmax(1)] == torch.tensor(targets)
        assert row[column] == pytest.approx(right.float().mean().item())
    assert (row >= mine.matrix("class_incremental")[-1]).all()
    assert row[0] > mine.matrix("class_incremental")[-1, 0]


def test_answers_and_calibration(theirs):
    from avalanche.evaluation.metrics import confusion_matrix_metrics, loss_metrics
    from avalanche.training.plugins import EvaluationPlugin

    (mine,) = continual_metrics()
    their_own = (loss_metrics(stream=True), confusion_matrix_metrics(10, stream=True))
    strategy = theirs_of(theirs, EvaluationPlugin([mine], *their_own, loggers=[io_logger()]))
    for experience in theirs.train_stream[:2]:
        strategy.train(experience)
    results = strategy.eval(theirs.test_stream[:2])
    end = "eval_phase/test_stream"
    (counted,) = (v for k, v in results.items() if k.startswith("ConfusionMatrix"))
    found = np.zeros((10, 10), int)
    own = mine.answered.confusion()
    found[: len(own), : len(own)] = own
    np.testing.assert_array_equal(found, counted.best_supported_value(torch.Tensor).numpy())
    loss = results[f"Loss_Stream/{end}/Task000"]
    assert results[f"negative_log_likelihood/{end}"] == pytest.approx(loss, rel=1e-5)
    error = results[f"expected_calibration_error/{end}"]
    answered = mine.answered
    right = (answered.predicted == answered.targets).astype(float)
    place = np.ceil(answered.confidence * 15)
    gaps = [abs((right - answered.confidence)[place == k].sum()) for k in range(1, 16)]
    assert error == pytest.approx(sum(gaps) / len(right), abs=1e-6)
    assert 0.05 < error < 1


def test_the_stability_gap(theirs, tmp_path):
    mine, results, _, strategy = through(
        theirs, tmp_path, eval_every=3, peval_mode="iteration", name="Replay", mem_size=60
    )
    it = mine.trajectory("class_incremental")
    assert it.steps[-1] == strategy.clock.train_iterations
    assert (np.diff(it.steps) > 0).all()
    assert len(it) > 12
    assert it.training.tolist() == sorted(it.training.tolist())
    for task in range(3):
        row = mine.matrix("class_incremental")[task, : task + 1]
        np.testing.assert_array_equal(it.accuracy[it.end_of(task), : task + 1], row)
    end = "class_incremental/eval_phase/test_stream"
    last = results[-1]
    lowest = [it.accuracy[it.training > task, task].min() for task in range(2)]
    assert last[f"min_accuracy/{end}"] == pytest.approx(np.mean(lowest))
    assert last[f"gap_depth/{end}"] > 0


def test_before_training_there_is_nothing_to_say(theirs):
    from avalanche.training.plugins import EvaluationPlugin

    (mine,) = continual_metrics()
    evaluator = EvaluationPlugin([mine], loggers=[io_logger()])
    strategy = theirs_of(theirs, evaluator)
    strategy.eval(theirs.test_stream[:1])
    assert mine.result() == {}
    assert mine.trajectory("class_incremental") is None
    strategy.train(theirs.train_stream[2])
    strategy.eval(theirs.train_stream[:1])  # another stream
    assert mine.result() == {}
    strategy.eval(theirs.test_stream)
    assert mine.order == [2]
    assert mine.matrix("class_incremental").shape == (1, 1)
    assert isinstance(forgetting(mine.matrix("class_incremental")), Undefined)
    assert not any(name.startswith("forgetting") for name in mine.result())


def io_logger():
    from avalanche.logging import TextLogger

    return TextLogger(io.StringIO())


def test_in_our_own_strategy(ours, make_strategy):
    from avalanche.training.plugins import EvaluationPlugin

    (mine,) = continual_metrics()
    strategy = make_strategy(evaluator=EvaluationPlugin([mine], loggers=[io_logger()]))
    for experience in list(ours.train_stream)[:2]:
        strategy.train(experience)
        strategy.eval(ours.test_stream[:2])
    matrix = mine.matrix("task_incremental")
    assert matrix.shape == (2, 2)
    assert np.isfinite(matrix[np.tril_indices(2)]).all()
    assert (matrix >= mine.matrix("class_incremental") - 1e-12)[np.tril_indices(2)].all()


def test_one_complete_test_experience_gives_accuracy_over_time(digit_datasets):
    from avalanche.benchmarks import ni_benchmark
    from avalanche.evaluation.metrics import accuracy_metrics
    from avalanche.training.plugins import EvaluationPlugin

    instances = ni_benchmark(*digit_datasets, 4, task_labels=False, seed=0)
    assert len(instances.test_stream) == 1
    (mine,) = continual_metrics()
    evaluator = EvaluationPlugin([mine], accuracy_metrics(stream=True), loggers=[io_logger()])
    strategy, shares = theirs_of(instances, evaluator), []
    for position, experience in enumerate(instances.train_stream):
        strategy.train(experience)
        if position:
            results = strategy.eval(instances.test_stream)
        else:
            with pytest.warns(UserWarning, match="1 test experiences for 4 .* not defined"):
                results = strategy.eval(instances.test_stream)
        shares.append(results["Top1_Acc_Stream/eval_phase/test_stream/Task000"])
        end = "class_incremental/eval_phase/test_stream"
        assert results[f"accuracy/{end}"] == pytest.approx(shares[-1])
        assert results[f"accuracy_over_time/{end}"] == pytest.approx(np.mean(shares))
    np.testing.assert_allclose(mine.over_time(), shares)
    assert shares[-1] > shares[0] - 0.05
    assert not any(name.startswith(("forgetting", "average")) for name in mine.result())
    assert "no twins" in mine.undefined[f"forgetting/{end}"]
    assert f"expected_calibration_error/{end.partition('/')[2]}" in results


def test_two_test_experiences_for_five_are_no_twins(theirs):
    from avalanche.benchmarks import benchmark_from_datasets
    from avalanche.training.plugins import EvaluationPlugin

    parts = [e.dataset for e in theirs.test_stream]
    halves = [parts[0].concat(parts[1]), parts[2].concat(parts[3]).concat(parts[4])]
    mixed = benchmark_from_datasets(train=[e.dataset for e in theirs.train_stream], test=halves)
    for place, each in enumerate(mixed.test_stream):
        each.classes_in_this_experience = set(halves[place].targets)
    (mine,) = continual_metrics()
    strategy = theirs_of(mixed, EvaluationPlugin([mine], loggers=[io_logger()]))
    strategy.train(mixed.train_stream[0])
    with pytest.warns(UserWarning, match="2 test experiences for 5"):
        strategy.eval(mixed.test_stream)
    targets = mine.answered.targets
    assert len(targets) == sum(map(len, halves))
    right = (mine.answered.predicted == targets).mean()
    assert mine.result()["accuracy/class_incremental/eval_phase/test_stream"] == right


def test_a_stream_that_the_benchmark_does_not_have(theirs):
    from avalanche.training.plugins import EvaluationPlugin

    (mine,) = continual_metrics(stream="tset")
    strategy = theirs_of(theirs, EvaluationPlugin([mine], loggers=[io_logger()]))
    with pytest.raises(InputError, match=r"no stream 'tset'; use train, test"):
        strategy.eval(theirs.test_stream[:1])
