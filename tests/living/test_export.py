"""A model in other forms gives the same probabilities."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

import contsemi
from contsemi.errors import InputError
from contsemi.export.__main__ import main
from contsemi.export.writing import Whole, write
from contsemi.predictors.nearest_mean import NearestMean
from contsemi.predictors.ranpac import RanPAC


@pytest.fixture(scope="module")
def loaded(model):
    return contsemi.load(model)


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(0, 256, (5, 3, 12, 12), dtype=np.uint8)


def test_layers_say_what_the_model_says(loaded, images):
    found = Whole(loaded).eval()(torch.from_numpy(images)).detach().numpy()
    np.testing.assert_allclose(found, loaded.predict_proba(images), atol=2e-5)


@pytest.mark.parametrize("kind", [NearestMean, RanPAC])
def test_other_heads_are_layers_too(kind):
    common = {"rounds": 0, "balance": 0, "normalise": False, "shrinkage": 0.5, "folds": 0}
    own = {NearestMean: {"temperature": 0.1}, RanPAC: {"width": 30, "ridge": 1.0, "sharpness": 5.0}}
    part = kind(**common, **own[kind])
    draw = torch.Generator().manual_seed(0)
    rows = torch.randn(40, 6, generator=draw)
    statistics = part.joined(None, rows, torch.eye(4)[torch.arange(40) % 3])  # one of none
    torch.testing.assert_close(part.layers(statistics)(rows), part.scores_by(statistics, rows))


def test_tensors_alone_are_written_with_a_card(loaded, tmp_path):
    files = write(loaded, tmp_path / "out", "torch")
    assert {file.name for file in files} == {
        "classes.json",
        "weights.safetensors",
        "model.json",
        "card.md",
    }
    head = load_file(tmp_path / "out" / "weights.safetensors")["head.weight"]
    assert len(head) == 4
    assert json.loads((tmp_path / "out" / "classes.json").read_text()) == list(loaded.classes)
    assert "fox" in (tmp_path / "out" / "card.md").read_text()


@pytest.mark.parametrize("to", ["torch", "onnx"])
def test_a_photo_that_is_prepared_as_the_card_says_has_the_models_answer(loaded, tmp_path, to):
    draw = np.random.default_rng(1)
    photo = Image.fromarray(draw.integers(0, 256, (30, 50, 4), dtype=np.uint8))
    turned = Image.Exif()
    turned[0x0112] = 6
    if to == "onnx":
        pytest.importorskip("onnx")
        pytest.importorskip("onnxruntime")
    photo.save(file := tmp_path / "photo.png", exif=turned)
    write(loaded, tmp_path / "out", to)
    card = " ".join((tmp_path / "out" / "card.md").read_text().split())
    said = (
        "upright as its EXIF says and laid on white where it is transparent; of its largest centred"
    )
    said += " square, as the `box` of Pillow's `resize` with BILINEAR, 12 x 12 pixels are made"
    assert f"{said}, in RGB" in card
    white = Image.new("RGBA", photo.size, "white")
    white.alpha_composite(photo)
    upright = white.convert("RGB").transpose(Image.Transpose.ROTATE_270)
    small = upright.resize((12, 12), Image.Resampling.BILINEAR, box=(0, 10, 30, 40))
    pixels = np.asarray(small).transpose(2, 0, 1)
    found = Whole(loaded).eval()(torch.from_numpy(pixels.copy()[None])).detach().numpy()
    np.testing.assert_allclose(found, loaded.predict_proba([file]), atol=2e-5)


def test_a_folder_that_is_there_is_not_touched(model, tmp_path, capsys):
    (tmp_path / "mine").write_text("")
    assert main([str(model), str(tmp_path), "--to", "torch"]) == 2
    assert "is there already" in capsys.readouterr().err
    assert main([str(model), str(tmp_path / "new"), "--to", "pickle"]) == 2


def test_onnx_says_what_the_model_says(loaded, images, tmp_path):
    pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    write(loaded, tmp_path / "out", "onnx")
    session = runtime.InferenceSession(str(tmp_path / "out" / "model.onnx"))
    found = session.run(None, {"images": images})[0]
    np.testing.assert_allclose(found, loaded.predict_proba(images), atol=1e-4)


def test_what_no_layers_can_do_is_refused(loaded):
    decides = loaded.learner.inference.decides
    layers, type(decides).layers = type(decides).layers, lambda self, statistics: None
    try:
        with pytest.raises(InputError, match="more than layers"):
            Whole(loaded)
    finally:
        type(decides).layers = layers
