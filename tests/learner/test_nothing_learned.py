"""A run that cannot learn anything, or predict, ends with one line, before anything is written."""

import pytest

from contsemi import compose, pipeline
from contsemi.errors import InputError
from contsemi.learner import parts
from contsemi.learner.learner import Learner
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
