"""A run that cannot learn anything ends with one line, not with a table."""

import pytest

from contsemi import compose
from contsemi.errors import InputError
from contsemi.learner.learner import Learner
from contsemi.learner.terms import Learning


def test_no_view_of_any_image():
    with pytest.raises(InputError, match="asks for no view of any image"):
        Learner(compose.load(["method=finetune", "objective.labelled_views=0", "device=cpu"]))
    with pytest.raises(InputError, match=r"raise objective\.labelled_views, or another number"):
        Learning("mine", {"labels": 1.0}, trains=False)


@pytest.mark.parametrize("method", ["frozen", "pixel_knn"])
def test_a_method_that_trains_nothing_by_design_is_one(method):
    assert not Learner(compose.load([f"method={method}", "device=cpu"])).needs.trains
