"""Shards made of a folder give its classes, targets and images; faults are one line."""

import hashlib
import io
import json
import tarfile

import numpy as np
import pytest
import torch
from PIL import Image

from contsemi import compose, data
from contsemi.data.shards import index as index_module
from contsemi.data.shards.making import make
from contsemi.errors import InputError
from contsemi.report.door import enter


def jpeg(colour=0, size=(12, 10)):
    draw = np.random.default_rng(colour)
    coarse = draw.integers(0, 256, (3, 3, 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC).save(stream, "JPEG")
    return stream.getvalue()


@pytest.fixture
def photos(tmp_path):
    """Classes called by numbers, whose order as text is another one; and images without a label."""
    for split, count in (("train", 5), ("test", 2)):
        for number, name in enumerate(("10", "9", "cat")):
            folder = tmp_path / "photos" / split / name
            folder.mkdir(parents=True)
            for image in range(count):
                (folder / f"{image}.jpg").write_bytes(jpeg(10 * number + image))
    beside = tmp_path / "photos" / "train" / "unlabelled"
    beside.mkdir()
    (beside / "a.jpg").write_bytes(jpeg(99))
    return tmp_path / "photos"


@pytest.fixture
def shards(photos, tmp_path):
    make([str(photos), str(tmp_path / "shards"), "--images", "4", "--workers", "1"])
    return tmp_path / "shards"


def load(root, source="shards", **more):
    words = ["scenario=image_folder", f"data.root={root}", f"data.cache={root.parent / 'cache'}"]
    words += [f"data.source={source}", "data.workers=1", "data.size=10"]
    config = compose.load([*words, *(f"data.{key}={value}" for key, value in more.items())])
    return data.load(config.data, "folder")


def test_they_are_what_the_folder_is(photos, shards):
    for ours, theirs in zip(load(shards), load(photos, "folder"), strict=True):
        assert ours.classes == theirs.classes == ("10", "9", "cat")
        assert ours.targets.tolist() == theirs.targets.tolist()
        found = ours.images.take(torch.arange(len(ours))).int()
        assert (found - theirs.images.int()).abs().max() <= 3  # two decoders
    with tarfile.open(shards / "train-000000.tar") as tar:
        assert tar.getnames()[:3] == ["00000000.jpg", "00000000.cls", "00000001.jpg"]
        assert tar.extractfile("00000000.jpg").read() == jpeg(0)


def test_without_our_files_they_are_the_same_but_for_the_names(shards):
    with_them = load(shards)
    for file in (*shards.glob("*.npy"), shards / "shards.json"):
        file.unlink()
    for ours, theirs in zip(with_them, load(shards), strict=True):
        assert theirs.classes == ("class_0", "class_1", "class_2")
        assert ours.targets.tolist() == theirs.targets.tolist()
        rows = torch.arange(len(ours))
        assert torch.equal(ours.images.take(rows), theirs.images.take(rows))
        assert ours.digest == theirs.digest


def test_the_index_is_made_once_and_anew_where_it_is_damaged(shards, monkeypatch):
    read = []
    original = index_module._scanned
    monkeypatch.setattr(index_module, "_scanned", lambda *a: read.append(a) or original(*a))
    first = load(shards)[0]
    made = len(read)
    assert made == 6 and load(shards)[0].digest == first.digest and len(read) == made
    (entry,) = (shards.parent / "cache").glob("*/train.npy")
    whole = bytearray(entry.read_bytes())
    whole[-9] ^= 1
    entry.write_bytes(whole)
    assert load(shards)[0].digest == first.digest and len(read) == 2 * made


def pack(path, members):
    with tarfile.open(path, "w") as tar:
        for name, content in members:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))


def foreign(root, train=None, test=None):
    """A data set of somebody else's."""
    root.mkdir()
    labels = []
    for number in range(4):
        labels += [(f"{number}.jpg", jpeg(number)), (f"{number}.cls", b"%d" % (number % 2))]
    pack(root / "train-0000.tar", train or labels)
    pack(root / "test-0000.tar", test or labels)
    return root


def test_labels_may_be_json_and_names(tmp_path):
    members = []
    for number, name in enumerate(("owl", "ant", "owl")):
        members.append((f"a/{number}.jpg", jpeg(number)))
        members.append((f"a/{number}.json", json.dumps({"class": name, "other": [1]}).encode()))
    train, _ = load(foreign(tmp_path / "s", members, members))
    assert train.classes == ("ant", "owl") and train.targets.tolist() == [1, 0, 1]


def two(label=b"1", image=None):
    return [("0.jpg", jpeg()), ("0.cls", b"0"), ("1.jpg", image or jpeg(1)), ("1.cls", label)]


