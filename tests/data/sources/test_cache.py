import hashlib
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from contsemi.data.imageset import fingerprint
from contsemi.data.sources import cache
from contsemi.data.sources.cache import Cached, cached, default_folder, key
from contsemi.data.sources.decoding import Failure
from contsemi.errors import StorageFailed

TARGETS = np.array([0, 1, 1, 0, 2])
PIXELS = np.random.default_rng(0).integers(0, 256, (5, 3, 8, 8), np.uint8)


class Fill:
    """Stands for decoding; counts how often it was needed."""

    def __init__(self, failures: list[Failure] | None = None) -> None:
        self.calls, self.failures = 0, failures or []

    def __call__(self, file: Path, offset: int) -> list[Failure]:
        self.calls += 1
        with file.open("r+b") as stream:
            stream.seek(offset)
            stream.write(PIXELS.data)
        return self.failures


def get(folder: Path, fill: Fill, targets: np.ndarray = TARGETS) -> Cached:
    result = cached(str(folder), "entry", targets, 8, fill)
    assert isinstance(result, Cached)
    np.testing.assert_array_equal(result.images, PIXELS)
    assert result.digest == fingerprint(PIXELS, targets)
    return result


def test_made_once_then_opened(tmp_path: Path) -> None:
    fill = Fill()
    for _ in range(3):
        images = get(tmp_path, fill).images
        images[:] = 0  # a private map: the file stays as it is
    assert isinstance(images, np.memmap)
    assert fill.calls == 1
    assert [p.name for p in tmp_path.iterdir()] == ["entry"]
    np.testing.assert_array_equal(np.load(tmp_path / "entry" / "images.npy"), PIXELS)


def flip_a_bit(entry: Path) -> None:
    file = entry / "images.npy"
    before = file.stat()
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def as_pipe(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)  # opening it would block for ever


def flip_rows(entry: Path) -> None:
    rows = np.load(entry / "rows.npy")
    np.save(entry / "rows.npy", rows[::-1].copy())


def falsify(entry: Path, **changes: object) -> None:
    record = json.loads((entry / "entry.json").read_text())
    (entry / "entry.json").write_text(json.dumps({**record, **changes}))


def flip_rows_and_their_digest(entry: Path) -> None:
    """The record says of the flipped rows what is so; what is wrong is that they are flipped."""
    flip_rows(entry)
    rows = np.load(entry / "rows.npy")
    falsify(entry, rows=hashlib.sha256(rows.tobytes()).hexdigest())


def forge(entry: Path) -> None:
    """All digests of the record are of what is there, but rows are of other images."""
    flip_rows_and_their_digest(entry)
    record = json.loads((entry / "entry.json").read_text())
    falsify(entry, seal=cache._seal_of(record))


DAMAGES = {
    "flipped rows with a false digest": flip_rows_and_their_digest,
    "flipped rows with all digests forged": forge,
    "false digest of the images": lambda entry: falsify(entry, digest="0" * 64),
    "record of another version": lambda entry: falsify(entry, seal=None),
    "record as a pipe": lambda entry: as_pipe(entry / "entry.json"),
    "images as a pipe": lambda entry: as_pipe(entry / "images.npy"),
    "deep record": lambda entry: (entry / "entry.json").write_text("[" * 200_000),
    "other rows": flip_rows,
    "bit": flip_a_bit,
    "truncated": lambda entry: os.truncate(entry / "images.npy", 500),
    "emptied": lambda entry: os.truncate(entry / "images.npy", 0),
    "no array": lambda entry: (entry / "images.npy").unlink(),
    "no record": lambda entry: (entry / "entry.json").unlink(),
    "broken record": lambda entry: (entry / "entry.json").write_text('{"digest": '),
    "list record": lambda entry: (entry / "entry.json").write_text("[1, 2]"),
    "binary record": lambda entry: (entry / "entry.json").write_bytes(b"\xff\xfe"),
    "other shape": lambda entry: np.save(entry / "images.npy", PIXELS[:4]),
    "other type": lambda entry: np.save(entry / "images.npy", PIXELS.astype(np.int8)),
    "pickle": lambda entry: np.save(entry / "images.npy", np.array([{}]), allow_pickle=True),
    "archive": lambda entry: np.savez((entry / "images.npy").open("wb"), PIXELS),
    "file": lambda entry: (shutil.rmtree(entry), entry.write_text("no folder")),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_entry_is_made_anew(tmp_path: Path, damage: str) -> None:
    fill = Fill()
    get(tmp_path, fill)
    DAMAGES[damage](tmp_path / "entry")
    assert "decoded anew" in get(tmp_path, fill).remarks[0]
    assert fill.calls == 2
    assert get(tmp_path, fill).remarks == []
    assert fill.calls == 2


def test_a_copied_entry_is_checked_and_kept(tmp_path: Path) -> None:
    fill = Fill()
    get(tmp_path / "one", fill)
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    get(tmp_path / "two", fill)
    assert fill.calls == 1


def test_other_labels_are_not_this_entry(tmp_path: Path) -> None:
    fill = Fill()
    get(tmp_path, fill)
    shutil.copytree(tmp_path / "entry", tmp_path / "copy")
    shutil.rmtree(tmp_path / "entry")
    (tmp_path / "copy").rename(tmp_path / "entry")
    get(tmp_path, fill, TARGETS[::-1].copy())
    assert fill.calls == 2


def test_failures_leave_nothing(tmp_path: Path) -> None:
    fill = Fill([(3, "damaged")])
    assert cached(str(tmp_path), "entry", TARGETS, 8, fill) == [(3, "damaged")]
    assert list(tmp_path.iterdir()) == []


def test_an_interruption_leaves_nothing(tmp_path: Path) -> None:
    def fill(file: Path, offset: int) -> list[Failure]:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cached(str(tmp_path), "entry", TARGETS, 8, fill)
    assert list(tmp_path.iterdir()) == []


def test_leftovers_of_killed_runs_are_removed(tmp_path: Path) -> None:
    for name, age in ((".tmp-old", 2 * 86_400), (".tmp-new", 60)):
        (tmp_path / name).mkdir()
        then = (tmp_path / name).stat().st_mtime - age
        os.utime(tmp_path / name, (then, then))
    get(tmp_path, Fill())
    assert sorted(p.name for p in tmp_path.iterdir()) == [".tmp-new", "entry"]


def test_a_cache_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageFailed, match=r"cannot be written .*; give data\.cache=<folder>"):
        cached(str(tmp_path / "file"), "entry", TARGETS, 8, Fill())


def test_a_full_disk(tmp_path: Path) -> None:
    def fill(file: Path, offset: int) -> list[Failure]:
        raise OSError(28, "No space left on device")

    with pytest.raises(StorageFailed, match="No space left on device"):
        cached(str(tmp_path), "entry", TARGETS, 8, fill)
    assert list(tmp_path.iterdir()) == []


def test_where_the_cache_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_folder() == tmp_path / "contsemi"
    for value in ("", "relative/path"):
        monkeypatch.setenv("XDG_CACHE_HOME", value)
        assert default_folder() == Path.home() / ".cache" / "contsemi"


def test_keys() -> None:
    assert key("a", 1, [("x", (1, 2))]) == key("a", 1, [("x", (1, 2))])
    assert len({key("a"), key("a", None), key("b"), key("a", 1), key("\udcff")}) == 5
