"""The recipes: every one composes to what was published, and trains."""

import pytest
import torch

from contsemi import compose
from contsemi.compose import resources
from contsemi.errors import InputError
from contsemi.learner.learner import Learner
from contsemi.learner.loop import Hooks, fit
from contsemi.pipeline.switches import switches
from contsemi.types import Experience

RECIPES = sorted(path.stem for path in (resources.conf() / "experiment").glob("*.yaml"))
FAMILY = [name for name in RECIPES if name.startswith(("nncsl_", "csl_", "paws_"))]

# Kang et al. 2023, official code: tasks, epochs, start, peak and final rate, warm-up epochs,
# unlabelled images and supports a class in each step, side of the large and small views.
PUBLISHED = {
    "cifar10": (5, 250, 0.08, 0.4, 0.032, 10, 256, 5, 32, 18),
    "cifar100": (10, 250, 0.08, 1.2, 0.032, 10, 256, 3, 32, 18),
    "imagenet100": (20, 100, 0.3, 1.2, 0.064, 10, 64, 3, 224, 96),
}
QUIRKS = {
    "model.padding=2",
    "objective.predict_by=classifier",
    "optim.freeze_batch_norm=true",
    "optim.adapt_shortcut_norms=true",
}


@pytest.fixture
def recipe(tmp_path):
    def load(name, *words):
        root = () if name == "example" else (f"data.root={tmp_path}",)  # whose digits are bundled
        return compose.load([f"experiment={name}", *root, *words])

    return load


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.quick(9)
def test_every_recipe_composes(name, recipe):
    assert recipe(name).method


def test_all_methods_on_all_datasets_are_there():
    expected = {f"{method}_{data}" for method in ("nncsl", "csl", "paws") for data in PUBLISHED}
    assert {*FAMILY} == expected | {f"nncsl_{data}_official" for data in PUBLISHED}


@pytest.mark.parametrize("name", FAMILY)
@pytest.mark.quick(9)
def test_values_are_the_published_ones(name, recipe):
    config = recipe(name)
    method, data, *official = name.split("_")
    optim, views, objective = config.optim, config.views, config.objective
    assert config.method == method
    assert PUBLISHED[data] == (
        config.scenario.tasks,
        optim.epochs,
        optim.start_lr,
        optim.lr,
        optim.final_lr,
        optim.warmup * optim.epochs,
        config.batch.unlabelled,
        objective["supports_per_class"],
        views.policies["large"].size,
        views.policies["small"].size,
    )
    assert (optim.name, optim.momentum, optim.weight_decay) == ("lars", 0.9, 1e-5)
    assert (optim.classifier_lr, optim.adapt_vectors) == (0.12, False)
    assert objective["weights"] == {"consistency": 1.0, "me_max": 1.0, "classifier": 0.005}
    fixed = ("temperature", "sharpening", "smoothing")
    assert [objective[key] for key in fixed] == [0.1, 0.25, 0.1]
    counted = ("large_views", "small_views", "labelled_views")
    assert [objective[key] for key in counted] == [2, 2, 2]
    assert config.projector == [512, 512, 128]
    assert config.model["name"] == "resnet18" and config.model["width"] == 64
    assert config.model["stem"] == ("imagenet" if data == "imagenet100" else "cifar")
    assert (config.memory.exemplars, config.memory.embeddings) == (500, 0)
    assert config.memory.pseudo_labels is None
    assert config.scenario.label_seed == 0  # the draw of NNCSL's lists
    assert str(config.label_ratio) == ("1%" if data == "imagenet100" else "0.8%")
    if method == "nncsl":
        distiller = config.distiller
        assert distiller["weights"] == {"distillation": 0.2}
        assert (distiller["temperature"], distiller["smoothing"]) == (0.1, 0.1)
        assert (distiller["neighbours"], distiller["alpha"]) == (0, 0.0)
    else:
        assert config.distiller == {"name": "none"}
    assert objective["name"] == ("paws" if method == "paws" else "csl")
    assert not official or objective["predict_by"] == "classifier"


