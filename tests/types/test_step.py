"""What a step says of its views, and what it leaves out."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from contsemi.types import Outputs, Seen


def said(rows, start=0.0):
    values = start + torch.arange(float(rows))[:, None]
    return Outputs(values, {"projector": values})


@pytest.fixture
def step(make_step):
    seen = {
        "labelled": Seen(student=said(4), past=(said(4, 50.0),), rows="labelled", number=2),
        "large": Seen(student=said(6, 10.0), teacher=said(6, 20.0), number=2),
        "small": Seen(student=said(3, 30.0), past=(said(3, 60.0), said(3, 70.0)), number=1),
        "weak": Seen(teacher=said(3)),
    }
    return make_step(seen=seen, labels=torch.tensor([1, 0]), batch_size=3)


def test_absent_names_are_none(step):
    assert step.student("strong") is None and step.teacher("strong") is None
    assert step.teacher("strong") is None and step.student("weak") is None
    assert len(step.teacher("weak")) == 3 and step.batch_size == 3


def test_views_stand_in_the_order_asked_for(step):
    assert step.views("projector")[:, 0].tolist() == [10, 11, 12, 13, 14, 15, 30, 31, 32]
    assert step.views("projector", "small", "weak", "labelled")[:4, 0].tolist() == [30, 31, 32, 0]
    with pytest.raises(ValueError, match="without views"):
        step.views("projector", "weak")


def test_the_newest_past_is_paired_with_the_present(step):
    pairs = step.with_past()
    assert [float(then.features[0]) for _, then in pairs] == [50, 60]
    assert [len(now) for now, _ in step.with_past("unlabelled")] == [3]


def test_rows_in_each_view(step):
    assert step.in_each_view(torch.tensor([1])).tolist() == [1, 3]
    assert step.in_each_view(torch.tensor([0]), "nothing").tolist() == []


def test_a_purpose_has_draws_of_its_own_that_come_again(step):
    draws = [torch.rand(3, generator=step.draw(name)) for name in ("one", "other", "one")]
    assert torch.equal(draws[0], draws[2]) and not torch.equal(draws[0], draws[1])


def test_a_weight_rises_as_in_the_official_code_of_mixmatch(step):
    data = np.load(Path(__file__).parents[1] / "reference" / "parts" / "mixmatch_ramp.npz")
    begun, length = data["current"] >= 0, float(data["length"])
    steps = [replace(step, progress=float(now)) for now in data["current"][begun]]
    found = [each.risen(length) for each in steps]
    np.testing.assert_allclose(found, data["ramp"][begun], rtol=1e-9, atol=1e-12)
    assert replace(step, progress=0.0).risen(0.0) == data["ramp_length0"]
