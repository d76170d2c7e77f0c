"""Checkpoints: round trip, two generations, and every damage found before use."""

import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from contsemi.engine.checkpoint import Checkpoints
from contsemi.errors import Diverged, StateDamaged, StorageFailed

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
    with pytest.raises(StateDamaged, match=r"MANIFEST.json: cannot be read; .*resume=never"):
        Checkpoints(tmp_path).load()


def test_a_manifest_cannot_point_outside(tmp_path):
    checkpoints = Checkpoints(tmp_path / "run")
    checkpoints.save(STATE, {})
    (tmp_path / "state-000000.safetensors").write_bytes(
        (tmp_path / "run" / "state-000000.safetensors").read_bytes()
    )
    manifest = json.loads(checkpoints.manifest.read_text())
    manifest["generations"][0]["file"] = "../state-000000.safetensors"
    checkpoints.manifest.write_text(json.dumps(manifest))
    with pytest.raises(StateDamaged, match="outside its folder"):
        checkpoints.load()


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


def test_what_a_kill_left_half_written_goes_with_the_next_state(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    (tmp_path / ".state-000000.safetensors.123.tmp").write_bytes(b"half")
    checkpoints.save(STATE, {})
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"MANIFEST.json", "state-000000.safetensors"}


def test_a_state_that_is_not_finite_is_not_saved(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(STATE, {"task": 0})
    with pytest.raises(Diverged, match=r"deep\.a\.b is not finite and was not saved"):
        checkpoints.save({"deep": {"a": {"b": torch.tensor([1.0, torch.inf])}}}, {"task": 1})
    assert checkpoints.load()[1] == {"task": 0}
