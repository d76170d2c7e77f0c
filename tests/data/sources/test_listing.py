"""Layouts of folders as people have them."""

import unicodedata
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from contsemi.data.sources import cache, folder
from contsemi.data.sources.listing import listed
from contsemi.errors import InputError

RANDOM = np.random.default_rng(2)


def photo(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(RANDOM.integers(0, 256, (9, 12, 3), np.uint8)).save(path)
    return path


def flat(root: Path, count: int = 10, names: tuple[str, ...] = ("cat", "dog")) -> Path:
    for name in names:
        for number in range(count):
            photo(root / name / f"{number}.png")
    return root


def split(root: Path, names: tuple[str, ...] = ("cat", "dog"), test: str = "test") -> Path:
    flat(root / "train", 4, names)
    flat(root / test, 2, names)
    return root


def load(root: Path, **keys: object) -> tuple[folder.ImageSet, folder.ImageSet]:
    return folder.load(root, size=8, cache=str(root.parent / "cache"), workers=1, **keys)


def test_a_flat_folder_is_split_and_an_image_keeps_its_side(tmp_path: Path) -> None:
    train, test = load(flat(tmp_path / "photos"))
    assert train.targets.tolist() == [0] * 8 + [1] * 8
    assert test.targets.tolist() == [0] * 2 + [1] * 2
    assert not set(train.files) & set(test.files)
    assert (
        "has no test/ folder with classes: 4 of 20 images, drawn from each class"
        in train.remarks[0]
    )
    for number in range(10, 15):
        photo(tmp_path / "photos" / "cat" / f"{number}.png")
    more, more_test = load(tmp_path / "photos")
    moved = (set(train.files) & set(more_test.files)) | (set(test.files) & set(more.files))
    assert len(moved) <= 1  # three of fifteen: one more than before, or another at the border
    assert len(load(tmp_path / "photos", test_share=0.5)[1]) == 8 + 5


def test_a_class_of_one_image_keeps_it_for_training(tmp_path: Path) -> None:
    photo(flat(tmp_path / "photos") / "rare" / "only.png")
    train, test = load(tmp_path / "photos")
    assert (train.targets == 2).sum() == 1
    assert (test.targets == 2).sum() == 0


@pytest.mark.parametrize("name", ["test", "val", "valid", "validation"])
def test_names_of_the_test_folder(tmp_path: Path, name: str) -> None:
    assert [len(part) for part in load(split(tmp_path / "photos", test=name))] == [8, 4]


def test_links_inside_the_folder_are_followed(tmp_path: Path) -> None:
    root = split(tmp_path / "photos")
    (root / "train" / "cat" / "again.png").symlink_to(root / "train" / "cat" / "0.png")
    (root / "store").mkdir()
    (root / "train" / "dog").rename(root / "store" / "dog")
    (root / "train" / "dog").symlink_to(root / "store" / "dog")
    assert load(root)[0].targets.tolist() == [0] * 5 + [1] * 4


def test_two_forms_of_a_name_are_one_class(tmp_path: Path) -> None:
    composed = unicodedata.normalize("NFC", "caf\u00e9")
    decomposed = unicodedata.normalize("NFD", composed)
    root = tmp_path / "photos"
    for name in (composed, decomposed, "tea"):
        photo(root / "train" / name / f"{len(name)}.png")
    for name in (decomposed, "tea"):
        photo(root / "test" / name / "0.png")
    train, test = load(root)
    assert train.classes == (composed, "tea")
    assert train.targets.tolist() == [0, 0, 1]
    assert test.targets.tolist() == [0, 1]


def test_files_that_are_no_images_are_counted_and_passed_over(tmp_path: Path) -> None:
    root = split(tmp_path / "photos")
    (root / "train" / "labels.csv").write_text("a,b")
    (root / "train" / "cat" / "notes.txt").write_text("a cat")
    (root / "test" / "dog" / "classes.json").write_text("{}")
    Image.new("RGB", (8, 8)).save(root / "train" / "cat" / "photo_without_suffix", "PNG")
    train, _ = load(root)
    assert len(train) == 9
    said = next(remark for remark in train.remarks if "passed over" in remark)
    assert "3 files or folders passed over that are no images" in said
    assert "train/labels.csv" in said


@pytest.mark.parametrize("loose", ["0.png", "unknown/0.png"])
@pytest.mark.parametrize("other", ["val", "valid", None])
def test_test_images_without_labels_are_no_test(tmp_path: Path, loose: str, other: str) -> None:
    root = tmp_path / "photos"
    flat(root / "train", 10)
    photo(root / "test" / loose)
    if other:
        flat(root / other, 3)
    train, test = load(root)
    assert len(test) == (6 if other else 4)
    assert any("test/ has no folder of a class" in remark for remark in train.remarks)
    assert not any("/test/" in name or name.startswith("test/") for name in train.files)


def test_a_second_folder_of_test_images_is_said_to_be_idle(tmp_path: Path) -> None:
    root = split(tmp_path / "photos")
    flat(root / "val", 3)
    train, test = load(root)
    assert len(test) == 4
    assert any("val/ is not read" in remark for remark in train.remarks)


def test_only_labelled_images_are_drawn_for_the_test(tmp_path: Path) -> None:
    root = flat(tmp_path / "photos", 5)
    for number in range(7):
        photo(root / "unlabelled" / f"{number}.png")
    train, test = load(root)
    assert (len(train), len(test)) == (15, 2)
    assert "2 of 10 images" in train.remarks[0]


@pytest.mark.parametrize(
    "place", ["unlabelled", "train/unlabelled", "unlabeled", "Unlabelled", "train/Unlabeled"]
)
def test_images_without_a_label_beside_the_classes(tmp_path: Path, place: str) -> None:
    root = split(tmp_path / "photos")
    for name in ("a.png", "deep/b.png", "task_02/c.png", "Task 1/d.png"):
        photo(root / place / name)
    train, _ = load(root)
    assert train.classes == ("cat", "dog")
    assert train.targets.tolist() == [0] * 4 + [1] * 4 + [-1] * 4
    named = dict(zip(train.files, train.arrives.tolist(), strict=True))
    found = {
        name.rpartition("/")[2]: task for name, task in named.items() if "unlabel" in name.lower()
    }
    assert found == {"a.png": -1, "b.png": -1, "c.png": 1, "d.png": 0}


def test_nothing_is_decoded_before_the_labels_are_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "decode_into", lambda *_, **__: pytest.fail("decoded"))

    def refuse(train: object, test: object) -> None:
        raise InputError("scenario.classes", "no", "mend it")

    with pytest.raises(InputError, match=r"scenario\.classes: no"):
        load(split(tmp_path / "photos"), check=refuse)


