"""The recipes of eight methods compose, and have the numbers of their sources."""

import pytest

from contsemi import compose
from contsemi.learner.parts import build_part
from contsemi.objectives.objective import Objective

# optimiser, rate at 256 images, weight decay, D and momentum at the start of a task
NUMBERS = {
    "ascl_cifar100": ("sgd", 0.03, 5e-4, 128, 0.99),
    "ascl_imagenet100": ("sgd", 0.03, 1e-4, 128, 0.999),
    "mochi_cifar100": ("sgd", 0.03, 1e-4, 128, 0.99),
    "mochi_imagenet100": ("sgd", 0.03, 1e-4, 128, 0.999),
    "fnc_cifar100": ("lars", 0.1 * 256**0.5, 1e-4, 128, 0.999),
    "fnc_imagenet100": ("lars", 0.1 * 256**0.5, 1e-4, 128, 0.999),
    "ifnd_cifar100": ("sgd", 0.03, 1e-4, 128, 0.99),
    "ifnd_imagenet100": ("sgd", 0.03, 1e-4, 128, 0.999),
    "xmoco_cifar100": ("sgd", 0.03, 1e-4, 128, 0.99),
    "interclr_cifar100": ("sgd", 0.03, 1e-4, 128, 0.99),
    "interclr_imagenet100": ("sgd", 0.03, 1e-4, 128, 0.999),
    "propos_cifar100": ("sgd", 0.05, 5e-4, 256, 0.996),
    "propos_imagenet100": ("lars", 0.3, 1e-6, 256, 0.99),
    "mira_cifar100": ("lars", 0.3, 1e-6, 256, 0.99),
    "mira_imagenet100": ("lars", 0.3, 1e-6, 256, 0.99),
}


@pytest.mark.parametrize("recipe", NUMBERS)
@pytest.mark.quick(5)
def test_recipes(recipe, tmp_path):
    distiller = "nnd" if "cifar" in recipe else "none"
    words = [f"experiment={recipe}", f"data.root={tmp_path}", f"distiller={distiller}"]
    config = compose.load(words)
    optimiser, rate, decay, size, momentum = NUMBERS[recipe]
    assert config.method.split("+")[0] == config.objective["name"] == recipe.split("_")[0]
    assert config.distiller["name"] == distiller
    assert config.batch.unlabelled == 256
    assert config.optim.name == optimiser
    assert config.optim.lr == pytest.approx(rate)
    assert config.optim.weight_decay == decay
    assert config.projector[-1] == size
    objective, _ = build_part(config.objective, Objective)
    assert objective.needs.teacher.momentum[0] == momentum
