from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from contsemi.config import Views

POLICIES = Path(__file__).resolve().parents[2] / "conf" / "views"


@pytest.fixture(scope="session")
def policy() -> Callable[..., Views]:
    """A policy of conf/views/, with some keys of all its crops changed."""

    def load(name: str, **crop: Any) -> Views:
        values = yaml.safe_load((POLICIES / f"{name}.yaml").read_text())
        for kind, policy in values["policies"].items():
            values["policies"][kind] = policy | crop
        return Views.model_validate(values)

    return load


@pytest.fixture(scope="session")
def photographs() -> torch.Tensor:
    """Uint8 [12, 3, 32, 32]: smooth colours with edges, noise, saturated and grey pixels."""
    generator = torch.Generator().manual_seed(7)
    coarse = torch.rand((12, 3, 5, 5), generator=generator)
    images = torch.nn.functional.interpolate(coarse, size=32, mode="bicubic")
    images[3] = torch.rand((3, 32, 32), generator=generator)
    images[4] = images[4, :1]
    images[5] = 0.37
    images[6:8, :, 8:20, 4:28] = images[6:8].round()[:, :, 8:20, 4:28]
    return (images.clamp(0, 1) * 255).round().byte()


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)
