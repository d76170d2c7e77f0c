"""The panel of truth: right numbers, training that does not notice, and the same after a stop."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from contsemi import compose, data, pipeline
from contsemi.errors import InputError, StateDamaged
from contsemi.evaluation.study import _columns
from contsemi.evaluation.truth import Truth
from contsemi.learner.learner import Learner
from contsemi.learner.loop import HookList, Loop, fit
from contsemi.pipeline.standing import bound, identity
from contsemi.records.measured import load_measured
from contsemi.report.figures.truth import drawing
from contsemi.report.material import Material
from contsemi.storage.checkpoint import Checkpoints
from contsemi.storage.tensors import flatten

WORDS = ("method=contsemi", "optim.epochs=1", "scenario.classes=6", "scenario.tasks=3")
NAMES = {
    "as_it_is", "with_labels", "with_drift", "with_labels_and_drift", "with_means",
    "with_covariance", "with_statistics",
}  # fmt: skip


@pytest.fixture(scope="module")
def runs(small, tmp_path_factory):
    """The same run without and with the panel: folder and results."""
    patch = pytest.MonkeyPatch()
    patch.setattr("contsemi.report.pages.draw.draw", lambda run: [])
    found = []
    for word in ("evaluate.truth=false", "evaluate.truth=true"):
        folder = tmp_path_factory.mktemp("truth") / "run"
        found.append((folder, pipeline.run(small(*WORDS, word, f"output={folder}"))))
    patch.undo()
    return found


def state(folder):
    facts = json.loads((folder / "manifest.json").read_text())
    return Checkpoints(folder / "checkpoints", identity(facts, bound(facts["config"]))).load()[0]


def known(config, stream_of):
    """A stream, and the true column of each of its training images."""
    stream, _ = stream_of(config)
    train, _ = data.load(config.data, config.scenario.dataset)
    return stream, _columns(train.targets, stream)


@pytest.mark.thorough
def test_training_does_not_notice(runs):
    (plain, without), (folder, results) = runs
    a, b = flatten(state(plain)), flatten(state(folder))
    assert a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)
    assert without["class_incremental"] == results["class_incremental"]
    assert without["truth"] is None and set(results["truth"]) == NAMES


@pytest.mark.thorough
def test_as_it_is_is_the_headline(runs):
    folder, results = runs[1]
    series = load_measured(folder)["truth"]
    assert all(sorted(values) == [0, 1, 2] for values in series.values())
    headline = results["class_incremental"]["average_accuracy"]
    assert series["as_it_is"][2] == pytest.approx(headline)
    # Of the first task nothing has drifted.
    assert series["with_drift"][0] == series["as_it_is"][0]


@pytest.mark.thorough
def test_true_statistics_are_those_of_all_training_images(runs, small, stream_of):
    """Against means and a pooled covariance by hand, and discriminant analysis in float64."""
    config = small(*WORDS)
    stream, hidden = known(config, stream_of)
    learner = Learner(config)
    told = {}
    by_hand = {}

    class Look(Truth):
        def _accuracies(self, inference, head, courses, task):
            ids = torch.cat([each.unlabelled for each in stream.experiences[: task + 1]]).unique()
            by_hand[task] = inference.look(stream.images, ids).features.double().numpy(), ids
            told[task] = courses
            return {}

    panel = Look(stream, hidden, stream.images, runs[1][0] / "again", lambda task, values: None)
    for experience in stream.experiences:
        fit(learner, experience, stream.images, HookList([panel]))
    for task, (features, ids) in by_hand.items():
        columns = hidden[ids].numpy()
        found = told[task]["with_statistics"]
        scatter = np.zeros((features.shape[1],) * 2)
        for column in np.unique(columns):
            own = features[columns == column]
            np.testing.assert_allclose(found.means[column], own.mean(0), atol=1e-4)
            scatter += (own - own.mean(0)).T @ (own - own.mean(0))
        np.testing.assert_allclose(found.covariance, scatter / len(features), atol=1e-4)
        counts = np.bincount(columns)
        np.testing.assert_allclose(found.counts, counts)
        # With true labels every image of the task counts once, for its true class.
        np.testing.assert_allclose(told[task]["with_labels"].counts, counts, atol=1e-3)


def test_the_drift_is_fitted_on_the_old_tasks_own_images(runs, small, stream_of):
    """Where the network moves by an affine map, true drift and labels give the true means."""
    config = small(*WORDS)
    stream, hidden = known(config, stream_of)
    learner, told = Learner(config), {}

    class Look(Truth):
        def _accuracies(self, inference, head, courses, task):
            told[task] = courses
            return {}

    folder = runs[1][0] / "exact"
    panel = Look(stream, hidden, stream.images, folder, lambda *_: None)
    fit(learner, stream.experiences[0], stream.images, HookList([panel]))

    learner.begin(stream.experiences[1], stream.images)
    inference = learner.inference
    embed, past = inference.embed, inference.networks.pasts[0]

    def moved(network, images, heads, ids=None):
        features = embed(past, images, (), ids).features
        if network is not past:
            features = 2 * features + 0.5
        return replace(embed(network, images, heads, ids), features=features)

    inference.embed = moved
    inference.forget()
    panel.after_training_exp(Loop(learner))
    courses = told[1]
    torch.testing.assert_close(
        courses["with_labels_and_drift"].means[:4],
        courses["with_statistics"].means[:4],
        rtol=0.02, atol=0.05,
    )  # fmt: skip


@pytest.mark.thorough
def test_it_goes_on_where_it_was(runs, small, monkeypatch, tmp_path):
    from contsemi.errors import Interrupted
    from contsemi.pipeline.signals import Signals

    config = small(*WORDS, "evaluate.truth=true", f"output={tmp_path / 'run'}")
    monkeypatch.setattr("contsemi.report.pages.draw.draw", lambda run: [])
    stop, asked = Signals.stop_if_asked, []

    def once(self):
        asked.append(None)
        if len(asked) == 4:  # after the second task
            raise Interrupted(15)
        stop(self)

    monkeypatch.setattr(Signals, "stop_if_asked", once)
    with pytest.raises(Interrupted):
        pipeline.run(config)
    assert pipeline.run(config)["truth"] == runs[1][1]["truth"]


def test_a_lost_course_is_one_line(tmp_path):
    panel = Truth(None, torch.empty(0), torch.empty(0), tmp_path, lambda *_: None)
    with pytest.raises(StateDamaged, match=r"after_task_01.*resume=never"):
        panel._load(0, torch.device("cpu"))


@pytest.mark.parametrize(
    "words", [["method=suave"], ["method=replay"], ["method=contsemi", "scenario=digits_wild"]]
)
def test_what_it_is_not_about_is_refused(words):
    with pytest.raises(InputError, match=r"evaluate\.truth"):
        compose.load([*words, "evaluate.truth=true"])


def test_the_figure_stacks_what_was_measured(runs):
    folder, _ = runs[1]
    found = drawing(Material.so_far(folder))
    assert found is not None and len(found.panels) == 2
    assert drawing(Material.so_far(runs[0][0])) is None
    assert (folder / "truth" / "after_task_03.safetensors").is_file()
    assert len(load_file(folder / "truth" / "after_task_03.safetensors")) == 9
