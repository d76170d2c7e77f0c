"""Avalanche's metrics in a run of Weights & Biases that stays on this machine."""

import builtins
import json
import struct
import time

import pytest
import torch
from avalanche.evaluation.metric_results import AlternativeValues, TensorImage
from matplotlib.figure import Figure

from contsemi.errors import InputError
from contsemi.strategies import WandB


def records(log):
    """The records of a run's log: blocks of 32 KiB, as LevelDB writes them, after 7 bytes."""
    at, whole = 7, b""
    while at + 7 <= len(log):
        left = 32768 - at % 32768
        if left < 7:
            at += left
            continue
        _, length, kind = struct.unpack("<IHB", log[at : at + 7])
        if at + 7 + length > len(log):  # being written
            return
        whole += log[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # whole, or the last part
            yield whole
            whole = b""


def ended(file):
    """The records of a run that has ended: wandb's own process may write on after finish()."""
    from wandb.proto.wandb_internal_pb2 import Record

    until = time.monotonic() + 60
    while time.monotonic() < until:
        found = [Record.FromString(data) for data in records(file.read_bytes())]
        if any(record.HasField("exit") for record in found):
            return found
        time.sleep(0.1)
    raise AssertionError("wandb has not written the end of the run in 60 s")


def written(folder):
    """The history of the offline run in a folder: ``{name: [(step, value)]}``."""
    (file,) = folder.glob("wandb/offline-run-*/run-*.wandb")
    found = {}
    for record in ended(file):
        history = record.history
        for item in history.item:
            name = item.key or "/".join(item.nested_key)
            found.setdefault(name, []).append((history.step.num, json.loads(item.value_json)))
    return found


@pytest.mark.slow
def test_what_is_logged_is_in_the_run(tmp_path):
    logger = WandB(folder=tmp_path, name="first", config={"seed": 1})
    figure = Figure()
    figure.subplots().plot([0, 1])
    logger.log_single_metric("accuracy", 0.25, 3)
    logger.log_single_metric("confusion", AlternativeValues(torch.eye(2), figure), 3)
    logger.log_single_metric("samples", TensorImage(torch.rand(3, 8, 8)), 3)
    logger.log_single_metric("weights", torch.ones(4), 3)  # nothing to show
    logger.log_single_metric("accuracy", 0.5, 7)
    logger.finish()
    found = written(tmp_path)
    assert found["accuracy"] == [(3, 0.25), (7, 0.5)]
    assert "weights" not in found
    for name in ("confusion", "samples"):
        assert found[f"{name}/_type"] == [(3, "image-file")]
        ((_, path),) = found[f"{name}/path"]
        (file,) = tmp_path.glob(f"wandb/offline-run-*/files/{path}")
        assert file.stat().st_size > 0


def test_a_wrong_mode_is_named():
    with pytest.raises(InputError, match=r"WandB\(mode\): 'upload' is unknown; use offline"):
        WandB(mode="upload")


def test_a_missing_package_is_named(monkeypatch):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name == "wandb":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(InputError, match=r"pip install 'contsemi\[track\]'"):
        WandB()