FAULTS = {
    "name and number": (
        two(b"owl"),
        "train image 0 has the number 0",
    ),
    "json number as text": (
        [("0.jpg", jpeg()), ("0.json", b'{"class": "7"}')],
        "0.json: cannot be read as a label",
    ),
    "no jpeg": (two(image=jpeg()[:150]), "1.jpg: damaged"),
    "not an image": (two(image=b"text"), "1.jpg: not a JPEG"),
    "label alone": ([*two(), ("2.cls", b"0")], "2: a label without an image"),
    "twice": ([*two(), ("0.jpg", jpeg())], "0: comes twice"),
    "two images": ([("0.jpg", jpeg()), ("0.png", jpeg())], "0.png: a second image"),
    "negative": (two(b"-4"), "has class -4"),
    "too high": (two(b"99999"), "more classes than images"),
    "foreign": ([("film.mp4", b"0")], "holds no images"),
}


@pytest.mark.parametrize(("members", "said"), FAULTS.values(), ids=FAULTS)
@pytest.mark.quick(7)
def test_a_fault_is_one_line(tmp_path, members, said):
    root = foreign(tmp_path / "s", members)
    with pytest.raises(InputError, match=said) as error:
        load(root)
    assert "\n" not in str(error.value) and str(error.value).startswith("data.root=")


def test_a_damaged_or_missing_shard_is_named(shards, tmp_path):
    whole = (shards / "train-000001.tar").read_bytes()
    (shards / "train-000001.tar").write_bytes(whole[:-1] + b"1")
    with pytest.raises(InputError, match=r"train-000001.tar: is not the one that shards.json"):
        load(shards)
    (shards / "train-000001.tar").unlink()
    with pytest.raises(InputError, match=r"train-000001.tar is missing"):
        load(shards)
    (shards / "shards.json").unlink()
    with pytest.raises(InputError, match=r"train-000001.tar is missing"):
        load(shards)
    other = foreign(tmp_path / "other")
    (other / "train-0001.tar").write_bytes(b"this is not a tar file" * 50)
    with pytest.raises(InputError, match=r"train-0001.tar: is no tar file"):
        load(other)


def test_an_image_that_changes_while_a_run_reads_is_named(shards):
    train, _ = load(shards)
    file = shards / "train-000000.tar"
    file.write_bytes(bytes(file.stat().st_size))
    with pytest.raises(InputError, match=r"train-000000.tar: 00000002: .*its bytes are others"):
        train.images.take(torch.tensor([2]))


def test_a_test_image_needs_a_class(tmp_path):
    with pytest.raises(InputError, match="test image 0 has no class"):
        load(foreign(tmp_path / "s", test=[("0.jpg", jpeg())]))


def content_of(folder):
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.iterdir()}


def test_a_stopped_writer_goes_on_to_the_same_files(photos, shards, tmp_path, monkeypatch):
    import contsemi.data.shards.writing as writing

    original, calls = writing._write, []

    def stop(*arguments):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return original(*arguments)

    words = [str(photos), str(tmp_path / "again"), "--images", "4", "--workers", "1"]
    monkeypatch.setattr(writing, "_write", stop)
    with pytest.raises(KeyboardInterrupt):
        make(words)
    assert not (tmp_path / "again" / "shards.json").exists()
    with pytest.raises(InputError, match=r"has no test shards|none of the shards|no train"):
        load(tmp_path / "again")
    make(words)
    assert len(calls) == 7  # two before, four after
    assert content_of(tmp_path / "again") == content_of(shards)
    make(words)
    assert len(calls) == 7


def test_a_writer_refuses_what_is_not_its_own(photos, tmp_path, capsys):
    target = tmp_path / "there"
    target.mkdir()
    (target / "diary.txt").write_text("mine")
    assert enter(lambda: make([str(photos), str(target)])) == 2
    assert "holds diary.txt, which is none of our shards" in capsys.readouterr().err
    (target / "diary.txt").rename(target / "train-000000.tar")
    assert enter(lambda: make([str(photos), str(target)])) == 2
    assert enter(lambda: make([str(photos), str(photos / "in")])) == 2
    (target / "train-000000.tar").unlink()
    assert enter(lambda: make([str(photos), str(target), "--images", "4"])) == 0
    assert enter(lambda: make([str(photos), str(target), "--images", "5"])) == 2
    assert "another number of images" in capsys.readouterr().err


def test_a_writer_names_every_bad_image(photos, tmp_path):
    for name in ("train/9/0.jpg", "test/cat/1.jpg"):
        (photos / name).write_bytes(b"\xff\xd8\xff no picture")
    with pytest.raises(InputError, match=r"2 images cannot be used: train/9/0.jpg.*test/cat/1.jpg"):
        make([str(photos), str(tmp_path / "s")])


def test_parquet_becomes_shards(photos, tmp_path):
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    (tmp_path / "p").mkdir()
    for split in ("train", "test"):
        rows = {"image": [{"bytes": jpeg(n), "path": None} for n in range(5)]}
        rows["label"] = [n % 2 for n in range(5)]
        parquet.write_table(arrow.table(rows), tmp_path / "p" / f"{split}-0.parquet")
    make([str(tmp_path / "p"), str(tmp_path / "s"), "--images", "2"])
    train, _ = load(tmp_path / "s")
    assert train.targets.tolist() == [0, 1, 0, 1, 0] and len(train) == 5
