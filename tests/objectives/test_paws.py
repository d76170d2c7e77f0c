"""PAWS's terms on hand-made steps: the official arrays, its prediction head, and its limits."""

from pathlib import Path

import numpy as np
import pytest
import torch

from contsemi.errors import InputError
from contsemi.learner.learner import Learner
from contsemi.learner.loop import fit
from contsemi.objectives.paws import Paws
from contsemi.types import Outputs

FOLDER = Path(__file__).parents[1] / "reference" / "core"
OPTIONS = {
    "temperature": 0.1,
    "sharpening": 0.25,
    "smoothing": 0.1,
    "large_views": 2,
    "small_views": 2,
    "labelled_views": 2,
    "supports_per_class": 2,
    "predictor": False,
    "detach": True,
    "predict_by": "neighbours",
}
REFERENCE = sorted(FOLDER.glob("paws_*.npz"))
UNMASKED = [path for path in sorted(FOLDER.glob("nncsl_*.npz")) if not np.load(path)["mask"]]


def outputs(**heads):
    return Outputs(next(iter(heads.values()))[:, :0], heads)


class Case:
    """One official file as a step of a network whose anchors pass through a prediction head."""

    def __init__(self, data, make_step):
        self.data = data
        batch, views = int(data["batch"]), int(data["views"])
        self.leaves = {"anchor": data["anchor_views"], "support": data["anchor_supports"]}
        # In the file the large views are already swapped; ours come in their own order.
        target = {"views": data["target_views"].roll(batch, 0), "supports": data["target_supports"]}
        self.targets = target
        for tensor in (*self.leaves.values(), *target.values()):
            tensor.requires_grad_()
        labels = data["support_labels"].argmax(1)
        classes = data["support_labels"].shape[1]
        anchors, supports = self.leaves["anchor"], self.leaves["support"]
        small = anchors[2 * batch :]
        self.step = make_step(
            labelled=outputs(
                projector=target["supports"],
                predictor=supports,
                classifier=supports.new_zeros(len(labels), classes),
            ),
            labels=labels[: len(labels) // views],
            large=outputs(projector=target["views"], predictor=anchors[: 2 * batch]),
            small=outputs(projector=small, predictor=small) if len(small) else None,
            num_seen=classes,
            batch_size=batch,
        )
        self.terms = Paws(
            **OPTIONS
            | {
                "temperature": float(data["tau"]),
                "sharpening": float(data["T"]),
                "smoothing": float(data["smoothing"]),
                "small_views": int(data["multicrop"]),
                "predictor": True,
            }
        ).terms(self.step)


@pytest.fixture(params=REFERENCE, ids=lambda path: path.stem)
def case(request, make_step, official):
    return Case(official.load(request.param), make_step)


@pytest.mark.parametrize(("term", "name"), [("consistency", "loss"), ("me_max", "me_max")])
def test_equals_official(term, name, case, official):
    value = case.terms[term]
    official.close(value, case.data[name], name)
    value.backward()
    for side, tensor in case.leaves.items():
        official.close(tensor.grad, case.data[f"grad_{side}_{name}"], f"grad_{side}_{name}")
    assert all(tensor.grad is None for tensor in case.targets.values())


@pytest.mark.parametrize("path", UNMASKED, ids=lambda path: path.stem)
def test_equals_official_in_a_stream(path, make_step, official):
    block = official.nncsl(path, make_step)
    options = {"predictor": False, "detach": False}
    block.check_objective(Paws(**block.options, **options).terms(block.step))


def test_reference_files_are_there():
    assert len(REFERENCE) >= 9 and len(UNMASKED) >= 1


@pytest.fixture
def step(make_step):
    def rows(count, seed):
        made = torch.randn(count, 5, generator=torch.Generator().manual_seed(seed))
        return made.requires_grad_()

    def make(**given):
        labels = torch.tensor([2, 0, 1, 2])
        facts = {
            "labelled": outputs(projector=rows(8, 0), classifier=rows(8, 1)[:, :3]),
            "labels": labels,
            "large": outputs(projector=rows(6, 2)),
            "small": outputs(projector=rows(6, 3)),
            "num_old": 2,
            "num_seen": 3,
            "batch_size": 3,
        }
        return make_step(**facts | given)

    return make


def test_supports_of_old_classes_vote(step):
    made = step()
    Paws(**OPTIONS).terms(made)["consistency"].backward()
    assert made.student("labelled")["projector"].grad.any(1).all()


def test_without_exemplars_only_the_classes_at_hand_count(step, make_step):
    """No support of the classes 0 and 1: views cannot but agree on class 2."""
    terms = Paws(**OPTIONS).terms(step(labels=torch.full((4,), 2)))
    for name in ("consistency", "me_max"):
        torch.testing.assert_close(terms[name], torch.tensor(0.0), atol=1e-6, rtol=0)


def test_terms_that_have_no_rows_are_absent(step):
    objective = Paws(**OPTIONS)
    assert objective.terms(step(labelled=None, labels=torch.empty(0, dtype=torch.int64))) == {}
    assert objective.terms(step(large=None, batch_size=0)).keys() == {"classifier"}


@pytest.mark.parametrize("detach", [True, False])
def test_a_detached_classifier_leaves_the_backbone_alone(detach, small, stream_of):
    config = small("objective=paws", f"objective.detach={detach}".lower(), "optim.epochs=1")
    stream, _ = stream_of(config)
    learner = Learner(config)
    learner.begin(stream.experiences[0], stream.images)
    _, terms = learner.loss(learner.forward(learner.batch(0, 0)))
    learner.backward(terms["classifier"])
    network = learner.network
    assert all(p.grad.any() for p in network.classifier.parameters())
    reached = [p.grad is not None and bool(p.grad.any()) for p in network.backbone.parameters()]
    assert any(reached) is not detach


def test_with_a_prediction_head(small, stream_of):
    config = small("objective=paws", "objective.predictor=true", "optim.epochs=1")
    stream, _ = stream_of(config)
    learner = Learner(config)
    learner.begin(stream.experiences[0], stream.images)
    loss, _ = learner.loss(learner.forward(learner.batch(0, 0)))
    learner.backward(loss)
    assert all(p.grad is not None for p in learner.network.predictor.parameters())
    fit(learner, stream.experiences[0], stream.images)
    assert learner.predict(stream.images[:3]).shape == (3, 2)


def test_finite_at_scores_of_ten_thousand(step):
    options = OPTIONS | {"temperature": 1e-4}
    made = step()
    terms = Paws(**options).terms(made)
    sum(terms.values()).backward()
    assert all(term.isfinite() for term in terms.values())
    assert made.student("large")["projector"].grad.isfinite().all()


def test_a_single_view_cannot_be_learned_from():
    with pytest.raises(InputError, match=r"objective\.large_views"):
        Paws(**OPTIONS | {"large_views": 1})
