"""A reader, a crash or a full disk never meets half a file."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from contsemi.errors import StorageFailed
from contsemi.storage.atomic import write_atomically

WRITER = """
import sys
from pathlib import Path
from contsemi.storage.atomic import write_atomically
for turn in range(10**9):
    write_atomically(Path(sys.argv[1]), (b"a" if turn % 2 else b"b") * 300_000)
"""


@pytest.mark.parametrize("broken", ["fsync", "replace"])
def test_a_failed_write_leaves_the_old_file_alone(tmp_path, monkeypatch, broken):
    path = tmp_path / "results.json"
    write_atomically(path, b"old")

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    if broken == "fsync":
        monkeypatch.setattr(os, "fsync", full)
    else:
        monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(StorageFailed, match="No space left on device") as failure:
        write_atomically(path, b"new")
    assert str(path) in str(failure.value)
    assert "\n" not in str(failure.value)
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["results.json"]


def test_missing_folder_is_a_storage_failure(tmp_path):
    with pytest.raises(StorageFailed, match="No such file") as failure:
        write_atomically(tmp_path / "gone" / "results.json", b"")
    assert failure.value.exit_code == 5


def test_a_reader_meets_whole_files_while_another_process_writes_and_dies(tmp_path):
    path = tmp_path / "file"
    write_atomically(path, b"b" * 300_000)
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(path)])
    try:
        seen = set()
        while len(seen) < 2:
            content = path.read_bytes()
            assert len(content) == 300_000
            assert len(set(content)) == 1
            seen.add(content[:1])
            assert writer.poll() is None
    finally:
        writer.kill()
        writer.wait()
    assert len(path.read_bytes()) == 300_000
