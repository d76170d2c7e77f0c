import io
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from contsemi.data.imageset import ImageSet
from contsemi.data.names import OFFICIAL
from contsemi.data.sources import cache, parquet
from contsemi.data.sources.decode import resize
from contsemi.errors import InputError

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

RANDOM = np.random.default_rng(0)


def png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def write(
    file: Path,
    targets: list[Any],
    pixels: np.ndarray | None = None,
    *,
    names: list[str] | None = None,
    label: str = "label",
    image: str = "image",
    images: list[Any] | None = None,
    coarse: list[int] | None = None,
) -> None:
    """Writes a file as the datasets library does."""
    if pixels is None:
        pixels = RANDOM.integers(0, 256, (len(targets), 8, 8, 3), np.uint8)
    columns: dict[str, Any] = {image: images or [{"bytes": png(p), "path": None} for p in pixels]}
    columns[label] = targets
    if coarse is not None:
        columns["coarse_label"] = coarse
    table = pa.table(columns)
    if names is not None:
        features = {label: {"names": names, "_type": "ClassLabel"}}
        metadata = json.dumps({"info": {"features": features}})
        table = table.replace_schema_metadata({"huggingface": metadata})
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, file, row_group_size=7)


def load(root: Path, dataset: str = "folder", size: int | None = None) -> tuple[ImageSet, ImageSet]:
    cache = str(root.parent / f"cache of {root.name}")
    return parquet.load(root, dataset, size=size, cache=cache, workers=1)


def test_a_dataset_of_several_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = RANDOM.integers(0, 256, (20, 8, 8, 3), np.uint8)
    targets = (np.arange(20) % 3).tolist()
    names = ["ant", "bee", "cow"]
    root = tmp_path / "set"
    for part in range(2):
        rows = slice(part * 10, part * 10 + 10)
        file = root / "data" / f"train-{part:05}-of-00002.parquet"
        write(file, targets[rows], pixels[rows], names=names)
    write(root / "data" / "test-00000-of-00001.parquet", [0, 2], names=names)
    train, test = load(root)
    np.testing.assert_array_equal(train.images, pixels.transpose(0, 3, 1, 2))
    assert train.targets.tolist() == targets
    assert (train.classes, train.name, train.coarse) == (("ant", "bee", "cow"), "set", None)
    assert len(test) == 2
    monkeypatch.setattr(cache, "decode_into", lambda *_, **__: pytest.fail("decoded again"))
    assert load(root)[0].digest == train.digest


def test_sizes(tmp_path: Path) -> None:
    write(tmp_path / "a" / "train.parquet", [0, 1])
    write(tmp_path / "a" / "test.parquet", [0, 1])
    original, small = load(tmp_path / "a")[0], load(tmp_path / "a", size=5)[0]
    np.testing.assert_array_equal(small.images, resize(original.images.numpy(), 5))
    assert small.classes == ("class_0", "class_1")


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("train.parquet", "test.parquet"),
        ("train/0000.parquet", "test/0000.parquet"),
        ("plain_text/train-00000-of-00001.parquet", "plain_text/test-00000-of-00001.parquet"),
        ("default/train/0000.parquet", "default/validation/0000.parquet"),
        ("data/train-00000-of-00001.parquet", "data/validation-00000-of-00001.parquet"),
    ],
)
def test_layouts(tmp_path: Path, train: str, test: str) -> None:
    write(tmp_path / "set" / train, [0, 1, 1])
    write(tmp_path / "set" / test, [0, 1])
    assert [len(part) for part in load(tmp_path / "set")] == [3, 2]


