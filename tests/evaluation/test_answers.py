"""Accuracy rows against plain NumPy, from one pass over the test images."""

import numpy as np
import pytest
import torch

from contsemi import pipeline
from contsemi.data.scenario import TestSet
from contsemi.evaluation.answers import _halves, evaluate
from contsemi.learner.inference import Inference
from contsemi.learner.learner import Learner
from contsemi.learner.loop import fit
from contsemi.types import Outputs

# Columns of three tasks of unequal size; rows of the test images, mixed; their columns.
TASKS = [
    TestSet((0, 1), torch.tensor([4, 0, 7]), torch.tensor([1, 0, 1])),
    TestSet((2,), torch.tensor([2, 3]), torch.tensor([2, 2])),
    TestSet((3, 4, 5), torch.tensor([9, 1, 5, 6]), torch.tensor([3, 5, 4, 5])),
]


class Predicts:
    """Stands for a learner: scores by the value of an image's first pixel."""

    def __init__(self, scores):
        self.scores, self.asked = scores, []

    def look(self, images, ids):
        rows = images[ids, 0, 0, 0].long()
        self.asked.append(rows.tolist())
        return Outputs(rows[:, None].float(), {"scores": self.scores[rows]})

    def predictions(self, outputs):
        return {"headline": outputs["scores"], "other": -outputs["scores"]}

    def space(self, outputs):
        return outputs.features, torch.zeros(outputs["scores"].shape[1], 1)


@pytest.mark.parametrize("seen", [1, 2, 3])
@pytest.mark.parametrize("seed", range(3))
def test_equals_numpy(seen, seed):
    columns = sum(len(task.columns) for task in TASKS[:seen])
    table = np.random.default_rng(seed).normal(size=(10, columns)).astype(np.float32)
    images = torch.arange(10, dtype=torch.uint8)[:, None, None, None].expand(-1, 3, 2, 2)
    learner = Predicts(torch.from_numpy(table))
    found = evaluate(learner, images, TASKS, seen, embedded=np.arange(10))
    for j, task in enumerate(TASKS):
        if j >= seen:
            assert np.isnan(found.class_incremental[j]) and np.isnan(found.task_incremental[j])
            continue
        scores, targets = table[task.indices], task.targets.numpy()
        assert found.class_incremental[j] == np.mean(scores.argmax(1) == targets)
        own = scores[:, list(task.columns)].argmax(1) + task.columns[0]
        assert found.task_incremental[j] == np.mean(own == targets)
        class_row, task_row = found.predictors["other"]
        assert class_row[j] == np.mean(scores.argmin(1) == targets)
        own = scores[:, list(task.columns)].argmin(1) + task.columns[0]
        assert task_row[j] == np.mean(own == targets)
        said = found.answers
        mine = np.isin(said.targets, task.columns)
        assert said.rows[mine].tolist() == task.indices.tolist()
        assert said.embeddings[mine, 0].tolist() == task.indices.tolist()
        np.testing.assert_array_equal(
            said.within[mine], scores[:, list(task.columns)].argmax(1) + task.columns[0]
        )
        probs = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
        right = probs[np.arange(len(targets)), targets]
        np.testing.assert_allclose(np.exp(said.log_prob[mine]), right, rtol=1e-5)
        np.testing.assert_allclose(said.confidence[mine], probs.max(1), rtol=1e-5)
    # One pass, and no image of a task that has not come yet.
    assert learner.asked == [[int(i) for task in TASKS[:seen] for i in task.indices]]


def test_one_forward_per_chunk_and_the_network_is_not_touched(small, stream_of, monkeypatch):
    config = small("optim.epochs=1", "batch.test=50")
    stream, test = stream_of(config)
    learner = Learner(config)
    for experience in stream.experiences[:2]:
        fit(learner, experience, stream.images)
    sizes = []
    hook = learner.network.register_forward_hook(
        lambda module, inputs, outputs: sizes.append(len(inputs[0]))
    )
    before = {name: value.clone() for name, value in learner.network.state_dict().items()}
    found = evaluate(learner.inference, test.images, stream.test, 2)
    hook.remove()
    images = sum(len(task.indices) for task in stream.test[:2])
    supports = len(learner.exemplars)  # once, for all predictors that vote by them
    assert sum(sizes) == images + supports
    assert len(sizes) == -(-images // 50) + -(-supports // 50)
    after = learner.network.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    # Within the own task's columns there is less to confuse.
    assert (found.task_incremental[:2] >= found.class_incremental[:2]).all()
    assert found.class_incremental.shape == (5,)


def test_a_run_of_ten_tasks_looks_once_at_what_was_seen(small, stream_of, tmp_path, monkeypatch):
    """The whole pipeline: after each task one pass over the test images so far, and no more."""
    config = small(
        "method=pixel_knn", "scenario.tasks=10", "batch.test=400", f"output={tmp_path}/run"
    )
    looked, look = [], Inference.look

    def counted(asked, images, ids=None):
        if ids is not None:  # the images at hand are looked at without
            looked.append(len(ids))
        return look(asked, images, ids)

    monkeypatch.setattr(Inference, "look", counted)
    monkeypatch.setattr("contsemi.report.pages.draw.draw", lambda run: [])
    pipeline.run(config)
    stream, _ = stream_of(config)
    assert looked == np.cumsum([len(task.indices) for task in stream.test]).tolist()


def test_features_beyond_float16_end_at_its_range():
    given = np.array([1e9, -1e9, np.nan, 0.5], np.float32)
    with np.errstate(all="raise"):
        found = _halves(given)
    np.testing.assert_array_equal(found, np.array([65504, -65504, np.nan, 0.5], np.float16))