def test_the_sizes_are_said(tmp_path: Path) -> None:
    remarks = load(split(tmp_path / "photos"))[0].remarks
    assert any("the first 12x9 -> 8x8" in remark for remark in remarks)


def test_a_listing_opens_no_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = split(tmp_path / "photos")
    monkeypatch.setattr(Path, "open", lambda *_, **__: pytest.fail("opened"))
    assert listed(root, test_share=0.2).classes == ("cat", "dog")


@pytest.mark.parametrize(
    ("names", "problem"),
    [
        (("2023/0.png", "2024/0.png"), "dog/2023 is a folder, and images lie directly in"),
        ((), "class dog is empty"),
        ((".DS_Store",), "class dog is empty"),
    ],
)
def test_no_class_beside_others_is_left_out_unsaid(
    tmp_path: Path, names: tuple[str, ...], problem: str
) -> None:
    root = flat(tmp_path / "photos", 3, ("cat", "fox"))
    (root / "dog").mkdir()
    for name in names:
        photo(root / "dog" / name) if name.endswith(".png") else (root / "dog" / name).touch()
    with pytest.raises(InputError, match=problem):
        load(root)


def test_folders_of_something_else_beside_classes_are_none(tmp_path: Path) -> None:
    root = flat(tmp_path / "photos", 3, ("cat", "fox"))
    (root / "cache" / "entry").mkdir(parents=True)
    (root / "cache" / "entry" / "images.npy").touch()
    assert load(root)[0].classes == ("cat", "fox")


def test_what_lies_beside_train_is_said_to_be_not_read(tmp_path: Path) -> None:
    root = split(tmp_path / "photos")
    flat(root, 3, ("Test", "fox"))
    flat(root / "unlabelled", 3)
    remarks = load(root)[0].remarks
    assert any("not read, as it does not lie in train/: Test/, fox/" in each for each in remarks)
    assert not any("unlabelled/" in each for each in remarks)


def test_classes_that_would_be_called_alike_are_refused(tmp_path: Path) -> None:
    root = flat(tmp_path / "photos", 3, ("cat", "a\nb", r"a\nb"))
    with pytest.raises(InputError, match=r"two classes would be called a\\nb; repair"):
        load(root)