def test_images_that_cannot_be_read_are_reported_together(tmp_path: Path) -> None:
    root = tmp_path / "set"
    good = {"bytes": png(np.zeros((8, 8, 3), np.uint8)), "path": None}
    bad, none = {"bytes": b"no image", "path": None}, {"bytes": None, "path": "x.png"}
    write(root / "train.parquet", [0, 1, 0, 1], images=[good, bad, good, none])
    write(root / "test.parquet", [0, 1])
    said = r"2 images cannot be read: row 1: not a .*; row 3: has no bytes; repair or remove"
    with pytest.raises(InputError, match=said):
        load(root)
    write(root / "train.parquet", [0, 1], images=[none, none])
    for side, said in ((8, "2 images cannot be read"), (None, "the first image: has no bytes")):
        with pytest.raises(InputError, match=f"{said}.*; write the encoded images into it"):
            load(root, size=side)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (
            {"targets": [0, 1, -2]},
            "label: train row 2 has label -2; labels count from 0; -1 or none",
        ),
        ({"targets": [0, 2], "names": ["a", "b"]}, "train row 1 has label 2 of 2 classes"),
        ({"targets": [None, -1]}, "label: no train row has a label; labels count from 0"),
        ({"targets": [1, 10**12]}, "train row 1 has label 1000000000000: more classes than rows"),
        ({"targets": [0, 1], "images": ["a.png", "b.png"]}, "image: holds text, expected bytes;"),
        ({"targets": ["a", "b"]}, "has no labels: its columns are image, label; expected img"),
        ({"targets": [0, 1], "label": "y"}, "has no labels: its columns are image, y;"),
        (
            {"targets": [0, 1], "image": "pic", "images": [b"a", b"b"]},
            "has no images: its columns are pic, label;",
        ),
    ],
)
def test_bad_columns(tmp_path: Path, keys: dict[str, Any], message: str) -> None:
    write(tmp_path / "set" / "train.parquet", **keys)
    write(tmp_path / "set" / "test.parquet", [0, 1])
    with pytest.raises(InputError, match=message):
        load(tmp_path / "set")


def test_missing_and_broken_files(tmp_path: Path) -> None:
    write(tmp_path / "set" / "train.parquet", [0, 1])
    with pytest.raises(InputError, match="has no test parquet files; expected data/test-"):
        load(tmp_path / "set")
    (tmp_path / "set" / "test.parquet").write_bytes(b"no parquet")
    with pytest.raises(InputError, match=r"test\.parquet: is no parquet file .*; fetch it anew"):
        load(tmp_path / "set")


def test_files_in_several_folders(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write(tmp_path / name / "train-0.parquet", [0, 1])
    with pytest.raises(InputError, match=r"train files in several folders \(one, two\); give one"):
        parquet.find(tmp_path, "train")


@pytest.mark.parametrize(("dataset", "count"), [("cifar10", 10), ("cifar100", 100)])
def test_official_names_stand_in(tmp_path: Path, dataset: str, count: int) -> None:
    root = tmp_path / "set"
    write(root / "train.parquet", list(range(count)))
    write(root / "test.parquet", [0])
    train, _ = load(root, dataset)
    assert len(train.classes) == len(set(train.classes)) == count
    assert train.name == dataset
    other = {"cifar10": "cifar100", "cifar100": "cifar10"}[dataset]
    message = f"holds {count} classes: this looks like {dataset}, the scenario needs {other}"
    with pytest.raises(InputError, match=message):
        load(root, other)


@pytest.mark.parametrize(
    ("module", "action"),
    [
        ("pyarrow.parquet", lambda root: load(root)),
        ("huggingface_hub", lambda root: parquet.fetch("org/set", may_download=True)),
    ],
)
def test_missing_packages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str, action: Any
) -> None:
    write(tmp_path / "set" / "train.parquet", [0, 1])
    write(tmp_path / "set" / "test.parquet", [0, 1])
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(InputError, match=r"not installed .*; pip install contsemi\[hub\]$"):
        action(tmp_path / "set")


class Hub:
    """Stands for huggingface_hub."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.asked: dict[str, Any] = {}

    def snapshot_download(self, **asked: Any) -> str:
        self.asked = asked
        if not self.folder.exists():
            raise RuntimeError("404\nnot found")
        return str(self.folder)


def test_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub = Hub(tmp_path)
    monkeypatch.setitem(sys.modules, "huggingface_hub", hub)
    assert parquet.fetch("org/set", may_download=False) == tmp_path
    assert hub.asked["local_files_only"] is True  # no network unless it is asked for
    assert parquet.fetch("org/set", may_download=True) == tmp_path
    assert hub.asked["local_files_only"] is False
    assert (hub.asked["repo_id"], hub.asked["repo_type"]) == ("org/set", "dataset")
    hub.folder = tmp_path / "none"
    with pytest.raises(InputError, match=r"cannot be had .*\(404 not found\); give a folder$"):
        parquet.fetch("org/set", may_download=True)
    with pytest.raises(InputError, match=r"give a folder, or set data\.download=true$"):
        parquet.fetch("org/set", may_download=False)


@pytest.fixture(scope="module")
def part_of_cifar100(cifar100_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first row groups of the real files."""
    root = tmp_path_factory.mktemp("cifar100")
    for split in ("train", "test"):
        (file,) = cifar100_root.glob(f"data/{split}-*.parquet")
        table = pq.ParquetFile(file).read_row_group(0)
        (root / "data").mkdir(exist_ok=True)
        pq.write_table(table, root / "data" / f"{split}-00000-of-00001.parquet")
    return root


