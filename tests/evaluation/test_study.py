"""What a run measures beside its matrices: right numbers, and training that does not notice."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.neighbors import KNeighborsClassifier

from contsemi import data, pipeline
from contsemi.evaluation.study import _columns
from contsemi.metrics.matrix import Undefined
from contsemi.metrics.probes import few_shot
from contsemi.pipeline.standing import bound, identity
from contsemi.records.answers import read_all
from contsemi.records.measured import load_measured
from contsemi.storage.checkpoint import Checkpoints

TWO = ("scenario.classes=4", "scenario.tasks=2", "optim.epochs=1")
ALL = ("evaluate.probes=[knn,linear,few_shot,clustering]", "evaluate.pseudo_labels=0.6")


@pytest.fixture(scope="module")
def run(small, tmp_path_factory):
    """Runs two tasks without the pictures; the folder and the results."""
    patch = pytest.MonkeyPatch()
    patch.setattr("contsemi.report.pages.draw.draw", lambda run: [])

    def go(*words):
        folder = tmp_path_factory.mktemp("runs") / "run"
        return folder, pipeline.run(small(*TWO, *words, f"output={folder}"))

    yield go
    patch.undo()


@pytest.fixture(scope="module")
def plain(run):
    return run()


@pytest.fixture(scope="module")
def studied(run):
    return run(*ALL)


def state(folder):
    facts = json.loads((folder / "manifest.json").read_text())
    made_by = identity(facts, bound(facts["config"]))
    return Checkpoints(folder / "checkpoints", made_by).load()[0]


def leaves(value):
    if isinstance(value, dict):
        return [leaf for key in sorted(value) for leaf in leaves(value[key])]
    return [value]


@pytest.mark.thorough
def test_training_does_not_notice(plain, studied):
    pairs = zip(leaves(state(plain[0])), leaves(state(studied[0])), strict=True)
    assert all(torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b for a, b in pairs)
    for key in ("class_incremental", "task_incremental", "calibration"):
        assert plain[1][key] == studied[1][key]
    assert plain[1]["probe"] is None and plain[1]["pseudo_labels"] is None


def test_answers_say_what_the_matrix_says(plain, small, stream_of):
    folder, results = plain
    stream, test = stream_of(small(*TWO))
    answers = read_all(folder)
    assert list(answers) == [0, 1]
    last = answers[1]
    shares = [
        (last.predicted == last.targets)[np.isin(last.targets, task.columns)].mean()
        for task in stream.test
    ]
    assert np.mean(shares) == pytest.approx(results["class_incremental"]["average_accuracy"])
    within = [
        (last.within == last.targets)[np.isin(last.targets, task.columns)].mean()
        for task in stream.test
    ]
    assert np.mean(within) == pytest.approx(results["task_incremental"]["average_accuracy"])
    order = torch.tensor(stream.class_order)
    assert torch.equal(test.targets[last.rows.astype(int)], order[last.targets.astype(int)])
    confusion = last.confusion()
    assert confusion.shape == (4, 4) and confusion.sum() == len(last.rows)
    assert confusion.trace() == (last.predicted == last.targets).sum()
    assert results["calibration"]["expected_calibration_error"] == last.reliability().error


def test_embeddings_lie_around_their_centres(plain):
    last = read_all(plain[0])[1]
    assert 0 < len(last.embedded) == len(last.embeddings)
    points, centres = last.embeddings.astype(float), last.centres.astype(float)
    distances = np.linalg.norm(points[:, None] - centres[None], axis=2)
    assert (distances.argmin(1) == last.targets[last.embedded]).mean() > 0.5


def test_the_probes_by_other_hands(studied, small, stream_of, monkeypatch):
    """k-NN by scikit-learn, on the features that the last checkpoint gives."""
    folder, results = studied
    from contsemi.learner.learner import Learner

    config = small(*TWO)
    stream, test = stream_of(config)
    learner = Learner(config, reads_again=True)
    learner.restore(state(folder), stream.experiences[1], stream.images, None)
    train_targets = data.load(config.data, config.scenario.dataset)[0].targets
    columns = _columns(train_targets, stream)
    rows = (columns >= 0).nonzero().squeeze(1)  # fewer than probe_images, so all of them
    asked = torch.cat([task.indices for task in stream.test])
    oracle = KNeighborsClassifier(1, metric="cosine", algorithm="brute")
    oracle.fit(learner.inference.features(stream.images[rows]).numpy(), columns[rows].numpy())
    said = oracle.predict(learner.inference.features(test.images[asked]).numpy())
    truth = torch.cat([task.targets for task in stream.test]).numpy()
    assert results["probe"]["knn_1"] == pytest.approx((said == truth).mean(), abs=0.005)


def test_every_number_is_there(studied):
    folder, results = studied
    probe = results["probe"]
    assert all(value is not None and -1 <= value <= 1 for value in probe.values())
    assert {"knn_200", "linear", "few_shot_seen_20", "few_shot_unseen_1"} < probe.keys()
    assert {"clustering_nmi", "knn_within_forward_transfer"} < probe.keys()
    assert 0 < results["pseudo_labels"]["coverage"] <= 1
    assert 0.3 < results["pseudo_labels"]["precision"] <= 1
    measured = load_measured(folder)
    assert set(measured["probe"]["knn_within/task_2"]) == {-1, 0, 1}
    assert isinstance(measured["probe"]["few_shot_unseen_5"][1], Undefined)
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    missing = {line["name"]: line["reason"] for line in lines if line["value"] is None}
    unseen = {name for name in probe if name.startswith("few_shot_unseen")}
    assert missing == {f"probe/{name}": "every class has been learned" for name in unseen}


@pytest.mark.parametrize(
    ("words", "left"),
    [
        (["scenario.blur=0.4"], {0: 2, 1: 0}),
        (["scenario.unlabelled={current: 0.5, future: 0.5}"], {0: 0, 1: 0}),
        ([], {0: 4, 1: 2}),
    ],
)
@pytest.mark.thorough
def test_classes_that_have_trained_are_not_unseen(run, monkeypatch, words, left):
    """Images that came early counted among classes that nothing was trained on."""
    shown = []
    draw = few_shot.draw_episodes

    def drawn(labels, **options):
        shown.append(set(labels.tolist()))
        return draw(labels, **options)

    monkeypatch.setattr(few_shot, "draw_episodes", drawn)
    probes = ["evaluate.probes=[few_shot]", "evaluate.probes.few_shot.shots=[1]"]
    folder, results = run("scenario.classes=6", "scenario.tasks=3", *probes, *words)
    unseen = [each for each in shown if 0 not in each]
    assert [len(each) for each in unseen] == [number for number in left.values() if number]
    told = load_measured(folder)["probe"]["few_shot_unseen_1"]
    assert [isinstance(told[task], Undefined) for task in (0, 1)] == [not n for n in left.values()]
    if any(left.values()):
        defined = [told[task] for task in (0, 1) if left[task]]
        assert results["probe"]["few_shot_unseen_1"] == pytest.approx(np.mean(defined))
    else:
        said = "images of every class to come have trained already"
        assert results["undefined"]["probe.few_shot_unseen_1"] == said
    assert results["probe"]["few_shot_seen_1"] > 0


@pytest.mark.thorough
def test_hidden_labels_reach_nothing_but_the_study(small, stream_of, tmp_path, monkeypatch):
    """With hidden labels scrambled all stays but the precision of pseudo-labels."""
    monkeypatch.setattr("contsemi.report.pages.draw.draw", lambda run: [])
    config = small(*TWO)
    stream, _ = stream_of(config)
    frozen = tmp_path / "labels.txt"
    frozen.write_text("\n".join(map(str, stream.label_indices.tolist())))
    load, results = data.load, []

    def scrambled(*given):
        train, test = load(*given)
        targets = train.targets.clone()
        hidden = torch.ones(len(targets), dtype=torch.bool)
        hidden[torch.from_numpy(stream.label_indices)] = False
        targets[hidden] ^= 1
        return replace(train, targets=targets), test

    for name, loader in (("truth", load), ("scrambled", scrambled)):
        monkeypatch.setattr(data, "load", loader)
        words = (*TWO, *ALL, f"scenario.labels={frozen}", f"output={tmp_path / name}")
        results.append(pipeline.run(small(*words)))
    truth, wrong = results
    assert truth["class_incremental"] == wrong["class_incremental"]
    assert truth["pseudo_labels"]["coverage"] == wrong["pseudo_labels"]["coverage"]
    assert wrong["pseudo_labels"]["precision"] < 0.5 < truth["pseudo_labels"]["precision"]


@pytest.mark.thorough
def test_a_baseline_is_studied_and_evaluated_inside_tasks(run):
    folder, results = run("method=replay", *ALL, "evaluate.every_steps=2", "optim.epochs=2")
    assert results["probe"]["knn_within_forward_transfer"] is not None
    assert results["pseudo_labels"]["coverage"] is not None
    assert results["while_training"]["class_incremental"]["evaluations"] >= 4
    assert results["while_training"]["class_incremental"]["min_accuracy"] is not None
    assert np.isnan(read_all(folder)[1].centres).all()
    assert (
        run("method=replay", "optim.epochs=2")[1]["class_incremental"]
        == (results["class_incremental"])
    )


@pytest.mark.thorough
def test_a_stopped_run_gives_the_same_study(run, small, studied, tmp_path):
    from contsemi.errors import Interrupted
    from contsemi.evaluation.study import Study

    patch, after = pytest.MonkeyPatch(), Study.after_task

    def stop(self, learner, measured, task, step):
        after(self, learner, measured, task, step)
        if task == 1:
            raise Interrupted(2)

    folder = tmp_path / "run"
    patch.setattr(Study, "after_task", stop)
    with pytest.raises(Interrupted):
        pipeline.run(small(*TWO, *ALL, f"output={folder}"))
    patch.undo()
    results = pipeline.run(small(*TWO, *ALL, f"output={folder}"))
    whole, expected = results, studied[1]
    for key in ("probe", "calibration", "pseudo_labels", "undefined", "class_incremental"):
        assert whole[key] == expected[key]
    for one, other in zip(
        sorted((folder / "answers").iterdir()),
        sorted((studied[0] / "answers").iterdir()),
        strict=True,
    ):
        assert one.read_bytes() == other.read_bytes()
