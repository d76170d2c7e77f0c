"""A model for others: weights as safetensors, or one ONNX file from pixels to probabilities."""

import json
import logging
import os
import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save
from torch import Tensor, nn

from contsemi.config import Views
from contsemi.data.sources.listing import shown
from contsemi.errors import InputError, PackageMissing
from contsemi.living.card import card
from contsemi.living.model import Model
from contsemi.objectives.objective import Objective
from contsemi.predictors.gathered import Gathered
from contsemi.storage.atomic import make_folder, storage, write_atomically
from contsemi.views.geometry import interpolation

_PREPARED = """
Its input is not any square of a photo. A photo is turned upright as its EXIF says and laid on white
where it is transparent; of its largest centred square, as the `box` of Pillow's `resize` with
BILINEAR, {side} x {side} pixels are made, in RGB. A JPEG is decoded at a half, a quarter or an
eighth of its size where that is still twice as large. Photos that are brought to that size
otherwise have other answers.
"""
_LAYERS = """
weights.safetensors and model.json; nothing is pickled. Pixels / 255, as resize @ x @ resize.T where
`resized`, less `mean`, by `std`, through the backbone, brought to length one where `unit_features`,
through the head, by `temperature`, and softmax.
"""
LARGEST_ERROR = 1e-4  # of a probability, between the file and the model


class Whole(nn.Module):
    """uint8 [N, 3, S, S] to probabilities [N, C]: the test view, the backbone, the last layers.

    Args:
        model: whose prediction it is.

    Raises:
        InputError: it predicts by more than layers can do, by neighbours for example.
    """

    resize: Tensor
    mean: Tensor
    std: Tensor

    def __init__(self, model: Model) -> None:
        super().__init__()
        learner, saved = model.learner, model.saved
        self.backbone = learner.inference.networks.predicting.backbone.float().eval()
        self.normalise, self.head = _head(model)
        self.temperature = model.temperature
        views = saved.config.views
        matrix = _resizing(views, saved.side)
        self.register_buffer("resize", matrix)
        self.register_buffer("mean", torch.tensor(views.mean)[:, None, None])
        self.register_buffer("std", torch.tensor(views.std)[:, None, None])
        self.same = views.test_size == saved.side and views.test_crop == 1

    def forward(self, images: Tensor) -> Tensor:
        """Probabilities of images."""
        values = images.float() / 255
        if not self.same:
            values = self.resize @ values @ self.resize.T
        features = self.backbone((values - self.mean) / self.std)
        if self.normalise:
            features = nn.functional.normalize(features, dim=1)
        scores: Tensor = self.head(features) / self.temperature
        return scores.softmax(1)


def write(model: Model, folder: Path, to: str) -> list[Path]:
    """Writes a model into a folder of its own.

    Args:
        model: the model.
        folder: new, or empty.
        to: ``onnx`` or ``torch``.

    Returns:
        The files.

    Raises:
        InputError: the folder holds something, the model cannot be written in this form, or a
            package is missing.
        StorageFailed: the disk is full, or the folder cannot be written.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(shown(folder), "is there already", "name a new folder")
    whole = Whole(model).eval()
    files = {"classes.json": json.dumps(list(model.classes), ensure_ascii=False).encode()}
    if to == "onnx":
        content, error = _onnx(whole, model)
        files["model.onnx"] = content
        said = f"\n## Form\n\nmodel.onnx: uint8 [N, 3, {model.saved.side}, {model.saved.side}] to "
        said += "probabilities; onnxruntime differs from the model in float32 by at most "
        said += f"{error:.1e}.\n"
    else:
        tensors = {name: x.contiguous().clone() for name, x in whole.state_dict().items()}
        files["weights.safetensors"] = save(tensors)
        files["model.json"] = json.dumps(_description(model, whole), indent=1).encode()
        said = "\n## Form\n" + _LAYERS
    said += _PREPARED.format(side=model.saved.side)
    files["card.md"] = (card(model.saved) + said).encode()
    with storage(folder):
        make_folder(folder)
    for name, content in files.items():
        write_atomically(folder / name, content)
    return [folder / name for name in files]


def _head(model: Model) -> tuple[bool, nn.Module]:
    """Whether features are brought to length one, and what makes scores of them."""
    asked = model.learner.inference
    if isinstance(asked.decides, Gathered):
        found = asked.decides.layers(asked.decides.statistics(asked))
        if found is not None:
            return asked.decides.normalise, found.cpu().float()
    elif type(asked.objective).predict is Objective.predict:
        return False, asked.networks.predicting.get_submodule("classifier").float().eval()
    name = model.saved.config.predict["name"]
    by = model.saved.config.objective["name"] if name == "objective" else name
    problem = f"{by} predicts by more than layers of a network"
    raise InputError("predict", problem, "export a run of predict=moments")


def _resizing(views: Views, side: int) -> Tensor:
    """The matrix [s, S] by which rows and columns are brought to the view's size."""
    kept = side * views.test_crop
    step = torch.full((1,), kept / views.test_size)
    low, high = torch.zeros_like(step), torch.full_like(step, side)
    origin = torch.full_like(step, (side - kept) / 2)
    return interpolation(origin, step, low, high, side, views.test_size)[0]


def _description(model: Model, whole: Whole) -> dict[str, Any]:
    saved = model.saved
    settings: Mapping[str, Any] = saved.config.model
    return {
        "format": "contsemi 1",
        "backbone": dict(settings),
        "classes": list(saved.classes),
        "input": ["uint8", "N", 3, saved.side, saved.side],
        "resized": not whole.same,
        "unit_features": whole.normalise,
        "temperature": whole.temperature,
    }


def _onnx(whole: Whole, model: Model) -> tuple[bytes, float]:
    """The file's bytes, and by how much onnxruntime differs from the model in float32."""
    side = model.saved.side
    try:
        import onnxruntime
    except ModuleNotFoundError as missing:
        fix = "pip install 'contsemi[export]'"
        raise PackageMissing(
            "--to onnx", f"needs {missing.name}, which is not there", fix
        ) from None
    draw = np.random.default_rng(0)
    images = draw.integers(0, 256, (3, 3, side, side), dtype=np.uint8)
    content = _traced(whole, torch.from_numpy(images))
    quiet = onnxruntime.SessionOptions()
    quiet.log_severity_level = 3
    session = onnxruntime.InferenceSession(content, quiet, providers=["CPUExecutionProvider"])
    found: NDArray[np.float32] = session.run(None, {"images": images[:2]})[0]
    asked = model.learner.inference
    usual = asked.embed
    asked.embed = replace(usual, precision=torch.float32)
    expected, _ = model.answers(images[:2])
    asked.embed = usual
    apart = float(np.abs(found - expected).max())
    if not apart <= LARGEST_ERROR:
        problem = f"the file's probabilities differ by {apart:.1e}, at most {LARGEST_ERROR} may be"
        raise InputError("--to onnx", problem, "use --to torch, and report this")
    return content, apart


def _traced(whole: Whole, images: Tensor) -> bytes:
    import tempfile

    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        file = os.path.join(folder, "model.onnx")  # noqa: PTH118
        torch.onnx.export(
            whole,
            (images,),
            file,
            input_names=["images"],
            output_names=["probabilities"],
            dynamic_axes={"images": {0: "N"}, "probabilities": {0: "N"}},
            opset_version=17,
            dynamo=False,
        )
        return Path(file).read_bytes()