@pytest.mark.data
def test_real_images(part_of_cifar100: Path) -> None:
    train, test = load(part_of_cifar100, "cifar100")
    assert train.images.shape == test.images.shape == (1000, 3, 32, 32)
    assert train.classes[:3] == ("apple", "aquarium_fish", "baby")
    assert train.classes == OFFICIAL["cifar100"]
    assert train.coarse is not None
    assert train.coarse_classes is not None
    assert train.coarse_classes[int(train.coarse[train.targets == 0][0])] == "fruit_and_vegetables"
    (file,) = (part_of_cifar100 / "data").glob("train-*")
    rows = pq.read_table(file)
    for row in (0, 500, 999):
        image = Image.open(io.BytesIO(rows["img"][row].as_py()["bytes"]))
        np.testing.assert_array_equal(train.images[row], np.asarray(image).transpose(2, 0, 1))
        assert train.targets[row] == rows["fine_label"][row].as_py()


@pytest.mark.data
@pytest.mark.slow
def test_all_real_images(cifar100_root: Path, tmp_path: Path) -> None:
    cache = str(tmp_path)
    train, test = parquet.load(cifar100_root, "cifar100", size=None, cache=cache, workers=0)
    assert (len(train), len(test)) == (50_000, 10_000)
    assert (train.targets.bincount() == 500).all()
    assert (test.targets.bincount() == 100).all()
    # CIFAR-100's well-known mean
    mean = train.images.numpy().mean((0, 2, 3), np.float64) / 255
    np.testing.assert_allclose(mean, [0.5071, 0.4865, 0.4409], atol=1e-4)


def test_rows_without_a_label_are_unlabelled_images(tmp_path: Path) -> None:
    write(tmp_path / "set" / "train.parquet", [0, None, 1, -1, 1])
    write(tmp_path / "set" / "test.parquet", [0, 1])
    train, _ = load(tmp_path / "set")
    assert train.targets.tolist() == [0, -1, 1, -1, 1]


def test_a_split_with_withheld_labels_is_no_test(tmp_path: Path) -> None:
    write(tmp_path / "set" / "train.parquet", [0, 1, 1])
    write(tmp_path / "set" / "test.parquet", [-1, -1, -1, -1])
    with pytest.raises(InputError, match="the labels of test are withheld"):
        load(tmp_path / "set")
    write(tmp_path / "set" / "validation.parquet", [0, 1])
    train, test = load(tmp_path / "set")
    assert test.targets.tolist() == [0, 1]
    assert any("validation is the test" in remark for remark in train.remarks)
    write(tmp_path / "set" / "test.parquet", [0, -1])
    with pytest.raises(InputError, match="test row 1 has no label"):
        load(tmp_path / "set")


def test_a_split_without_a_column_of_labels_is_no_test(tmp_path: Path) -> None:
    write(tmp_path / "set" / "train.parquet", [0, 1, 1])
    write(tmp_path / "set" / "validation.parquet", [0, 1])
    images = [{"bytes": png(RANDOM.integers(0, 256, (8, 8, 3), np.uint8)), "path": None}]
    pq.write_table(pa.table({"image": images}), tmp_path / "set" / "test.parquet")
    train, test = load(tmp_path / "set")
    assert test.targets.tolist() == [0, 1]
    assert any("validation is the test" in remark for remark in train.remarks)


@pytest.mark.parametrize("name", ["unlabelled", "unlabeled"])
@pytest.mark.parametrize("label", ["label", "other"])
def test_a_split_without_labels_comes_with_the_training_images(
    tmp_path: Path, name: str, label: str
) -> None:
    write(tmp_path / "set" / "train.parquet", [0, 1, 1])
    write(tmp_path / "set" / "test.parquet", [0, 1])
    write(tmp_path / "set" / f"{name}-00000.parquet", [0, 1, 0, 1], label=label)
    train, test = load(tmp_path / "set")
    assert train.targets.tolist() == [0, 1, 1, -1, -1, -1, -1]
    assert len(train.images) == 7
    assert len(test) == 2


