"""What a part of the user's own gives is looked at where it is asked; file and line are named."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import nn

from contsemi.config import Data
from contsemi.data import source
from contsemi.data.imageset import ImageSet
from contsemi.data.sources.source import Source
from contsemi.errors import MethodFailed
from contsemi.evaluation import probing
from contsemi.labels import LabelBudget
from contsemi.labels.choices.choice import Choice
from contsemi.learner.parts import build_part
from contsemi.memory.drift.drift import Drift
from contsemi.metrics.probes.probe import Probe
from contsemi.models import build_backbone
from contsemi.objectives.objective import Objective
from contsemi.types import Needs
from contsemi.types.returned import tensor_of
from contsemi.views import plan
from contsemi.views.drawn.operation import Operation


def giving(base, member, value):
    """A part of a kind whose member gives ``value``."""

    def gives(self, *_, **__):
        return value

    gives.__name__ = member
    return dataclass(kw_only=True, eq=False)(type("Mine", (base,), {member: gives}))()


def refused(call, *said):
    with pytest.raises(MethodFailed, match=r"test_returned\.py: line \d+ in \w+\(\): ") as caught:
        call()
    for each in said:
        assert each in str(caught.value)


@pytest.mark.parametrize("value", [None, 2.5, np.zeros((2, 3)), torch.zeros(3), torch.zeros(3, 2)])
def test_a_tensor_of_that_shape(value):
    refused(lambda: tensor_of(giving, value, 2, 3), "expected a tensor [2, 3]")
    right = torch.zeros(2, 3)
    assert tensor_of(giving, right, 2, 3) is right


@pytest.mark.parametrize(
    "value",
    [None, 1.0, [0, 1], torch.tensor([0])]
    + [np.array(rows) for rows in ([0.0], [4], [-1], [1, 1], [[0]], [True, False, True, True])],
)
def test_a_label_choice_gives_each_position_once(value):
    choice = giving(Choice, "draw", value)
    budget = LabelBudget.parse("1/class")
    refused(lambda: choice.drawn(budget, np.arange(4), seed=0, names="abcd"), "in draw()")
    right = giving(Choice, "draw", np.array([3, 0]))
    assert list(right.drawn(budget, np.arange(4), seed=0, names="abcd")) == [3, 0]


@pytest.mark.parametrize("value", [None, 0.5, lambda rows: None, lambda rows: rows[:1]])
def test_a_drift_map_keeps_the_shape(value):
    rows, draw = torch.eye(2), torch.Generator()
    refused(lambda: giving(Drift, "fitted", value).fit(rows, rows, draw=draw)(rows), "in fitted()")


@pytest.mark.parametrize("value", [None, 1.0, {"a": "seven"}, {"a": torch.ones(3)}, {3: 1.0}])
def test_a_probe_gives_numbers_by_name(value, monkeypatch):
    monkeypatch.setattr(probing, "_by_task", lambda *_: [])
    probes = probing.Probes(
        probes=[giving(Probe, "ask", value)], bank=(), bank_images=None, test=(), test_images=None,
        seed=0,
    )  # fmt: skip
    refused(lambda: probes.ask(None, 1), "in ask()", "number")


def split(images=2, targets=(0, 1), classes=("a", "b"), dtype=np.uint8):
    pixels = np.zeros((images, 3, 4, 4), dtype)
    return ImageSet.of(pixels, np.array(targets), classes=classes, name="own", digest="0")


@pytest.mark.parametrize(
    "value",
    [None, split(), (split(),), (split(), 3), (split(), split(images=3))]
    + [(split(targets=each), split()) for each in [(0, 2), (0, -2), (0.0, 1.0)]]
    + [(split(classes=each), split()) for each in [None, ["a", "b"], (0, 1)]]
    + [(split(dtype=np.float32), split())],
)
def test_an_image_source_gives_two_splits(value, monkeypatch):
    own = giving(Source, "load", value)
    monkeypatch.setattr(source.Source, "named", lambda options: own)
    refused(lambda: source.load(Data.model_construct(source={}), "folder"), "two ImageSets")


def test_an_operation_on_views_draws_one():
    refused(lambda: plan._drawn(giving(Operation, "draw", None), None, 8), "expected a Drawn")


@dataclass(kw_only=True, eq=False)
class WithoutNeeds(Objective):
    pass


@dataclass(kw_only=True, eq=False)
class WithoutTheBase(Objective):
    def __post_init__(self):
        self.needs = Needs()


@pytest.mark.parametrize("made", [WithoutNeeds, WithoutTheBase])
def test_an_objective_says_what_it_needs_after_the_base_class_is_made(made, monkeypatch):
    monkeypatch.setattr(Objective, "named", lambda options: made())
    refused(lambda: build_part({"name": "mine"}, Objective), f"in {made.__name__}()", "its needs")


@pytest.mark.parametrize(
    ("net", "said"),
    [
        (None, "returned None, expected an nn.Module with num_features"),
        (nn.Flatten(), "returned a Flatten"),
        (nn.Sequential(nn.Flatten(), nn.Linear(48, 5)), "of float32 [1, 5], expected a float"),
    ],
)
def test_a_backbone_makes_rows_of_its_width(net, said, monkeypatch):
    if isinstance(net, nn.Sequential):
        net.num_features = 7

    def build():
        return net

    monkeypatch.setattr("contsemi.models.find_module", lambda *_: type("M", (), {"build": build}))
    refused(lambda: build_backbone({"name": "own"}, torch.Generator(), side=4), "in build()", said)
