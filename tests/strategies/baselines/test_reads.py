"""What a baseline reads of a configuration is what the front lets pass."""

import pytest
from pydantic import BaseModel

from contsemi.compose.unread import REMEMBERS, UNREAD
from contsemi.strategies.baselines import Baseline


class Recorder:
    """A configuration that remembers which keys were read."""

    def __init__(self, value, seen, path=""):
        self.value, self.seen, self.path = value, seen, path

    def __getattr__(self, name):
        value, path = getattr(self.value, name), f"{self.path}{name}"
        if isinstance(value, BaseModel):
            return Recorder(value, self.seen, f"{path}.")
        self.seen.add(path)
        return value


@pytest.mark.parametrize("name", ["replay", "lwf", "slda", "icarl"])
@pytest.mark.quick(1)
def test_no_key_is_read_that_is_refused(name, load, stream_of):
    config = load(name)
    stream, test = stream_of(config)
    seen = set()
    baseline = Baseline(Recorder(config, seen), stream.experiences, stream.images)
    baseline.train(0)
    baseline.predict(test.images[:4])
    seen.discard("projector")  # handed on, and no baseline has that head
    assert {"optim.lr", "batch.labelled", "views.policies", "seed", "model"} <= seen
    refused = {key for key in seen if key in UNREAD or key.partition(".")[0] in UNREAD}
    assert refused == ({"memory.exemplars"} if name in REMEMBERS else set())