def test_labels_with_gaps_as_pandas_writes_them(tmp_path: Path) -> None:
    write(tmp_path / "set" / "train.parquet", [0.0, float("nan"), 1.0, None, 1.0])
    write(tmp_path / "set" / "test.parquet", [0, 1])
    assert load(tmp_path / "set")[0].targets.tolist() == [0, -1, 1, -1, 1]
    write(tmp_path / "set" / "train.parquet", [0.0, 0.5, 1.0])
    with pytest.raises(InputError, match=r"row 1 has label 0\.5; write whole numbers"):
        load(tmp_path / "set")


@pytest.mark.parametrize("kind", ["uint8", "uint64", "int32"])
def test_labels_of_every_whole_type(tmp_path: Path, kind: str) -> None:
    """An unsigned column holds no -1, and before it ended in a traceback."""
    for name in ("train", "test"):
        labels = pa.array([0, None, 1] if name == "train" else [0, 1], getattr(pa, kind)())
        write(tmp_path / "set" / f"{name}.parquet", labels)
    assert load(tmp_path / "set")[0].targets.tolist() == [0, -1, 1]
    write(tmp_path / "set" / "train.parquet", pa.array([0, 2**63 + 1], pa.uint64()))
    with pytest.raises(InputError, match="its labels cannot be read"):
        load(tmp_path / "set")


def test_test_images_among_the_training_images_are_said(tmp_path: Path) -> None:
    pixels = RANDOM.integers(0, 256, (4, 8, 8, 3), np.uint8)
    write(tmp_path / "set" / "train.parquet", [0, 1, 0, 1], pixels)
    write(tmp_path / "set" / "test.parquet", [1, 0], pixels[1:3])
    (remark,) = load(tmp_path / "set")[0].remarks
    assert remark.endswith("set: 2 of 2 test images are training images too")
    write(tmp_path / "set" / "test.parquet", [1, 1], pixels[1:3])
    first, _ = load(tmp_path / "set")[0].remarks
    assert "1 of 2 test images stand in another class, too, for example test row 1 is" in first
    assert first.endswith("train row 2")


def test_the_sizes_are_said(tmp_path: Path) -> None:
    write(tmp_path / "set" / "train.parquet", [0, 1])
    write(tmp_path / "set" / "test.parquet", [0, 1])
    assert not any("one size" in each for each in load(tmp_path / "set")[0].remarks)
    remarks = load(tmp_path / "set", size=4)[0].remarks
    assert any("the first 8x8 -> 4x4" in remark for remark in remarks)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([None, "b"], "class 0 is called null, which is no name; name each class by a text"),
        (["a", True], "class 1 is called true, which is no name"),
        (["a", " "], 'class 1 is called " ", which is no name'),
        ([["a"], "b"], r'class 0 is called \["a"\], which is no name'),
    ],
)
def test_what_is_no_name_of_a_class_is_refused(
    tmp_path: Path, names: list[Any], message: str
) -> None:
    for split in ("train", "test"):
        write(tmp_path / "set" / f"{split}.parquet", [0, 1], names=names)
    with pytest.raises(InputError, match=rf"train.parquet: label: {message}"):
        load(tmp_path / "set")


def test_names_are_in_the_form_that_folders_are_called_in(tmp_path: Path) -> None:
    for split in ("train", "test"):
        names = ["cafe\u0301", "a\nb", 7]
        write(tmp_path / "set" / f"{split}.parquet", [0, 1, 2], names=names)
    assert load(tmp_path / "set")[0].classes == ("caf\u00e9", r"a\nb", "7")


@pytest.mark.parametrize(
    ("values", "known"),
    [
        (pa.array(["a", "b"]).dictionary_encode(), False),
        (pa.array([[0], [1]]), False),
        (pa.array([True, False]), False),
        (pa.array([1, 0]).dictionary_encode(), True),
        (pa.array([1, 0], pa.float16()), True),
    ],
)
def test_a_column_of_labels_holds_whole_numbers(tmp_path: Path, values: Any, known: bool) -> None:
    for split in ("train", "test"):
        write(tmp_path / "set" / f"{split}.parquet", values)
    if known:
        assert load(tmp_path / "set")[0].targets.tolist() == [1, 0]
    else:
        with pytest.raises(InputError, match=r"fine_label or label \(integers\)"):
            load(tmp_path / "set")
