"""The page on forgetting names every number that a run writes, and its keys exist."""

import re
from pathlib import Path

import numpy as np

from contsemi.config import Evaluate
from contsemi.metrics.stability import TRAJECTORY_METRICS
from contsemi.metrics.summary import summarise

TEXT = (Path(__file__).parents[2] / "docs" / "forgetting.md").read_text(encoding="utf-8")


def test_every_number_is_explained():
    rows = set(re.findall(r"`([a-z_0-9]+)`", "\n".join(re.findall(r"(?m)^\|.*$", TEXT))))
    assert {*summarise(np.eye(2), [1, 1]), *TRAJECTORY_METRICS} <= rows


def test_keys_exist():
    assert set(re.findall(r"`?evaluate\.(\w+)", TEXT)) == set(Evaluate.model_fields)


def test_modules_exist():
    for name in re.findall(r"`(\w+_probe|forward_transfer|pseudo_labels)`", TEXT):
        assert __import__(f"contsemi.metrics.{name}")
