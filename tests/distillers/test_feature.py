"""Feature distillation against plain NumPy; the official array stands in test_nnd."""

import numpy as np
import pytest
import torch

from contsemi.distillers.feature import FeatureDistillation
from contsemi.learner.learner import Learner
from contsemi.learner.loop import fit
from contsemi.types import Outputs


def outputs(rows, seed):
    draw = torch.Generator().manual_seed(seed)
    heads = {
        name: torch.randn(rows, 5, generator=draw).requires_grad_()
        for name in ("projector", "mapped")
    }
    return Outputs(torch.empty(rows, 0), heads)


PARTS = {"labelled": 4, "large": 6, "small": 3}


@pytest.fixture
def step(make_step):
    def make(**given):
        now = {name: outputs(rows, i) for i, (name, rows) in enumerate(PARTS.items())}
        then = {name: outputs(rows, 10 + i) for i, (name, rows) in enumerate(PARTS.items())}
        facts = {"past": then, "labels": torch.tensor([0, 1]), "batch_size": 3}
        return make_step(**now | facts | given)

    return make


@pytest.mark.parametrize(("linear", "head"), [(True, "mapped"), (False, "projector")])
def test_equals_numpy_over_all_rows(linear, head, step):
    made = step()
    distiller = FeatureDistillation(linear=linear)
    found = distiller.terms(made)["features"]
    pairs = [(made.student(name), made.seen[name].past[0]) for name in PARTS]
    now = np.concatenate([each[head].detach() for each, _ in pairs])
    then = np.concatenate([each["projector"].detach() for _, each in pairs])
    np.testing.assert_allclose(found.detach(), np.mean((now - then) ** 2), rtol=1e-6)
    found.backward()
    assert all(each[head].grad.any() for each, _ in pairs)
    assert all(each["projector"].grad is None for _, each in pairs)
    assert head in distiller.needs.heads and distiller.needs.pasts == 1


def test_nothing_in_the_first_task_and_only_rows_that_both_saw(step):
    distiller = FeatureDistillation(linear=True)
    assert distiller.terms(step(past=None)) == {}
    made = step(labelled=None, small=None)
    alone = step(past={"large": made.seen["large"].past[0]})
    assert torch.equal(distiller.terms(made)["features"], distiller.terms(alone)["features"])


def test_the_map_is_learned_and_kept_with_the_network(small, stream_of):
    config = small("distiller=feature", "optim.epochs=1")
    stream, _ = stream_of(config)
    learner = Learner(config)
    for experience in stream.experiences[:2]:
        fit(learner, experience, stream.images)
    assert "mapped.weight" in learner.state()["network"]
    names = [name for group in learner.optimizer.param_groups for name in group["param_names"]]
    assert "0.mapped.weight" in names
    assert not torch.equal(learner.network.mapped.weight, Learner(config).network.mapped.weight)
