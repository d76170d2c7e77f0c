"""Models that are half damaged, gone or not copied: no lesson is lost, and none begun anew."""

import shutil

import pytest

from contsemi.learn.__main__ import main as learn
from contsemi.living.saved import read
from contsemi.predict.__main__ import main as predict


def test_a_lesson_is_not_taken_back_for_one_that_is_damaged(model, photos, tmp_path, capsys):
    copy = tmp_path / "copy"
    shutil.copytree(model, copy)
    first, last = sorted((copy / "generations").glob("state-*"))
    content = first.read_bytes()
    first.write_bytes(content[:100])
    assert learn([str(copy), "--undo"]) == 4
    assert "the state before the last is not whole" in capsys.readouterr().err
    assert read(copy).classes == ("cat", "dog", "fox", "owl")
    first.write_bytes(content)
    last.write_bytes(content[:100])
    assert learn([str(copy), "--undo"]) == 0
    assert read(copy).classes == ("cat", "dog")


@pytest.mark.parametrize("lost", ["generations", "generations/MANIFEST.json"])
def test_a_model_of_which_a_part_is_gone_is_not_begun_anew(model, photos, tmp_path, capsys, lost):
    copy, heap = tmp_path / "copy", str(photos / "second")
    shutil.copytree(model, copy)
    shutil.rmtree(copy / lost) if lost == "generations" else (copy / lost).unlink()
    assert learn([str(copy), heap]) == 4
    assert "restore it from a copy" in (line := capsys.readouterr().err) and "| 1 |" not in line
    assert not list(copy.glob("generations/state-000000*")) or lost != "generations"
    if lost != "generations":
        for words in ([heap], ["--undo"]):
            command = learn if words == ["--undo"] else predict
            assert command([str(copy), *words]) == 4
            assert "MANIFEST.json: is missing; restore it" in capsys.readouterr().err


def test_a_copy_without_its_lock_is_a_model(model, photos, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(model, copy, ignore=shutil.ignore_patterns("*.lock"))
    assert learn([str(copy), "--undo"]) == 0
    assert learn([str(copy), str(photos / "second")]) == 0
    assert read(copy).classes == ("cat", "dog", "fox", "owl")
