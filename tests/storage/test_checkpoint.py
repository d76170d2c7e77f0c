"""Checkpoints: round trip, two generations, and every damage found before use."""

import hashlib
import json
import os

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from contsemi.errors import Diverged, StateDamaged, StorageFailed
from contsemi.storage.checkpoint import Checkpoints, _canonical

STATE = {
    "network": {"w": torch.arange(6.0).view(2, 3)},
    "empty": {},
    "deep": {"a": {"b": torch.ones(1)}},
}


def test_round_trip(tmp_path):
    checkpoints = Checkpoints(tmp_path / "new")
    assert checkpoints.load() is None
    checkpoints.save(STATE, {"task": 1, "place": None})
    state, record = checkpoints.load()
    assert torch.equal(state["network"]["w"], STATE["network"]["w"])
    assert torch.equal(state["deep"]["a"]["b"], torch.ones(1))
    assert record == {"task": 1, "place": None}


def test_two_generations_are_kept_and_no_more(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    for task in range(5):
        checkpoints.save(STATE, {"task": task})
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "MANIFEST.json",
        "state-000003.safetensors",
        "state-000004.safetensors",
    ]
    (tmp_path / "state-000004.safetensors").write_bytes(b"")
    assert checkpoints.load()[1] == {"task": 3}


@settings(max_examples=60, deadline=None)
@given(position=st.integers(0, 10**6), bit=st.integers(0, 7), cut=st.booleans())
def test_every_flipped_bit_and_every_cut_is_found(position, bit, cut, tmp_path_factory):
    folder = tmp_path_factory.mktemp("state")
    checkpoints = Checkpoints(folder)
    checkpoints.save(STATE, {"task": 0})
    path = folder / "state-000000.safetensors"
    content = bytearray(path.read_bytes())
    position %= len(content)
    if cut:
        content = content[:position]
    else:
        content[position] ^= 1 << bit
    path.write_bytes(content)
    with pytest.raises(StateDamaged, match="no saved state is whole"):
        checkpoints.load()


@pytest.mark.parametrize(
    "text", ["", "[", "[]", "{}", '{"generations": 1}', '{"generations": [{}]}', "\x00"]
)
def test_a_broken_manifest_is_said(text, tmp_path):
    (tmp_path / "MANIFEST.json").write_text(text)
    with pytest.raises(StateDamaged, match=r"MANIFEST.json: cannot be used .*; .*resume=never"):
        Checkpoints(tmp_path).load()


def rewritten(checkpoints, change):
    """A manifest that somebody changed, and whose digests fit again."""
    body = json.loads(checkpoints.manifest.read_text())["body"]
    change(body)
    digest = hashlib.sha256(_canonical(body)).hexdigest()
    checkpoints.manifest.write_bytes(_canonical({"body": body, "sha256": digest}))


@pytest.mark.parametrize(
    "name",
    ["../state-000000.safetensors", "/etc/passwd", "state-000001.safetensors", "a", "", "."],
)
def test_a_manifest_cannot_point_elsewhere(name, tmp_path):
    checkpoints = Checkpoints(tmp_path / "run")
    checkpoints.save(STATE, {})
    (tmp_path / "state-000000.safetensors").write_bytes(
        (tmp_path / "run" / "state-000000.safetensors").read_bytes()
    )
    rewritten(checkpoints, lambda body: body["generations"][0].update(file=name))
    with pytest.raises(StateDamaged, match="names the file"):
        checkpoints.load()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda body: body.update(format=2), "format 2, this version reads 3"),
        (lambda body: body.update(run="other"), "belongs to another run"),
        (lambda body: body["generations"][0].update(size="1"), "another type"),
        (lambda body: body["generations"][0].update(number=True), "another type"),
        (lambda body: body["generations"][0].pop("record"), "lacks a key"),
        (lambda body: body.update(generations={"a": 1}), "cannot be used"),
        (lambda body: body.pop("run"), "cannot be used"),
    ],
)
def test_a_manifest_with_fitting_digests_is_not_believed_everything(change, said, tmp_path):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(STATE, {})
    rewritten(checkpoints, change)
    with pytest.raises(StateDamaged, match=said):
        checkpoints.load()


