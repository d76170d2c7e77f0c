"""The recipes of FixMatch, MixMatch, HierMatch, t-ReX, dynamic distillation and CCIC compose, and
have the numbers of their sources.
"""

import math

import pytest

from contsemi import compose
from contsemi.learner.parts import build_part
from contsemi.objectives.objective import Objective

# optimiser, rate, weight decay, unlabelled and labelled images of a step
NUMBERS = {
    "fixmatch_cifar100": ("sgd", 0.03, 1e-3, 448, 64),
    "fixmatch_imagenet100": ("sgd", 0.1 * 128 / 256, 3e-4, 640, 128),
    "mixmatch_cifar100": ("adamw", 2e-3, 0.02, 64, 64),
    "hiermatch_cifar100": ("adamw", 2e-3, 0.02, 64, 64),
    "trex_cifar100": ("sgd", 0.1, 1e-4, None, None),
    "trex_imagenet100": ("sgd", 0.1, 1e-4, None, None),
    "dynamic_cifar100": ("sgd", 0.01, 1e-4, 32, 32),
    "ccic_cifar100": ("adamw", 1e-3, 0.0, 32, 32),
}


@pytest.mark.parametrize("distiller", ["none", "nnd", "projected", "simreg", "cassle"])
@pytest.mark.parametrize("experiment", NUMBERS)
@pytest.mark.quick(7)
def test_recipes(experiment, distiller, tmp_path):
    config = compose.load(
        [f"experiment={experiment}", f"data.root={tmp_path}", f"distiller={distiller}"]
    )
    optimiser, rate, decay, unlabelled, labelled = NUMBERS[experiment]
    assert config.objective["name"] == experiment.split("_")[0]
    assert (config.optim.name, config.optim.weight_decay) == (optimiser, decay)
    assert config.optim.lr == pytest.approx(rate)
    if unlabelled:
        assert (config.batch.unlabelled, config.batch.labelled) == (unlabelled, labelled)
    build_part(config.objective, Objective)


@pytest.mark.thorough
def test_numbers_of_the_papers(tmp_path):
    def load(name):
        return compose.load([f"experiment={name}", f"data.root={tmp_path}"])

    fixmatch = load("fixmatch_cifar100")
    assert fixmatch.objective["threshold"] == 0.95
    assert fixmatch.objective["weights"] == {"labels": 1.0, "pseudo": 1.0}
    assert fixmatch.optim.final_lr == pytest.approx(0.03 * math.cos(7 * math.pi / 16))
    assert fixmatch.optim.curve == "quarter" and fixmatch.optim.nesterov
    assert load("fixmatch_imagenet100").objective["threshold"] == 0.7
    assert load("fixmatch_imagenet100").objective["weights"]["pseudo"] == 10
    for name in ("mixmatch_cifar100", "hiermatch_cifar100"):
        mixmatch = load(name).objective
        assert mixmatch["weights"]["guesses"] == 150
        assert (mixmatch["guesses"], mixmatch["temperature"], mixmatch["alpha"]) == (2, 0.5, 0.75)
        assert mixmatch["ramp"] == 1
    strong = fixmatch.views.policies["strong"]
    assert strong.rand_augment.operations == 2 and strong.cutout == 0.5
    weak = fixmatch.views.policies["weak"]
    assert (weak.reflect, weak.flip, weak.rand_augment.operations, weak.cutout) == (
        0.125,
        0.5,
        0,
        0,
    )
    assert load("trex_imagenet100").objective["small_views"] == 8
    assert load("ccic_cifar100").memory.exemplars == 500
