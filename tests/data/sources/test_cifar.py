import dataclasses
import hashlib
import io
import os
import pickle
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torchvision

from contsemi.data.sources import cifar
from contsemi.data.sources.decode import resize
from contsemi.errors import InputError

RANDOM = np.random.default_rng(0)


class Hostile:
    """Writes a file when it is unpickled without care."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, tuple[str, ...]]:
        return os.system, (f"touch {self.mark}",)


def contents(dataset: str) -> dict[str, dict[str, Any]]:
    """What the pickles of a small imitation hold."""
    layout, count = cifar.LAYOUTS[dataset], 10 if dataset == "cifar10" else 100
    made: dict[str, dict[str, Any]] = {}
    for name in (*layout.train, *layout.test):
        made[name] = {
            "data": RANDOM.integers(0, 256, (120, 3072), np.uint8),
            layout.labels: RANDOM.permutation(np.arange(120) % count).tolist(),
        }
        if layout.coarse:
            made[name][layout.coarse] = RANDOM.integers(0, 20, 120).tolist()
    meta = {layout.names: [f"n{n}" for n in range(count)]}
    if layout.coarse_names:
        meta[layout.coarse_names] = [f"s{n}" for n in range(20)]
    made[next(iter(layout.meta))] = meta
    return made


def write(root: Path, dataset: str, made: dict[str, Any], patch: pytest.MonkeyPatch) -> None:
    """Writes pickles and makes their sums the official ones."""
    layout = cifar.LAYOUTS[dataset]
    folder = root / layout.folder
    folder.mkdir(parents=True, exist_ok=True)
    sums = {}
    for name, content in made.items():
        packed = pickle.dumps(content, protocol=4)
        (folder / name).write_bytes(packed)
        sums[name] = hashlib.md5(packed).hexdigest()
    own = {
        part: {name: sums[name] for name in getattr(layout, part)}
        for part in ("train", "test", "meta")
    }
    patch.setitem(cifar.LAYOUTS, dataset, dataclasses.replace(layout, **own))


def pack(root: Path, dataset: str, patch: pytest.MonkeyPatch) -> None:
    """Turns the unpacked folder into the archive."""
    layout = cifar.LAYOUTS[dataset]
    with tarfile.open(root / layout.archive, "w:gz") as archive:
        archive.add(root / layout.folder, layout.folder)
    for file in (root / layout.folder).iterdir():
        file.unlink()
    (root / layout.folder).rmdir()
    md5 = hashlib.md5((root / layout.archive).read_bytes()).hexdigest()
    patch.setitem(cifar.LAYOUTS, dataset, dataclasses.replace(layout, archive_md5=md5))


def load(root: Path, dataset: str = "cifar100", size: int | None = None):
    return cifar.load(root, dataset, size=size, may_download=False)


@pytest.mark.parametrize("dataset", ["cifar10", "cifar100"])
def test_sums_and_names_are_torchvisions(dataset: str) -> None:
    layout = cifar.LAYOUTS[dataset]
    official = getattr(torchvision.datasets, dataset.upper())
    assert list(layout.train.items()) == [tuple(entry) for entry in official.train_list]
    assert list(layout.test.items()) == [tuple(entry) for entry in official.test_list]
    assert layout.meta == {official.meta["filename"]: official.meta["md5"]}
    assert (layout.folder, layout.archive) == (official.base_folder, official.filename)
    assert (layout.archive_md5, layout.url) == (official.tgz_md5, official.url)
    assert layout.names == official.meta["key"]


@pytest.mark.parametrize("dataset", ["cifar10", "cifar100"])
@pytest.mark.parametrize("packed", [False, True])
def test_batches_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dataset: str, packed: bool
) -> None:
    made = contents(dataset)
    write(tmp_path, dataset, made, monkeypatch)
    if packed:
        pack(tmp_path, dataset, monkeypatch)
    before = sorted(tmp_path.rglob("*"))
    train, test = load(tmp_path, dataset)
    layout = cifar.LAYOUTS[dataset]
    for part, names in ((train, layout.train), (test, layout.test)):
        pixels = np.concatenate([made[name]["data"] for name in names])
        np.testing.assert_array_equal(part.images.numpy().reshape(-1, 3072), pixels)
        assert part.targets.tolist() == [n for name in names for n in made[name][layout.labels]]
        if dataset == "cifar100":
            expected = [n for name in names for n in made[name]["coarse_labels"]]
            assert part.coarse.tolist() == expected
            assert part.coarse_classes == tuple(f"s{n}" for n in range(20))
        else:
            assert part.coarse is None
            assert part.coarse_classes is None
    assert train.classes == tuple(made[next(iter(layout.meta))][layout.names])
    assert train.name == dataset
    assert sorted(tmp_path.rglob("*")) == before  # nothing is unpacked


def test_the_folder_itself_may_be_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "cifar100", contents("cifar100"), monkeypatch)
    assert load(tmp_path / "cifar-100-python")[0].digest == load(tmp_path)[0].digest


def test_sizes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "cifar100", contents("cifar100"), monkeypatch)
    small, original = load(tmp_path, size=16)[0], load(tmp_path)[0]
    np.testing.assert_array_equal(small.images, resize(original.images.numpy(), 16))


def test_a_changed_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "cifar10", contents("cifar10"), monkeypatch)
    file = tmp_path / "cifar-10-batches-py" / "data_batch_3"
    content = bytearray(file.read_bytes())
    content[1000] ^= 1
    file.write_bytes(content)
    with pytest.raises(InputError, match=r"data_batch_3: is not the file of CIFAR-10: MD5 .*; get"):
        load(tmp_path, "cifar10")
    file.unlink()
    with pytest.raises(InputError, match=r"data_batch_3: cannot be read \(no such file\); get"):
        load(tmp_path, "cifar10")


def test_a_changed_archive_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "cifar100", contents("cifar100"), monkeypatch)
    pack(tmp_path, "cifar100", monkeypatch)
    archive = tmp_path / "cifar-100-python.tar.gz"
    archive.write_bytes(archive.read_bytes()[:-100])
    with pytest.raises(
        InputError, match=r"cifar-100-python\.tar\.gz: is not the file of CIFAR-100"
    ):
        load(tmp_path)


def test_a_hostile_pickle_does_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mark = tmp_path / "executed"
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        packed = pickle.dumps({"data": Hostile(mark)}, protocol=protocol)
        with pytest.raises(pickle.UnpicklingError, match=r"posix\.system is not allowed"):
            cifar.unpickle(packed)
    hostile = {**contents("cifar100"), "train": Hostile(mark)}
    write(tmp_path, "cifar100", hostile, monkeypatch)  # even under the right sum
    with pytest.raises(
        InputError, match=r"train: cannot be parsed \(posix\.system is not allowed\)"
    ):
        load(tmp_path)
    assert not mark.exists()
    pickle.loads(pickle.dumps(Hostile(mark)))
    assert mark.exists()  # the payload is a real one


@pytest.mark.parametrize("name", ["builtins eval", "numpy load", "os system", "numpy.testing x"])
def test_only_arrays_are_built(name: str) -> None:
    module, attribute = name.split()
    with pytest.raises(pickle.UnpicklingError, match="not allowed"):
        cifar.unpickle(f"c{module}\n{attribute}\n.".encode())


def test_a_python_2_pickle_is_read() -> None:
    array = np.arange(6, dtype=np.uint8).reshape(2, 3)
    packed = (
        b"\x80\x02}q\x01U\x04dataq\x02cnumpy.core.multiarray\n_reconstruct\nq\x03cnumpy\nndarray\n"
        b"q\x04K\x00\x85U\x01b\x87Rq\x05(K\x01K\x02K\x03\x86cnumpy\ndtype\nq\x06U\x02u1K\x00K\x01"
        b"\x87Rq\x07(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89U\x06"
        + array.tobytes()
        + b"tbs."
    )
    content = cifar.unpickle(packed)
    assert isinstance(content, dict)
    np.testing.assert_array_equal(content["data"], array)


@pytest.mark.parametrize(
    "batch",
    [
        {"fine_labels": [0], "coarse_labels": [0]},
        {"data": np.zeros((2, 3072), np.uint8), "fine_labels": [0], "coarse_labels": [0]},
        {"data": np.zeros((1, 99), np.uint8), "fine_labels": [0], "coarse_labels": [0]},
        {"data": np.zeros((1, 3072), np.uint8), "fine_labels": [100], "coarse_labels": [0]},
        {"data": np.zeros((1, 3072), np.uint8), "fine_labels": [0]},
    ],
)
def test_batches_that_do_not_fit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batch: dict[str, Any]
) -> None:
    write(tmp_path, "cifar100", {**contents("cifar100"), "train": batch}, monkeypatch)
    with pytest.raises(InputError, match="train: is no batch of CIFAR-100"):
        load(tmp_path)


@pytest.mark.parametrize("key", ["fine_label_names", "coarse_label_names"])
def test_names_that_are_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    made = contents("cifar100")
    del made["meta"][key]
    write(tmp_path, "cifar100", made, monkeypatch)
    with pytest.raises(InputError, match=f"meta: holds no list of {key}; get cifar-100-python"):
        load(tmp_path)


def test_missing_data_says_which_file_goes_where(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        load(tmp_path)
    assert str(caught.value) == (
        f"data.root={tmp_path}: holds no CIFAR-100; put cifar-100-python.tar.gz (MD5 "
        "eb9058c3a382ffc7106e4002c42a8d85) from https://www.cs.toronto.edu/~kriz/"
        "cifar-100-python.tar.gz there, or set data.download=true"
    )


def test_other_versions_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "cifar10", contents("cifar10"), monkeypatch)
    with pytest.raises(InputError, match="holds CIFAR-10, the scenario needs CIFAR-100; give a"):
        load(tmp_path)
    (tmp_path / "binary" / "cifar-100-binary").mkdir(parents=True)
    with pytest.raises(InputError, match="cifar-100-binary is not the python version of CIFAR-100"):
        load(tmp_path / "binary")


def test_an_archive_that_lacks_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = tmp_path / "cifar-100-python.tar.gz"
    with tarfile.open(archive, "w:gz") as packed:
        packed.addfile(tarfile.TarInfo("other"), io.BytesIO())
    md5 = hashlib.md5(archive.read_bytes()).hexdigest()
    layout = dataclasses.replace(cifar.LAYOUTS["cifar100"], archive_md5=md5)
    monkeypatch.setitem(cifar.LAYOUTS, "cifar100", layout)
    with pytest.raises(InputError, match="is no archive of CIFAR-100"):
        load(tmp_path)
