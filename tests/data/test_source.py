from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from contsemi.config import Data
from contsemi.data import load
from contsemi.data.sources import auto, cifar, parquet
from contsemi.errors import InputError


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cifar, "download", lambda *_, **__: pytest.fail("went to the network"))
    monkeypatch.setattr(parquet, "fetch", lambda *_, **__: pytest.fail("went to the network"))


def data(root: object = None, **keys: Any) -> Data:
    given: dict[str, Any] = {
        "root": None if root is None else str(root),
        "download": False,
        "size": 8,
        "cache": None,
        "workers": 1,
        "test_share": 0.2,
    }
    source = {"name": keys.pop("source", "auto")}
    return Data(**{**given, **keys}, source=source)


def images(root: Path, classes: int = 2) -> Path:
    for split in ("train", "test"):
        for number in range(classes):
            folder = root / split / f"c{number:03}"
            folder.mkdir(parents=True)
            Image.new("RGB", (9, 7), (number, 1, 2)).save(folder / "x.png")
    return root


def test_a_folder_is_found_out(tmp_path: Path) -> None:
    root = images(tmp_path / "photos")
    for name in ("auto", "folder"):
        train, test = load(data(root, source=name, cache=str(tmp_path / "c")), "folder")
        assert train.images[:, 0, 0, 0].tolist() == [0, 1]
        assert (train.name, len(test)) == ("photos", 2)


def test_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    images(tmp_path / "photos")
    assert len(load(data("~/photos", cache="~/cache"), "folder")[0]) == 2
    assert (tmp_path / "cache").is_dir()


def test_layouts_are_found_out(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "cifar-10-batches-py").mkdir()
    assert auto.detect(data(tmp_path), tmp_path, "cifar10") == "torchvision"
    (tmp_path / "train").mkdir()
    assert auto.detect(data(tmp_path), tmp_path, "cifar100") == "folder"
    (tmp_path / "data" / "train-00000-of-00001.parquet").write_bytes(b"")
    assert auto.detect(data(tmp_path), tmp_path, "cifar10") == "parquet"


def test_a_hub_id_is_told_from_a_missing_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert auto.detect(data("uoft-cs/cifar100"), Path("uoft-cs/cifar100"), "cifar100") == "parquet"
    (tmp_path / "data").mkdir()
    with pytest.raises(
        InputError, match=r"data\.root=data/photos: no such folder; expected train/"
    ):
        load(data("data/photos"), "folder")
    with pytest.raises(
        InputError, match=r"data\.root=data/cifar: holds no CIFAR-100; put cifar-100"
    ):
        load(data("data/cifar"), "cifar100")


@pytest.mark.parametrize(
    ("dataset", "keys", "message"),
    [
        ("folder", {}, "data.root: is missing; give data.root=<folder> (expected train/<class>/"),
        ("cifar10", {}, "data.root: is missing; give data.root=<folder> (expected cifar10, torchv"),
        ("cifar10", {"source": "bundled"}, "data.source: cifar10 is not bundled; use source=auto"),
        ("digits", {"root": "photos"}, "data.root: has no effect with the bundled digits; add"),
        ("digits", {"source": "folder"}, "data.source: folder holds no digits; use source=auto"),
    ],
)
def test_keys_that_do_not_fit(dataset: str, keys: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        load(data(**keys), dataset)
    assert str(caught.value).startswith(message)


def test_places_that_do_not_fit(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="is a file; give the folder it is in"):
        load(data(tmp_path / "file"), "cifar10")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="has no train/ folder; expected"):
        load(data(tmp_path / "empty"), "folder")
    with pytest.raises(InputError, match="torchvision is for CIFAR only"):
        load(data(tmp_path, source="torchvision"), "folder")
    (tmp_path / "cifar-100-python").mkdir()
    with pytest.raises(InputError, match="holds CIFAR-100, not a folder of images; choose a"):
        load(data(tmp_path), "folder")
    with pytest.raises(InputError, match="holds CIFAR-100, the scenario needs CIFAR-10;"):
        load(data(tmp_path, download=True), "cifar10")


def test_cifar_as_class_folders(tmp_path: Path) -> None:
    root = images(tmp_path / "photos", classes=10)
    train, _ = load(data(root, cache=str(tmp_path / "c")), "cifar10")
    np.testing.assert_array_equal(train.targets, np.arange(10))
    with pytest.raises(InputError, match="holds 10 classes, cifar100 has 100; give cifar100's"):
        load(data(root, cache=str(tmp_path / "c")), "cifar100")
