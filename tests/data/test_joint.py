"""All classes at once: the same images and labels as the stream that it bounds."""

import pytest
import torch

from contsemi import compose
from contsemi.errors import InputError


def test_the_joint_bound_has_the_labels_of_the_stream(small, stream_of):
    config = small("method=joint_semi", "seed=3")
    assert config.scenario.tasks == 1 and config.distiller["name"] == "none"
    (whole,) = stream_of(config)[0].experiences
    parts = stream_of(small("method=contsemi", "seed=3"))[0].experiences
    for name in ("labelled", "unlabelled"):
        own = torch.cat([getattr(part, name) for part in parts])
        assert torch.equal(own.sort().values, getattr(whole, name).sort().values)


@pytest.mark.parametrize(
    "words", [["scenario.tasks=5"], ["scenario.tasks=null", "scenario.task_classes=[5,5]"]]
)
def test_what_would_divide_its_classes_again_is_refused(words):
    with pytest.raises(InputError, match=r"has all classes at once, and scenario\.tasks is"):
        compose.load(["method=joint_semi", *words])
