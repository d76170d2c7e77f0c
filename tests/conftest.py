"""What tests of several rooms share."""

import os
from pathlib import Path

import pytest
import torch


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    """Tests run side by side; one thread each is fastest, and keeps sums in one order."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def cifar100_root():
    """Folder of the real CIFAR-100 in parquet files; skips where there is none."""
    root = Path(__file__).parents[1]
    places = [os.environ.get("CONTSEMI_CIFAR100"), root.parent / "shared" / "data" / "cifar100"]
    for place in places:
        if place and Path(place, "data").is_dir():
            return Path(place)
    pytest.skip("no CIFAR-100 here: set CONTSEMI_CIFAR100 to a folder of its parquet files")
