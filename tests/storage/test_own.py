"""Files of others are never written over."""

import os

import pytest

from contsemi.errors import InputError
from contsemi.storage.own import refuse_others

OURS = b"file,class_1,confidence_1,"


def test_what_is_not_there_is_empty_or_ours_may_be_written(tmp_path):
    refuse_others(tmp_path / "new.csv", "--csv", OURS)
    (tmp_path / "empty.csv").touch()
    refuse_others(tmp_path / "empty.csv", "--csv", OURS)
    (tmp_path / "ours.csv").write_bytes(OURS + b"unknown,problem\n")
    refuse_others(tmp_path / "ours.csv", "--csv", OURS)
    refuse_others(tmp_path / "ours.csv", "--csv", b"other", OURS)


def test_what_somebody_else_wrote_is_left_alone(tmp_path):
    (tmp_path / "data.csv").write_text("precious\n")
    os.mkfifo(tmp_path / "pipe")  # opening it would wait for ever
    (tmp_path / "folder").mkdir()
    (tmp_path / "device").symlink_to("/dev/null")  # as root one could replace it by a file
    for name in ("data.csv", "pipe", "folder", "device"):
        with pytest.raises(InputError, match=rf"--csv: .*{name}"):
            refuse_others(tmp_path / name, "--csv", OURS)
    assert (tmp_path / "data.csv").read_text() == "precious\n"
