"""A run that cannot learn anything, or predict, ends with one line, before anything is written."""

import pytest
import torch

from contsemi import compose, pipeline
from contsemi.errors import InputError
from contsemi.learner import parts
from contsemi.learner.learner import Learner
from contsemi.learner.loop import fit
from contsemi.objectives.objective import Objective


@pytest.mark.quick(4)
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("method=finetune", "objective.labelled_views=0"), "asks for no view of any image"),
        (("method=csl", "objective.labelled_views=0"), r"labelled_views: is 0, and csl has"),
        (("method=nncsl", "objective.labelled_views=0"), r"labelled_views: is 0, and nncsl has"),
        (("method=paws", "objective.labelled_views=0"), r"labelled_views: is 0, and paws has"),
        (
            ("method=swav", "objective.weights.clustering=0", "objective.weights.labels=0"),
            "no .*term .*has a weight above 0",
        ),
        (("method=pixel_knn", "memory.exemplars=0"), "memory.exemplars: is 0, and objective=near"),
        (("method=swav", "predict=moments", "memory.exemplars=0"), "objective=swav predicts"),
        (("method=ccic", "memory.exemplars=0"), "memory.exemplars: is 0, and objective=ccic"),
        (("method=hiermatch",), r"hierarchy: objective=hiermatch learns from coarse classes, and"),
        (("method=suave", "distiller=simreg", "distiller.shares=[]"), "distiller.shares: has no"),
        (
            ("method=suave", "distiller=[nnd,simreg]", "distiller.simreg.shares=[0]"),
            r"distiller\.simreg\.shares: has no share above 0",
        ),
        (("method=byol", "objective.labelled_views=0"), r"predict: goes by .*objective=byol says"),
        (("method=fixmatch", "objective.labelled_views=0"), "objective=fixmatch says, which no"),
        (("method=suave", "objective.labelled_views=0"), "above 0, or predict=moments"),
        (
            ("method=contsemi", "objective.labelled_views=0"),
            r"memory\.pseudo_labels: goes by what objective=suave says, which no label teaches",
        ),
        (
            (
                "method=contsemi",
                "objective.labelled_views=0",
                "memory.pseudo_labels=null",
                "memory.embeddings=50",
                "distiller.neighbours=5",
            ),
            r"memory\.embeddings: goes by what objective=suave says",
        ),
        (
            (
                "method=frozen",
                "model=pixels",
                "memory.exemplars=20",
                "memory.selection=margin",
            ),
            r"memory\.selection: goes by what objective=known says",
        ),
        (
            ("method=byol", "predict=moments", "objective.labelled_views=0", "distiller=lwf"),
            "the head classifier says, which objective=byol does not train",
        ),
        (
            ("method=byol", "objective.weights.labels=0"),
            r"objective\.weights\.labels above 0, or pr",
        ),
        (("method=suave", "objective.weights.labels=0"), r"predict: goes by what objective=suave"),
        (
            ("method=csl", "objective.predict_by=classifier", "objective.weights.classifier=0"),
            r"set objective\.weights\.classifier above 0",
        ),
        (
            ("method=csl", "objective.weights.classifier=0", "distiller=lwf"),
            "the head classifier says, which objective=csl does not train",
        ),
        (
            (
                "method=swav",
                "objective.weights.clustering=0",
                "distiller=cassle",
                "distiller.kind=knowledge",
                "distiller.host=clusters",
            ),
            "the head clusters says, which objective=swav does not train",
        ),
        (
            (
                "method=suave",
                "predict=moments",
                "objective.labelled_views=0",
                "objective.weights.clustering=0",
            ),
            r"but labels, which never comes, as objective\.labelled_views is 0",
        ),
    ],
)
def test_one_line_says_which_key_leaves_nothing(words, said, tmp_path):
    with pytest.raises(InputError, match=said):
        pipeline.run(compose.load([*words, "device=cpu", f"output={tmp_path / 'run'}"]))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("method", ["frozen", "pixel_knn"])
def test_a_method_that_trains_nothing_by_design_is_one(method):
    assert not Learner(compose.load([f"method={method}", "device=cpu"])).needs.trains


def test_a_method_that_learns_without_labels_goes_without_a_labelled_view():
    config = compose.load(["method=swav", "objective.labelled_views=0"])
    objective, weights = parts.build_part(config.objective, Objective)
    parts.refuse_nothing_to_learn_from(config, objective, weights)


@pytest.mark.parametrize(
    ("words", "decides"),
    [
        (["method=byol"], True),
        (["method=byol", "objective.labelled_views=0"], False),
        (["method=suave", "objective.labelled_views=0"], False),
        (["method=suave", "objective.labelled_views=0", "objective.labels_from=index"], True),
        (["method=swav", "objective.labelled_views=0"], True),  # the labelled images at hand vote
        (["method=byol", "objective.weights.labels=0"], False),
        (["method=suave", "objective.weights.labels=0"], False),
        (["method=suave", "objective.weights.labels=0", "objective.labels_from=index"], True),
        (["method=suave", "objective.weights.clustering=0"], True),
        (["method=cmsf", "objective.weights.labels=0", "objective.classifier=refitted"], True),
        (["method=swav", "objective.weights.labels=0"], True),
        (["method=csl", "objective.weights.classifier=0"], True),
        (["method=mixmatch"], True),
        (["method=trex"], True),
        (["method=frozen"], False),
    ],
)
def test_scores_that_a_label_teaches_are_told_from_others(words, decides):
    objective, _ = parts.build_part(compose.load(words).objective, Objective)
    assert objective.decides is decides


def test_class_moments_take_no_class_from_an_objective_without_labels(small, stream_of):
    """Before, the pool counted by a classifier that was as it had been drawn."""
    words = ("method=byol", "predict=moments", "optim.epochs=1", "scenario.classes=4")
    config = small(*words, "scenario.tasks=2")
    without = {**config.objective, "labelled_views": 0}
    config = config.model_copy(update={"objective": without})
    stream, _ = stream_of(config)
    learner = Learner(config)
    fit(learner, stream.experiences[0], stream.images)
    counts = learner.inference.decides.kept.counts
    assert counts.sum() == len(stream.experiences[0].labelled)
    named = learner.inference.predictions(learner.inference.look(stream.images, torch.arange(4)))
    assert not {"objective", "classifier"} & named.keys() and "neighbours" in named
