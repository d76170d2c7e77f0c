"""An experiment that is named by its path: what a search for settings has written."""

import pytest

from contsemi import compose
from contsemi.compose import files
from contsemi.errors import InputError


@pytest.fixture(autouse=True)
def _forgets(monkeypatch):
    monkeypatch.setattr(files, "_by_path", {})


def test_its_values_and_choices_hold(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("defaults:\n  - override /method: nncsl\n  - _self_\noptim: {epochs: 7}\n")
    found = compose.load([f"experiment={path}"])
    assert found.method == "nncsl" and found.optim.epochs == 7
    assert compose.load([f"experiment={path}", "optim.epochs=3"]).optim.epochs == 3


def test_it_may_build_on_one_of_ours(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("defaults:\n  - cifar100_laptop\n  - _self_\noptim: {epochs: 7}\n")
    found = compose.load([f"experiment={path}"])
    assert found.scenario.name == "cifar100_10tasks" and found.optim.epochs == 7


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("none.yaml", None, "no such file"),
        ("cifar100_laptop.yaml", "optim: {epochs: 7}", "rename it"),
        ("a+b.yaml", "optim: {epochs: 7}", "rename it"),
        ("wrong.yaml", "optim: {epohcs: 7}", "did you mean optim.epochs"),
        ("word.yaml", "hello", "expected key: value"),
        ("empty.yaml", "# @package _global_\n", "empty.yaml: sets nothing; write keys into it"),
        ("dots.yaml", "optim.lr: 0.5", "optim.lr: unknown key in the YAML file; write optim: {lr:"),
        ("deep.yaml", "views.policies.large.size: 9", "write views: {policies: {large: {size:"),
        ("yes.yaml", "head_norm: yess", "projector and predictor, mend the file"),
    ],
)
def test_a_wrong_one_is_one_line(tmp_path, name, text, said):
    path = tmp_path / name
    if text is not None:
        path.write_text(text)
    with pytest.raises(InputError) as error:
        compose.load([f"experiment={path}"])
    assert said in str(error.value) and "\n" not in str(error.value)
