"""What a run asks of the machine's memory is found before anything is made."""

import pytest
import torch

from contsemi import compose, pipeline
from contsemi.compose import argv
from contsemi.errors import InputError
from contsemi.learner.learner import Learner
from contsemi.pipeline import asked
from contsemi.pipeline.asked import asked_bytes, refuse_without_room

GB = 10**9


@pytest.fixture
def free(monkeypatch):
    """Says how much memory is free."""

    def say(count):
        monkeypatch.setattr(asked, "free_bytes", lambda: count)

    say(8 * GB)
    return say


def refused(*words):
    (run,) = compose.expand(argv.split(words).tokens)
    with pytest.raises(InputError) as error:
        refuse_without_room(run.config, run.given)
    return error.value


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("model.width", ["model.width=65536"]),
        ("model.width", ["model=resnet18", "model.width=8192", "seed=3"]),
        ("objective.clusters", ["method=swav", "objective.clusters=10000000"]),
        ("objective.clusters", ["method=dino", "objective.clusters=10000000"]),
        ("projector", ["projector=[1000000,1000000]"]),
        ("predictor", ["method=byol", "predictor=[1000000,1000000]"]),
        ("views.policies.large.size", ["views.policies.large.size=4096", "seed=1"]),
        (
            "views.policies.small.size",
            ["objective.small_views=8", "views.policies.small.size=4096"],
        ),
        ("views.test_size", ["views.test_size=4096"]),
        ("data.size", ["data.size=4096"]),
        (
            "objective.labelled_views",
            ["objective.labelled_views=64", "views.policies.labelled.size=2048"],
        ),
        ("model.width", ["method=replay", "model.width=65536"]),
    ],
)
@pytest.mark.quick(1)
def test_it_names_the_key_and_how_much(key, words, free):
    error = refused(*words)
    assert error.where == key or (error.where in [w.partition("=")[0] for w in words])
    assert "of memory, and 8 GB are free" in error.problem


def test_what_is_small_is_not_even_built(monkeypatch):
    monkeypatch.setattr(asked, "asked_bytes", lambda *_: pytest.fail("it was built"))
    refuse_without_room(compose.load(), {})


def test_a_run_of_the_front_is_refused_before_it_writes(tmp_path, free):
    config = compose.load(["model.width=16384", "device=cpu", f"output={tmp_path / 'run'}"])
    with pytest.raises(InputError, match="model"):
        pipeline.run(config, {"model.width": 32})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.quick(2)
@pytest.mark.parametrize("method", ["contsemi", "byol", "swav", "finetune"])
def test_weights_are_counted_as_they_are(method):
    """Against the bytes of the real network: weight, gradient, two moments, and what follows it."""
    config = compose.load([f"method={method}", "precision=fp32", "batch.unlabelled=2"])
    learner = Learner(config)
    real = sum(each.nbytes for each in learner.network.parameters())
    copies = 4 + (learner.needs.teacher is not None) + learner.needs.pasts
    found = asked_bytes(config, images=10)
    networks = sum(n for key, n in found.items() if key in ("model", "projector", "predictor"))
    networks += found.get("objective", 0)
    assert networks == pytest.approx(real * copies, rel=0.15)  # statistics and prototypes besides


@pytest.mark.thorough
def test_what_a_step_keeps_grows_with_the_views():
    def views(size):
        return asked_bytes(compose.load([f"views.policies.large.size={size}"]), images=1437)[
            "views.policies.large.size"
        ]

    assert views(64) == pytest.approx(4 * views(32), rel=0.05)


def test_nothing_stays_on_the_meta_device():
    asked_bytes(compose.load(), images=10)
    assert torch.get_default_device().type == "cpu"
    assert torch.zeros(1).device.type == "cpu"


def test_a_part_at_fault_is_left_to_who_says_so_best(free):
    config = compose.load(["model.width=65536"])
    broken = config.model_copy(update={"model": {"name": "nowhere"}})
    assert asked_bytes(broken, 10) == {}
    refuse_without_room(broken, {})
