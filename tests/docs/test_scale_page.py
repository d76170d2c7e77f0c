"""The page of scales is what its script makes of configuration and code; figures by hand."""

import importlib.util
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def page():
    file = ROOT / "scripts" / "scale_page.py"
    spec = importlib.util.spec_from_file_location("scale_page", file)
    module = importlib.util.module_from_spec(spec)
    sys.modules["scale_page"] = module  # which dataclasses ask for
    spec.loader.exec_module(module)
    return module.page()


def test_the_page_is_up_to_date(page):
    there = (ROOT / "docs" / "scale.md").read_text(encoding="utf-8")
    assert there == page, "python scripts/scale_page.py writes it anew"


def test_figures_by_hand(page):
    """Of what a reader would work out first."""
    rows = re.findall(r"(?m)^\| ([^|]+) \| [^|]+ \| ([^|]+) \| [^|]+ \|$", page)
    found = dict(reversed(rows))
    assert found["images as an array, on disk"] == "252 GB"  # 1,281,167 times 196,608
    assert found["supports, task 100"] == "6,000"
    assert found["a row of the memory"] == "302 B"  # 256 + 30 + 16
    assert found["rows, 10⁸"] == "30.2 GB"
    assert found["index as `sq8`, 10⁸"] == "14 GB"
    assert found["images only looked at"] == "5,087,334"  # 2,562,334 and 500 (1 + ... + 100)
    assert found["of gradients"] == "44.7 MB"  # 11.18 million weights of a ResNet-18
