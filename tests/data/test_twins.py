import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from contsemi.data.sources import folder
from contsemi.data.twins import Rows, row_digests, twins
from contsemi.errors import InputError


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(-1, 2)), min_size=1, max_size=12))
def test_what_is_said_is_what_a_count_of_all_pairs_says(drawn: list[tuple[int, int]]) -> None:
    pictures, targets = (np.array(each) for each in zip(*drawn, strict=True))
    images = np.zeros((len(drawn), 3, 2, 2), np.uint8) + pictures[:, None, None, None]
    names = [f"image {n}" for n in range(len(drawn))]
    train = Rows(row_digests(images.astype(np.uint8)), targets, names)
    said = twins(train, Rows(row_digests(images[:0]), targets[:0], []))
    clash = any(len(set(targets[pictures == each]) - {-1}) > 1 for each in pictures)
    assert bool(said) == clash


LABELLED = st.lists(st.tuples(st.integers(0, 3), st.integers(-1, 2)), max_size=8)


@settings(deadline=None)
@given(LABELLED, LABELLED)
def test_test_images_of_another_class_are_those_that_a_count_of_all_pairs_finds(
    train: list[tuple[int, int]], test: list[tuple[int, int]]
) -> None:
    sides = []
    for name, drawn in (("train", train), ("test", test)):
        pictures = np.array([picture for picture, _ in drawn], np.uint64)
        targets = np.array([target for _, target in drawn], np.int64)
        sides.append(Rows.numbered(name, pictures, targets))
    found = [line for line in twins(*sides) if "stand in another class, too" in line]
    every = [*train, *test]
    wrong = [
        (place, [other for other, (p, t) in enumerate(every) if p == picture and t not in (-1, c)])
        for place, (picture, c) in enumerate(test)
        if c >= 0
    ]
    wrong = [(place, others) for place, others in wrong if others]
    assert bool(found) == bool(wrong)
    if wrong:
        assert found[0].startswith(f"{len(wrong)} of {len(test)} test images stand in another")
        examples = [
            f"test row {place} is {'train' if other < len(train) else 'test'} row "
            f"{other if other < len(train) else other - len(train)}"
            for place, others in wrong
            for other in others
        ]
        assert found[0].partition("for example ")[2] in examples


def test_test_images_among_the_training_images_are_counted() -> None:
    images = np.arange(5 * 12, dtype=np.uint8).reshape(5, 3, 2, 2)
    train, test = (
        Rows(row_digests(each), np.zeros(len(each), int), list("abcde"))
        for each in (images, images[2:4])
    )
    said = twins(train, test)
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


def test_a_photo_of_two_classes_is_said_where_one_of_them_is_tested_on(root: Path) -> None:
    shutil.copy(root / "train/a/x.png", root / "test/b/wrong.png")
    first, second = remarks(root)
    assert "1 of 5 test images stand in another class, too" in first
    assert "for example test/b/wrong.png is train/a/x.png" in first
    assert "1 of 5 test images are training images too" in second


def test_animations_and_pages_are_refused(root: Path) -> None:
    page = Image.new("RGB", (8, 8))
    page.save(root / "train/a/pages.tiff", save_all=True, append_images=[page])
    with pytest.raises(InputError, match=r"train/a/pages\.tiff: several frames"):
        remarks(root)
