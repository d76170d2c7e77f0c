"""What is large is refused, or taken piece by piece, before it fills the memory."""

import io
import os
import tracemalloc

import numpy as np
import pytest

from contsemi.data.coarse import with_hierarchy
from contsemi.errors import InputError
from contsemi.learn.__main__ import main as learn
from contsemi.living import label_list, photos
from contsemi.tune.trials import Manifest


@pytest.mark.parametrize("beside", [False, True], ids=["folders", "labels.csv"])
@pytest.mark.parametrize(
    ("room", "what"), [(10**8, "the lesson asks"), (2 * 10**9, "pixels of 16")]
)
def test_a_lesson_without_room_is_refused_before_a_photo_is_decoded(
    written, tmp_path, capsys, monkeypatch, room, what, beside
):
    heap, cache = tmp_path / "photos", tmp_path / "cache"
    written(heap, ("cat", "dog"), 10)
    if beside:
        lines = [f"{name}/{n:03}.jpg,{name}\n" for name in ("cat", "dog") for n in range(8)]
        (heap / "labels.csv").write_text("".join(lines))
    words = ["model=pixels", "data.size=4096", "views.test_size=2048", "device=cpu", "threads=1"]
    words += [] if beside else ["label_ratio=6/class"]
    monkeypatch.setattr("contsemi.pipeline.asked.free_bytes", lambda: room)
    if what.startswith("pixels"):  # 12 labelled and 4 to test, or 16 that a list names
        monkeypatch.setattr("contsemi.storage.host._machine", lambda: 16 * 2 * 3 * 4096**2 - 1)
        monkeypatch.setattr("contsemi.pipeline.asked.free_bytes", lambda: None)
    assert learn([str(tmp_path / "model"), str(heap), f"data.cache={cache}", *words]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert what in line and line.startswith("error: ") and "larger machine" in line
    assert not cache.exists() and not (tmp_path / "model").exists()


def test_a_long_list_of_labels_is_read_line_by_line(written, tmp_path, monkeypatch):
    written(tmp_path, ("cat",), 2)
    labels = tmp_path / "labels.csv"
    labels.write_text("file,class\n" + "cat/000.jpg,elk\n" * 100_000)
    tracemalloc.start()
    assert label_list.given_classes(tmp_path, labels) == {"cat/000.jpg": "elk"}
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**20
    monkeypatch.setattr(label_list, "LARGEST", 2**20)
    with pytest.raises(InputError, match="more than 1 MiB"):
        label_list.given_classes(tmp_path, labels)


def test_only_the_first_line_of_a_list_may_be_its_head(written, tmp_path):
    written(tmp_path, ("cat",), 1)
    (tmp_path / "labels.csv").write_text("file,class\nfile,class\ncat/000.jpg,elk\n")
    with pytest.raises(InputError, match="names file, which is no photo"):
        label_list.given_classes(tmp_path, tmp_path / "labels.csv")


def test_a_name_without_an_end_is_refused_not_read():
    with pytest.raises(InputError, match="the name of one photo a line"):
        list(photos.found("-", io.StringIO("a.jpg\n" + "x" * 2**18)))


def test_a_chunk_of_large_photos_holds_few(written, tmp_path):
    written(tmp_path, ("cat",), 3)
    files = sorted((tmp_path / "cat").glob("*.jpg"))
    assert [len(each.images) for each in photos.in_chunks(files, 2048)] == [3]
    assert [len(each.images) for each in photos.in_chunks(files, 4096)] == [1, 1, 1]
    many = np.zeros((5, 3, 4, 4), np.uint8)
    assert [len(each) for each in photos.arrays(many[:2], 4096)] == [1, 1]
    assert [len(each) for each in photos.arrays(many, 4)] == [5]


@pytest.mark.parametrize(
    "read",
    [lambda path: with_hierarchy(None, str(path)), lambda path: Manifest.open(path.parent, {})],
)
def test_a_pipe_is_no_file_to_wait_for(tmp_path, read):
    os.mkfifo(tmp_path / "tune.json")
    with pytest.raises(InputError, match=r"regular file|ValueError"):
        read(tmp_path / "tune.json")


def test_a_file_is_found_in_whichever_form_it_is_typed(written, tmp_path):
    composed, apart = "caf\u00e9", "cafe\u0301"
    written(tmp_path, ("cat",), 3)
    (tmp_path / "cat" / "000.jpg").rename(tmp_path / f"{apart}.jpg")
    labels = tmp_path / "labels.csv"
    labels.write_text(f"{composed}.jpg,01\n./cat/001.jpg,1\ncat/002.jpg,null\n")
    given = {f"{apart}.jpg": "01", "cat/001.jpg": "1", "cat/002.jpg": "null"}
    assert label_list.given_classes(tmp_path, labels) == given
    (tmp_path / "cat" / "001.jpg").rename(tmp_path / f"{composed}.jpg")  # now they are two photos
    labels.write_text(f"{composed}.jpg,a\n{apart}.jpg,b\n")
    given = {f"{composed}.jpg": "a", f"{apart}.jpg": "b"}
    assert label_list.given_classes(tmp_path, labels) == given
