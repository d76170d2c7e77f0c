"""Evaluation through the strategy: Avalanche's metrics say what our own count says."""

import io
import math

import pytest
import torch

from contsemi.errors import InputError
from contsemi.strategies.streams import task_of


class Quiet:
    """A logger that takes everything and says nothing."""

    def log_metrics(self, values):
        pass


def key(results, stem):
    (found,) = [value for name, value in results.items() if name.startswith(stem)]
    return found


def weights(strategy):
    return {name: value.clone() for name, value in strategy.learner.network.state_dict().items()}


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


@pytest.mark.thorough
def test_avalanches_accuracy_is_the_share_of_right_predictions(ours, theirs, make_strategy):
    from avalanche.evaluation.metrics import accuracy_metrics
    from avalanche.training.plugins import EvaluationPlugin

    evaluator = EvaluationPlugin(
        accuracy_metrics(experience=True, stream=True), loggers=[Quiet()], strict_checks=True
    )
    strategy = make_strategy(evaluator=evaluator, overrides=["optim.epochs=6"])
    strategy.train(list(ours.train_stream)[:3])
    ids = torch.tensor(task_of(ours.train_stream[2]).class_ids)
    right, total = 0, 0
    results = strategy.eval(ours.test_stream)
    for t, experience in enumerate(ours.test_stream):
        rows = experience.rows
        predicted = ids[strategy.learner.predict(rows.images[rows.indices]).argmax(1)]
        hits = int((predicted == rows.targets).sum())
        stem = f"Top1_Acc_Exp/eval_phase/test_stream/Task000/Exp{t:03d}"
        assert results[stem] == pytest.approx(hits / len(rows), abs=1e-12)
        assert t < 3 or hits == 0
        right, total = right + hits, total + len(rows)
    assert key(results, "Top1_Acc_Stream") == pytest.approx(right / total, abs=1e-12)
    assert right / total > 0.15
    assert strategy.eval(theirs.test_stream) == results  # the user's own stream, item by item


def test_evaluating_changes_nothing(ours, make_strategy):
    strategy = make_strategy()
    strategy.train(ours.train_stream[0])
    before, modes = weights(strategy), [m.training for m in strategy.model.modules()]
    columns = strategy.learner.network.num_classes
    state = torch.get_rng_state()
    strategy.eval(ours.test_stream)
    assert same(before, weights(strategy))
    assert strategy.learner.network.num_classes == columns == 2
    assert [m.training for m in strategy.model.modules()] == modes
    assert torch.equal(torch.get_rng_state(), state)


def test_evaluation_before_any_training(ours, make_strategy):
    from avalanche.evaluation.metrics import accuracy_metrics, loss_metrics
    from avalanche.training.plugins import EvaluationPlugin

    evaluator = EvaluationPlugin(
        accuracy_metrics(stream=True), loss_metrics(stream=True), loggers=[Quiet()]
    )
    results = make_strategy(evaluator=evaluator).eval(ours.test_stream)
    assert key(results, "Loss_Stream") == pytest.approx(math.log(10), rel=0.1)


def test_normalised_test_images_are_refused(digit_datasets, ours, make_strategy):
    from avalanche.benchmarks import nc_benchmark

    normalised = nc_benchmark(
        *digit_datasets, 5, task_labels=False, eval_transform=lambda x: 2 * x - 1
    )
    strategy = make_strategy()
    strategy.train(ours.train_stream[0])
    with pytest.raises(InputError, match=r"strategy\.eval images: holds values from -1 to"):
        strategy.eval(normalised.test_stream)


def test_metrics_and_loggers_of_all_kinds(ours, make_strategy, tmp_path, capsys):
    from avalanche.evaluation import metrics as m
    from avalanche.logging import CSVLogger, InteractiveLogger, TextLogger
    from avalanche.training.plugins import EvaluationPlugin

    text = io.StringIO()
    csv = CSVLogger(log_folder=str(tmp_path))
    evaluator = EvaluationPlugin(
        m.accuracy_metrics(
            minibatch=True,
            epoch=True,
            epoch_running=True,
            experience=True,
            stream=True,
            trained_experience=True,
        ),
        m.loss_metrics(minibatch=True, epoch=True, experience=True, stream=True),
        m.forgetting_metrics(experience=True, stream=True),
        m.bwt_metrics(experience=True, stream=True),
        m.forward_transfer_metrics(experience=True, stream=True),
        m.class_accuracy_metrics(epoch=True, stream=True),
        m.topk_acc_metrics(top_k=3, stream=True),
        m.confusion_matrix_metrics(num_classes=10, stream=True, save_image=False),
        m.timing_metrics(epoch=True),
        loggers=[TextLogger(text), InteractiveLogger(), csv],
    )
    strategy = make_strategy(evaluator=evaluator, eval_every=0)
    for experience in list(ours.train_stream)[:2]:
        results = strategy.train(experience, eval_streams=[ours.test_stream])
    csv.close()
    for stem in ("StreamForgetting", "StreamBWT", "StreamForwardTransfer", "Topk_3_Acc_Stream"):
        assert -1 <= key(results, f"{stem}/") <= 1
    assert key(results, "StreamForgetting/") == -key(results, "StreamBWT/")
    assert "Starting training on experience 1" in text.getvalue()
    assert "Top1_Acc_Epoch" in text.getvalue()
    assert "100%" in capsys.readouterr().out
    epochs = (tmp_path / "training_results.csv").read_text().splitlines()[1:]
    assert [line.split(",")[:2] for line in epochs] == [[t, e] for t in "01" for e in "01"]
