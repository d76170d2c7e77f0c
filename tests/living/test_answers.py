"""``predict`` as it is called: what it answers, and where."""

import csv
import io
import json
import os
import shutil
import struct
import sys
import threading
import zlib
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from contsemi.predict.__main__ import main as predict


def test_every_photo_has_a_line_with_its_likeliest_classes(model, photos, capsys):
    assert predict([str(model), str(photos / "second" / "test"), "--top", "2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 8
    assert lines[0].split("\t")[0].endswith("fox/000.jpg")
    assert len(lines[0].split("\t")) == 3


def test_json_and_table_say_the_same(model, photos, tmp_path, capsys):
    words = [str(model), str(photos / "first" / "test" / "cat"), "--unknown", "0.2", "--top", "2"]
    assert predict([*words, "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert predict([*words, "--csv", str(tmp_path / "table.csv")]) == 0
    table = list(csv.DictReader((tmp_path / "table.csv").open()))
    assert [row["class_1"] for row in table] == [row["classes"][0][0] for row in rows]
    assert [row["unknown"] == "yes" for row in table] == [row["unknown"] for row in rows]


@pytest.mark.parametrize(("share", "told"), [("0.5", False), ("0.001", True)])
def test_a_share_that_the_labelled_photos_cannot_tell_is_told(model, photos, capsys, share, told):
    assert predict([str(model), str(photos / "first" / "test"), "--unknown", share]) == 0
    printed = capsys.readouterr()
    assert ("less than the labelled photos can tell" in printed.err) == told
    assert len(printed.out.splitlines()) == 8


def test_names_are_read_from_the_input(model, photos, capsys, monkeypatch):
    file = photos / "first" / "test" / "cat" / "000.jpg"
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{file}\nnot there.jpg\n"))
    assert predict([str(model), "-"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert any("cannot be read" in line for line in lines)


def test_answers_go_into_a_file_while_the_bar_is_on_a_terminal(
    model, photos, tmp_path, monkeypatch
):
    leader, follower = os.openpty()

    def watched():  # somebody has to, or the terminal takes no more
        with suppress(OSError):  # its end
            while os.read(leader, 999):
                pass

    threading.Thread(target=watched, daemon=True).start()
    with os.fdopen(follower, "w") as terminal, (tmp_path / "answers").open("w") as answers:
        monkeypatch.setattr(sys, "stderr", terminal)
        monkeypatch.setattr(sys, "stdout", answers)
        assert predict([str(model), str(photos / "second" / "test")]) == 0
    assert len((tmp_path / "answers").read_text().splitlines()) == 8


def test_names_are_any_bytes_and_terminals_of_any_encoding(model, photos, tmp_path, monkeypatch):
    name = os.fsencode(tmp_path) + b"/\xe9\xff.jpg"
    shutil.copy(photos / "first" / "test" / "cat" / "000.jpg", name)
    given, said = io.BytesIO(name + b"\n"), io.BytesIO()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(given, encoding="utf-8"))
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(said, encoding="ascii"))
    assert predict([str(model), "-"]) == 0  # which reads from it
    folder = tmp_path / "é"
    shutil.copytree(photos / "first" / "test" / "cat", folder)
    assert predict([str(model), str(folder)]) == 0
    lines = said.getvalue().decode("ascii").splitlines()
    assert lines[0].startswith(rf"{tmp_path}/\udce9\udcff.jpg") and "cat" in lines[0]
    assert lines[1].startswith(rf"{tmp_path}/\xe9/000.jpg")


def odd_photos(folder):
    """What lies about in folders of photos: name, and what is said of it; empty for a class."""
    draw = np.random.default_rng(0)
    plain = Image.fromarray(draw.integers(0, 256, (40, 60, 3), dtype=np.uint8))
    grey16 = Image.fromarray(draw.integers(0, 65536, (40, 60), dtype=np.uint16))
    turned = Image.Exif()
    turned[0x0112] = 6
    plain.save(folder / "plain.jpg")
    plain.save(folder / "turned.jpg", exif=turned)
    plain.convert("CMYK").save(folder / "cmyk.jpg")
    plain.convert("L").save(folder / "grey.PNG")
    grey16.save(folder / "deep.png")
    plain.convert("RGBA").save(folder / "clear.png")
    plain.convert("P").save(folder / "palette.png")
    plain.save(folder / "moving.webp", save_all=True, append_images=[plain.rotate(90)])
    (folder / "text.jpg").write_text("no photo")
    (folder / "empty.png").touch()
    (folder / "cut.jpg").write_bytes((folder / "plain.jpg").read_bytes()[:600])
    header = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    chunks = b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in ((b"IHDR", header), (b"IDAT", zlib.compress(b"\0" * 999)))
    )
    (folder / "huge.png").write_bytes(b"\x89PNG\r\n\x1a\n" + chunks)
    (folder / "notes.txt").write_text("no photo, and not asked")
    (folder / "linked.jpg").symlink_to(folder / "plain.jpg")
    (folder / "round").symlink_to(folder)
    (folder / "to nothing.jpg").symlink_to(folder / "nothing.jpg")
    os.mkfifo(folder / "pipe.jpg")
    return {
        "to nothing.jpg": "No such file",
        "pipe.jpg": "not a regular file",
        "moving.webp": "several frames",
        "text.jpg": "not a",
        "empty.png": "not a",
        "cut.jpg": "damaged",
        "huge.png": "100 million",
    }


def test_odd_photos_have_a_class_or_a_reason_in_their_order(model, tmp_path, capsys):
    bad = odd_photos(tmp_path)
    assert predict([str(model), str(tmp_path), "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    names = [Path(row["file"]).name for row in rows]
    photos = {path.name for path in tmp_path.iterdir()} - {"notes.txt", "round"}
    assert names == sorted(photos)
    for name, row in zip(names, rows, strict=True):
        assert bad.get(name, "") in row.get("problem", "")
        assert ("classes" in row) == (name not in bad), row


def test_a_folder_has_a_line_for_every_photo_in_it(model, photos, tmp_path, capsys):
    """Also for what only begins as one, which is learned from too, and for what is not read."""
    heap = tmp_path / "heap"
    (heap / "below").mkdir(parents=True)
    shutil.copy(photos / "first" / "test" / "cat" / "000.jpg", heap / "IMG_1")
    shutil.copy(photos / "first" / "test" / "cat" / "000.jpg", heap / "below" / "a.jpg.part")
    (heap / "IMG_2.HEIC").write_bytes(b"\0\0\0\x18ftypheic")
    (heap / "notes.txt").write_text("none")
    os.mkfifo(heap / "pipe")
    assert predict([str(model), str(heap)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("\t")[0] for line in lines] == [
        str(heap / name) for name in ("IMG_1", "IMG_2.HEIC", "below/a.jpg.part")
    ]
    assert "not a JPEG" in lines[1] and "cat" in lines[0] and "cat" in lines[2]


def test_a_table_is_there_whole_or_not_at_all(model, photos, tmp_path, capsys, monkeypatch):
    table = tmp_path / "table.csv"
    old = "file,class_1,confidence_1,unknown,problem\n"
    table.write_text(old)
    assert predict([str(model), str(tmp_path / "none"), "--csv", str(table)]) == 2
    (tmp_path / "empty").mkdir()
    assert predict([str(model), str(tmp_path / "empty"), "--csv", str(table)]) == 2
    assert "holds no photo" in capsys.readouterr().err

    def interrupted(*args, **more):
        raise KeyboardInterrupt

    monkeypatch.setattr("contsemi.living.model.Model.answers", interrupted)
    assert predict([str(model), str(photos), "--csv", str(table)]) == 130
    assert table.read_text() == old
    table.write_text("somebody else's")  # is not written over, and nothing is predicted for it
    assert predict([str(model), str(photos), "--csv", str(table)]) == 2
    assert "is a file of something else" in capsys.readouterr().err
    assert {path.name for path in tmp_path.iterdir()} == {"table.csv", "empty"}


@pytest.mark.parametrize(
    "words",
    [
        ["MODEL", "PHOTOS", "--csv", "table.csv", "--json"],
        ["MODEL", "nowhere"],
        ["nowhere", "PHOTOS"],
        ["MODEL", "PHOTOS", "--top", "0"],
        ["MODEL", "PHOTOS", "--unknown", "2"],
        ["MODEL", "PHOTOS", "--csv", ""],
        ["MODEL"],
    ],
)
def test_what_is_wrong_is_said_in_one_line(model, photos, words, capsys):
    places = {"MODEL": str(model), "PHOTOS": str(photos)}
    assert predict([places.get(word, word) for word in words]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
