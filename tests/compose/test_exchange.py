"""A part that the command line exchanges leaves behind what files say of the one before."""

from pathlib import Path

import pytest

from contsemi import compose
from contsemi.errors import InputError


@pytest.mark.parametrize(
    ("words", "key"),
    [
        (["scenario=cifar100_mini", "model=efficientnet_lite0"], "model.frozen"),
        (["experiment=cifar100_laptop", "model=resnet18"], "model.stem"),
        (
            ["experiment=cifar100_pretrained", "method=contsemi", "predict=objective"],
            "predict.name",
        ),
    ],
)
def test_what_files_say_of_a_part_goes_when_it_is_exchanged(words: list[str], key: str) -> None:
    """Before, another network was refused by a key of the scenario's own."""
    section, _, own = key.partition(".")
    found = getattr(compose.load(words), section)
    assert own in found and not {"stem_stride", "rounds"} & set(found)


def test_a_slip_is_still_one_where_a_part_is_exchanged(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("model: {widht: 8}")
    with pytest.raises(InputError, match=r"widht: unknown key in the YAML file; did you mean"):
        compose.load([f"experiment={path}", "model=resnet18"])


@pytest.mark.parametrize(
    "words",
    [
        ["scenario=cifar100_mini", "method=pixel_knn"],  # which has model.stem_stride
        ["experiment=cifar100_laptop", "method=pixel_knn"],  # which chooses a network
        ["experiment=cifar100_pretrained", "method=pixel_knn"],  # and what is said of class moments
    ],
)
def test_a_method_of_a_certain_network_keeps_it(words: list[str]) -> None:
    """Before, neighbours by pixels were those by the features of the network of the experiment."""
    found = compose.load([*words, "data.root=photos"])
    assert found.model["name"] == "pixels" and found.predict["name"] == "objective"


def test_another_network_is_taken_where_it_is_asked_for() -> None:
    words = ["experiment=cifar100_laptop", "method=pixel_knn", "model=resnet18", "data.root=photos"]
    assert compose.load(words).model["name"] == "resnet18"


def test_what_an_experiment_says_of_moments_goes_with_a_method_that_has_none() -> None:
    """Before, its key was called unknown, and the file at fault."""
    words = ["experiment=cifar100_pretrained", "method=slda", "data.root=photos"]
    found = compose.load(words)
    assert found.baseline["name"] == "slda" and found.model["name"] == "efficientnet_lite0"


@pytest.mark.parametrize("method", ["byol", "suave", "replay", "fixmatch"])
def test_weights_of_another_objective_go_with_it(method: str) -> None:
    """Before, the experiment's weight of a term that the method has not was called a slip."""
    found = compose.load(["experiment=csl_cifar100", f"method={method}", "data.root=photos"])
    assert "classifier" not in found.objective.get("weights", {})
    assert compose.load(["experiment=csl_cifar100", "data.root=photos"]).objective["weights"][
        "classifier"
    ] == pytest.approx(0.005)


@pytest.mark.parametrize("key", ["queue", "odd"])
def test_a_value_that_a_file_leaves_open_is_no_traceback(key: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(f"objective: {{queue_from: 1, {key}: '???'}}")
    words = [f"experiment={path}", "method=byol"]
    if key == "queue":  # of another objective: it goes with that one
        assert "queue" not in compose.load(words).objective
    else:
        with pytest.raises(InputError, match=r"objective\.odd: unknown key"):
            compose.load(words)
