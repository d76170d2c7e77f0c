"""What is kept beside the network, against the bytes of the saved state."""

import pytest
import torch

from contsemi.blocks.fifo import Fifo
from contsemi.learner.kept import kept_bytes
from contsemi.learner.learner import Learner
from contsemi.learner.loop import fit

TWO = ("scenario.classes=4", "scenario.tasks=2", "optim.epochs=1")


def trained(config, stream, tasks=2):
    learner = Learner(config)
    for experience in stream.experiences[:tasks]:
        fit(learner, experience, stream.images)
    return learner


def saved(state):
    return sum(value.nbytes for value in state.values())


@pytest.mark.parametrize(
    ("method", "names"),
    [
        ("finetune", set()),
        ("contsemi", {"exemplars", "moments", "past"}),
        ("byol", {"average"}),
        ("msf", {"average"}),
    ],
)
@pytest.mark.quick(1)
def test_frozen_and_averaged_networks_count(method, names, small, stream_of):
    config = small(f"method={method}", *TWO)
    learner = trained(config, stream_of(config)[0])
    kept, state = kept_bytes(learner), learner.state()
    assert {name for name in kept if "." not in name} >= names
    assert kept.get("past", 0) == saved(state["past"])
    assert kept.get("average", 0) == saved(state["teacher"])
    assert kept.get("exemplars", 0) == learner.exemplars.memory_bytes
    assert all(kept.values())


def test_banks_of_both_parts_count_by_name(small, stream_of):
    config = small(*TWO)
    stream = stream_of(config)[0]
    learner = trained(config, stream)
    before = kept_bytes(learner)
    for part, rows in ((learner.objective, 3), (learner.distiller, 5)):
        part.past_rows = Fifo(8)
        part.past_rows.push(torch.randn(rows, 4), labels=torch.zeros(rows, dtype=torch.int64))
    more = dict(kept_bytes(learner).items() - before.items())
    assert more.keys() == {"objective.past_rows", "distiller.past_rows"}
    assert more["distiller.past_rows"] / more["objective.past_rows"] == pytest.approx(5 / 3)
    copies = {"past", "average"}
    assert learner.memory_bytes == sum(
        n for name, n in kept_bytes(learner).items() if name not in copies
    )
