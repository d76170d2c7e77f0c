"""The examples in the docstrings of the pure rooms say what happens."""

import doctest
import importlib
from pathlib import Path

import numpy as np
import pytest
import torch

PACKAGE = Path(__file__).resolve().parents[1] / "contsemi"
MODULES = [
    ".".join(file.relative_to(PACKAGE.parent).with_suffix("").parts)
    for room in ("losses", "assign", "metrics")
    for file in sorted((PACKAGE / room).glob("*.py"))
    if ">>> " in file.read_text(encoding="utf-8")
]


@pytest.mark.parametrize("name", MODULES)
def test_examples_of_a_module(name: str) -> None:
    module = importlib.import_module(name)
    found = doctest.testmod(
        module, globs=vars(module) | {"torch": torch, "np": np}, optionflags=doctest.ELLIPSIS
    )
    assert found.attempted
    assert not found.failed
