"""Classes of different sizes are said where a method uses all of them evenly."""

from dataclasses import replace

import pytest
import torch

from contsemi import compose
from contsemi.pipeline.uneven import uneven


def divided(*sizes):
    """A change of the training images: the classes 0, 1, ... keep so many."""

    def change(train):
        rows = [(train.targets == c).nonzero()[:n, 0] for c, n in enumerate(sizes)]
        kept = torch.cat(rows).sort().values
        return replace(train, images=train.images[kept], targets=train.targets[kept])

    return change


WORDS = ("scenario.classes=4", "scenario.tasks=2", "scenario.class_order=id", "model.width=8")


@pytest.mark.parametrize(
    ("words", "prior"),
    [
        (["method=contsemi", "label_ratio=10%"], "labels"),
        (["method=contsemi", "label_ratio=4/class"], "estimated"),
        (["method=contsemi", "label_ratio=10%", "labels=kmeans"], "estimated"),
        (["method=nncsl", "label_ratio=[10%,20%]"], "labels"),
        (["method=swav", "label_ratio=10%"], "estimated"),
        (["method=fixmatch", "objective.rule=relative", "label_ratio=10%"], "labels"),
    ],
)
@pytest.mark.quick(1)
def test_it_names_the_task_and_a_prior_that_the_method_has(words, prior, stream_of):
    config = compose.load([*WORDS, *words])
    stream, _ = stream_of(config, divided(130, 100, 130, 10))
    (said,) = uneven(config, stream)
    assert said.startswith("classes of task 2 have 10 to 130 images")
    assert f"objective.prior={prior} " in said
    remedied = compose.load([*WORDS, *words, f"objective.prior={prior}"])
    assert uneven(remedied, stream) == ()


@pytest.mark.parametrize(
    ("words", "sizes"),
    [
        (["method=contsemi"], (130, 100, 60, 60)),
        (["method=fixmatch"], (130, 10, 130, 10)),
        (["method=byol"], (130, 10, 130, 10)),
        (["method=replay"], (130, 10, 130, 10)),
    ],
)
def test_nothing_is_said_where_it_matters_little(words, sizes, stream_of):
    config = compose.load([*WORDS, *words, "label_ratio=10%"])
    stream, _ = stream_of(config, divided(*sizes))
    assert uneven(config, stream) == ()
