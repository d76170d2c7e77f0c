"""Photos that the tests write, and a model of their pixels that is quick."""

import numpy as np
import pytest
from PIL import Image

from contsemi.learn.__main__ import main as learn

QUICK = ("model=pixels", "data.size=12", "views.test_size=12", "threads=1", "device=cpu")


def write(folder, classes, number, seed=0):
    """JPEG files of two colours a class, under noise."""
    draw = np.random.default_rng(seed)
    for name in classes:
        (folder / name).mkdir(parents=True, exist_ok=True)
        colours = np.random.default_rng(sum(map(ord, name))).uniform(30, 225, (2, 3))
        for i in range(number):
            pixels = np.repeat(colours, 20, axis=0)[:, None] + draw.normal(0, 45, (40, 48, 3))
            image = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
            image.save(folder / name / f"{i:03}.jpg", quality=90)


@pytest.fixture
def written():
    """Writes JPEG files into a folder: classes, how many of each, and a seed."""
    return write


@pytest.fixture(scope="session")
def photos(tmp_path_factory):
    """Writes photos of two weeks: cat and dog, then fox and owl; of each eight and four to test."""
    root = tmp_path_factory.mktemp("photos")
    for week, classes in (("first", ("cat", "dog")), ("second", ("fox", "owl"))):
        write(root / week / "train", classes, 8)
        write(root / week / "test", classes, 4, seed=1)
    return root


@pytest.fixture(scope="session")
def cache(tmp_path_factory):
    """Where decoded photos go."""
    return f"data.cache={tmp_path_factory.mktemp('cache')}"


@pytest.fixture(scope="session")
def model(photos, cache, tmp_path_factory):
    """A model that has learned both weeks."""
    folder = tmp_path_factory.mktemp("models") / "model"
    assert learn([str(folder), str(photos / "first"), cache, *QUICK]) == 0
    assert learn([str(folder), str(photos / "second")]) == 0
    return folder


@pytest.fixture(scope="session")
def quick():
    """The words of a model of pixels."""
    return QUICK
