"""How large a saved state will be is known beforehand, whatever is kept in it."""

import pytest
from safetensors.torch import save

from contsemi.learner.learner import Learner
from contsemi.learner.loop import fit
from contsemi.pipeline.footprint import state_bytes
from contsemi.storage.tensors import flatten

FROZEN = "method=frozen memory.exemplars=0 memory.embeddings=0"


@pytest.mark.parametrize(
    "kept",
    [
        "memory.exemplars=60",
        "memory.anchors=400",
        "memory.embeddings=300",
        f"{FROZEN} predict=ranpac predict.width=300",
        f"{FROZEN} predict=fecam model.width=16",
    ],
)
@pytest.mark.quick(1)
def test_a_state_is_about_as_large_as_foretold(kept, small, stream_of):
    config = small("scenario.classes=4", "scenario.tasks=2", "optim.epochs=1", *kept.split())
    stream, _ = stream_of(config)
    learner = Learner(config)
    foretold = state_bytes(learner, config, stream.images[0].nbytes, len(stream.class_order))
    for experience in stream.experiences:
        fit(learner, experience, stream.images)
    assert foretold == pytest.approx(len(save(flatten(learner.state()))), rel=0.05)
