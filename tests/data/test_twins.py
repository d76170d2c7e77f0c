import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from contsemi.data.sources import folder
from contsemi.data.twins import row_digests, twins
from contsemi.errors import InputError


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(-1, 2)), min_size=1, max_size=12))
def test_what_is_said_is_what_a_count_of_all_pairs_says(drawn: list[tuple[int, int]]) -> None:
    pictures, targets = (np.array(each) for each in zip(*drawn, strict=True))
    images = np.zeros((len(drawn), 3, 2, 2), np.uint8) + pictures[:, None, None, None]
    names = [f"image {n}" for n in range(len(drawn))]
    said = twins(row_digests(images.astype(np.uint8)), targets, row_digests(images[:0]), names)
    clash = any(len(set(targets[pictures == each]) - {-1}) > 1 for each in pictures)
    assert bool(said) == clash


def test_test_images_among_the_training_images_are_counted() -> None:
    images = np.arange(5 * 12, dtype=np.uint8).reshape(5, 3, 2, 2)
    said = twins(row_digests(images), np.zeros(5, int), row_digests(images[2:4]), list("abcde"))
    assert said == ["2 of 2 test images are training images too"]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    draws = np.random.default_rng(0)
    for place in ("train/a", "train/b", "test/a", "test/b"):
        (tmp_path / "images" / place).mkdir(parents=True)
        for name in "xy":
            pixels = draws.integers(0, 256, (8, 8, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / "images" / place / f"{name}.png")
    return tmp_path / "images"


def remarks(root: Path) -> tuple[str, ...]:
    train, test = folder.load(root, size=8, cache=str(root.parent / "cache"), workers=1)
    assert test.remarks == ()
    return train.remarks


def test_a_folder_without_oddities_has_no_remark(root: Path) -> None:
    assert remarks(root) == ()


def test_twins_and_hidden_files_of_a_folder_are_said(root: Path) -> None:
    shutil.copy(root / "train/a/x.png", root / "train/b/same.png")
    shutil.copy(root / "train/a/y.png", root / "test/a/again.png")
    (root / "train" / ".git").mkdir()
    first, second, third = remarks(root)
    assert "1 training images stand in two classes" in first
    assert "train/a/x.png" in first
    assert "train/b/same.png" in first
    assert "1 of 5 test images are training images too" in second
    assert "1 file or folders passed over that are no images: train/.git" in third


def test_animations_and_pages_are_refused(root: Path) -> None:
    page = Image.new("RGB", (8, 8))
    page.save(root / "train/a/pages.tiff", save_all=True, append_images=[page])
    with pytest.raises(InputError, match=r"train/a/pages\.tiff: several frames"):
        remarks(root)