def test_a_manifest_written_in_another_way_is_not_ours(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(STATE, {})
    checkpoints.manifest.write_text(json.dumps(json.loads(checkpoints.manifest.read_text())))
    with pytest.raises(StateDamaged, match="not written as ours"):
        checkpoints.load()


def test_a_lost_manifest_is_said_and_nothing_removed(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(STATE, {})
    checkpoints.manifest.unlink()
    assert Checkpoints(tmp_path).load() is None  # as a kill in the very first save leaves it
    checkpoints.save(STATE, {})
    checkpoints.manifest.unlink()
    with pytest.raises(StateDamaged, match=r"MANIFEST\.json: is missing"):
        checkpoints.load()
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("put", ["link", "pipe", "folder", "longer"])
@pytest.mark.parametrize("name", ["MANIFEST.json", "state-000000.safetensors"])
def test_only_plain_files_are_read(put, name, tmp_path):
    checkpoints = Checkpoints(tmp_path / "run")
    checkpoints.save(STATE, {})
    path = tmp_path / "run" / name
    content = path.read_bytes()
    path.unlink()
    (tmp_path / "copy").write_bytes(content)
    {
        "link": lambda: path.symlink_to(tmp_path / "copy"),
        "pipe": lambda: os.mkfifo(path),
        "folder": path.mkdir,
        "longer": lambda: path.write_bytes(content + b" "),
    }[put]()
    with pytest.raises(StateDamaged, match=name):
        checkpoints.load()


def test_a_linked_folder_is_not_read(tmp_path):
    Checkpoints(tmp_path / "there").save(STATE, {})
    (tmp_path / "here").symlink_to(tmp_path / "there")
    with pytest.raises(StateDamaged):
        Checkpoints(tmp_path / "here").load()


def test_a_record_is_amended_without_its_tensors(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    with pytest.raises(RuntimeError):
        checkpoints.amend({})
    for task in range(2):
        checkpoints.save(STATE, {"task": task})
    states = {path: path.stat() for path in tmp_path.glob("state-*")}
    checkpoints.amend({"task": 7})
    assert {path: path.stat() for path in tmp_path.glob("state-*")} == states
    assert checkpoints.load()[1] == {"task": 7}
    (tmp_path / "state-000001.safetensors").write_bytes(b"")
    assert checkpoints.load()[1] == {"task": 0}
    assert "state-000001.safetensors: its bytes" in checkpoints.passed_over[0]


def test_what_a_kill_left_behind_is_swept(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.sweep()
    checkpoints.save(STATE, {})
    (tmp_path / "state-000007.safetensors").touch()
    (tmp_path / "notes.safetensors").touch()
    checkpoints.sweep()
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"MANIFEST.json", "state-000000.safetensors", "notes.safetensors"}


def test_a_record_that_does_not_fit_is_passed_over(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    for task in range(2):
        checkpoints.save(STATE, {"task": task})
    assert checkpoints.load(lambda record: "late" if record["task"] else "")[1] == {"task": 0}
    assert checkpoints.passed_over == ["state-000001.safetensors: late"]
    with pytest.raises(StateDamaged, match=r"late.*late"):
        checkpoints.load(lambda record: "late")


def test_a_folder_that_was_removed_is_not_made_again(tmp_path):
    checkpoints = Checkpoints(tmp_path / "gone" / "checkpoints")
    with pytest.raises(StorageFailed):
        checkpoints.save(STATE, {})
    assert not (tmp_path / "gone").exists()


def test_a_failed_save_keeps_the_last_state(tmp_path, monkeypatch):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(STATE, {"task": 0})

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(StorageFailed, match="No space left"):
        checkpoints.save(STATE, {"task": 1})
    assert checkpoints.load()[1] == {"task": 0}


def test_a_new_run_forgets_the_old_states(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(STATE, {})
    checkpoints.clear()
    assert checkpoints.load() is None
    assert list(tmp_path.iterdir()) == []


def test_a_state_that_is_not_finite_is_not_saved(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(STATE, {"task": 0})
    with pytest.raises(Diverged, match=r"deep\.a\.b is not finite and was not saved"):
        checkpoints.save({"deep": {"a": {"b": torch.tensor([1.0, torch.inf])}}}, {"task": 1})
    assert checkpoints.load()[1] == {"task": 0}
