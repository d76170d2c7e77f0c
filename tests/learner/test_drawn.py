"""Layers that an objective or a distiller makes for itself: drawn by the seed of the run alone."""

import pytest
import torch
from torch import nn

from contsemi import compose
from contsemi.distillers.none import NoDistiller
from contsemi.learner.learner import Learner
from contsemi.objectives.uml import Uml

WORDS = ["method=uml", "objective.attention_heads=1", "objective.attention_width=16"]


@pytest.fixture
def made(monkeypatch, stream_of):
    """All that is drawn by an objective and a distiller of two tasks, after whatever else."""

    def begin(self, experience):
        self.add_module(f"own_{experience.index}", nn.Linear(3, 2))

    monkeypatch.setattr(Uml, "begin", begin)
    monkeypatch.setattr(NoDistiller, "begin", begin)

    def of(seed):
        config = compose.load([*WORDS, f"seed={seed}", "model.width=8", "threads=1", "device=cpu"])
        stream, _ = stream_of(config)
        learner = Learner(config)
        for experience in stream.experiences[:2]:
            learner.begin(experience, stream.images)
        parts = {"objective": learner.objective, "distiller": learner.distiller}
        return {
            f"{name}.{key}": x for name, y in parts.items() for key, x in y.state_dict().items()
        }

    return of


def test_they_are_drawn_by_the_seed_and_by_nothing_else(made):
    first = made(0)
    drawn = [name for name, x in first.items() if "weight" in name and "norm" not in name]
    grown = [f"{part}.own_{i}.weight" for part in ("objective", "distiller") for i in (0, 1)]
    assert {*grown, "objective.attention.out.weight"} <= {*drawn}
    assert len({tuple(first[name].flatten().tolist()) for name in grown}) == 4
    torch.rand(5)  # as a plug-in may, or a run before this one
    before = torch.get_rng_state()
    again, other = made(0), made(1)
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not any(torch.equal(first[name], other[name]) for name in drawn)
