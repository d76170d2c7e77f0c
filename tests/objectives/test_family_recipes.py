"""The recipes of BYOL, MSF, CMSF, WCL and SemPPL compose, and have the numbers of their sources."""

import pytest

from contsemi import compose
from contsemi.learner.parts import build_part
from contsemi.objectives.objective import Objective

METHODS = ("byol", "msf", "cmsf", "wcl", "semppl")

# optimiser, rate at 256 images, weight decay, D and momentum at the start of a task
NUMBERS = {
    ("byol", "cifar100"): ("lars", 1.0, 1e-5, 256, 0.99),
    ("byol", "imagenet100"): ("lars", 4.8 * 256 / 4096, 1e-6, 256, 0.99),
    ("msf", "cifar100"): ("sgd", 0.05, 1e-4, 512 // 4, 0.99),
    ("msf", "imagenet100"): ("sgd", 0.05, 1e-4, 2048 // 4, 0.99),
    ("cmsf", "cifar100"): ("sgd", 0.05, 1e-4, 512 // 4, 0.99),
    ("cmsf", "imagenet100"): ("sgd", 0.05, 1e-4, 2048 // 4, 0.99),
    ("wcl", "cifar100"): ("lars", 0.075 * 256**0.5, 1e-6, 128, None),
    ("wcl", "imagenet100"): ("lars", 0.075 * 256**0.5, 1e-6, 256, None),
    ("semppl", "cifar100"): ("lars", 0.3, 1e-6, 64, 0.996),
    ("semppl", "imagenet100"): ("lars", 0.3, 1e-6, 256, 0.996),
}


@pytest.mark.parametrize("distiller", ["none", "nnd"])
@pytest.mark.parametrize(("method", "data"), NUMBERS, ids=[" ".join(key) for key in NUMBERS])
@pytest.mark.quick(7)
def test_recipes(method, data, distiller, tmp_path):
    words = [f"experiment={method}_{data}", f"data.root={tmp_path}", f"distiller={distiller}"]
    config = compose.load(words)
    optimiser, rate, decay, size, momentum = NUMBERS[method, data]
    assert config.method.split("+")[0] == config.objective["name"] == method
    assert config.distiller["name"] == distiller
    assert config.batch.unlabelled == 256
    assert config.optim.name == optimiser
    assert config.optim.lr == pytest.approx(rate)
    assert config.optim.weight_decay == decay
    assert config.projector[-1] == size
    objective, _ = build_part(config.objective, Objective)
    needs = objective.needs
    numbers = {name: view.number for name, view in needs.views.items()}
    assert (needs.teacher.momentum[0] if needs.teacher else None) == momentum
    if method in ("msf", "cmsf"):  # weak targets, strong queries of the same size
        assert (numbers["large"], numbers["small"]) == (1, 1)
        small, large = (config.views.policies[name] for name in ("small", "large"))
        assert small.size == large.size
        assert large.jitter.probability == 0 < small.jitter.probability
    if method == "semppl":
        assert numbers == {"labelled": 4, "large": 4, "small": 2}
        assert config.objective["weights"]["semantic"] == pytest.approx(0.3 * 0.2)
        assert config.objective["weights"]["contrast"] == 0.3
        assert config.objective["weights"]["invariance"] == 5


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.quick(3)
def test_methods_compose_with_a_distiller(method):
    for distiller in ("none", "nnd"):
        config = compose.load([f"method={method}", f"distiller={distiller}"])
        assert (config.objective["name"], config.distiller["name"]) == (method, distiller)