@pytest.mark.parametrize("name", FAMILY)
@pytest.mark.quick(5)
def test_quirks_are_on_in_the_official_ones_alone(name, recipe):
    found = set(switches(recipe(name)))
    if not name.endswith("official"):
        assert found == set()
    elif "cifar100" in name:
        assert found == QUIRKS
    elif "cifar10" in name:
        assert found == QUIRKS | {"scenario.unlabelled_share=0.5"}
    else:
        assert found == QUIRKS - {"model.padding=2"}


def test_the_other_methods_take_the_quirks_too(recipe):
    for method in ("csl", "paws"):
        config = recipe("nncsl_cifar100_official", f"method={method}")
        assert config.method == method and config.distiller == {"name": "none"}
        assert set(switches(config)) == QUIRKS


@pytest.mark.thorough
def test_what_a_recipe_says_of_a_distiller_goes_where_it_is_turned_off(recipe):
    config = recipe("nncsl_cifar100", "distiller=none")
    assert config.distiller == {"name": "none"}
    assert config.objective == recipe("nncsl_cifar100").objective
    with pytest.raises(InputError, match=r"distiller\.weights"):
        recipe("nncsl_cifar100", "distiller=none", "distiller.weights.distillation=0.1")


class Terms(Hooks):
    def __init__(self):
        self.seen = []

    def after_update(self, loop):
        self.seen.append({name: float(value.detach()) for name, value in loop.terms.items()})


def trained(config, side):
    """Two tasks of two classes, in each two steps of 4 unlabelled images; 3 labels a class."""
    tiny = config.model_copy(
        update={
            "batch": config.batch.model_copy(update={"unlabelled": 4}),
            "optim": config.optim.model_copy(update={"epochs": 1}),
            "model": config.model | {"width": 4},
            "projector": [8, 8, 4],
            "device": "cpu",
        }
    )
    draw = torch.Generator().manual_seed(0)
    images = torch.randint(256, (28, 3, side, side), generator=draw, dtype=torch.uint8)
    learner, terms = Learner(tiny), Terms()
    for task in range(2):
        first = 14 * task
        experience = Experience(
            index=task,
            columns=(2 * task, 2 * task + 1),
            num_old=2 * task,
            num_seen=2 * task + 2,
            labelled=torch.arange(first, first + 6),
            labels=2 * task + torch.arange(6) % 2,
            unlabelled=torch.arange(first + 6, first + 14),
        )
        fit(learner, experience, images, terms)
    return learner, images, terms.seen


ALL = {"consistency", "me_max", "classifier", "distillation"}


@pytest.mark.parametrize(
    ("name", "side"),
    [("nncsl_cifar10_official", 32), ("paws_cifar100", 32), ("csl_imagenet100", 64)],
)
@pytest.mark.quick(1)
def test_recipes_train(name, side, recipe):
    learner, images, terms = trained(recipe(name), side)
    assert len(terms) == 4
    assert all(values.keys() == ALL - {"distillation"} for values in terms[:2])
    expected = ALL if name.startswith("nncsl") else ALL - {"distillation"}
    assert all(values.keys() == expected for values in terms[2:])
    assert all(torch.tensor(list(values.values())).isfinite().all() for values in terms)
    assert learner.predict(images[:3]).shape == (3, 4)


@pytest.mark.thorough
def test_without_exemplars_the_current_supports_distil_as_in_the_official_code(recipe):
    words = ("memory.exemplars=0", "distiller.supports=current")
    config = recipe("nncsl_cifar100_official", *words)
    assert "distiller.supports=current" in switches(config)
    learner, images, terms = trained(config, 32)
    assert not len(learner.exemplars)
    assert all(values["distillation"] > 0 for values in terms[2:])
    assert learner.predict(images[:3]).isfinite().all()
    # Without the switch nothing votes for old classes.
    _, _, silent = trained(recipe("nncsl_cifar100_official", words[0]), 32)
    assert all(values["distillation"] == 0 for values in silent[2:])
