"""The page of all keys is what its script makes of the schema, the YAML files and the code."""

import importlib.util
import re
from pathlib import Path

import pytest
import yaml

from contsemi.compose import files, schema
from contsemi.discovery import ROOMS, SEVERAL

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def script():
    file = ROOT / "scripts" / "configuration_page.py"
    spec = importlib.util.spec_from_file_location("configuration_page", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.thorough
def test_the_page_is_up_to_date(script):
    there = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    assert there == script.page(), "python scripts/configuration_page.py writes it anew"


@pytest.mark.thorough
def test_every_key_has_its_row(script):
    rows = re.findall(r"(?m)^\| `([\w.]+)` \|.*\| \S.* \|$", script.page())
    keys = {key for key, _, section in schema.fields() if not section}
    for group in ROOMS:
        for file in (ROOT / "conf" / group.replace(".", "/")).glob("*.yaml"):
            values = yaml.safe_load(file.read_text(encoding="utf-8"))
            values.pop("ranges", None)
            prefix = f"{group}.{file.stem}" if group in SEVERAL else group
            keys |= {f"{prefix}.{k}" for k, _ in files.keys(values) if k != "name"}
    assert keys == set(rows)


def test_every_number_and_word_has_a_range():
    """Ours alone: others may leave out what needs none."""
    for group in ROOMS:
        for name in files.names(group):
            values, ranges, where = files.declared(group, name)
            free = {k for k, v in values.items() if isinstance(v, bool)} | {"name", "weights"}
            free |= {k for k, v in values.items() if v == [] and k not in ranges}  # of any kind
            free |= {"arch", "file"}  # of any words
            assert values.keys() - free == ranges.keys() - {"weights"}, where


def test_comments_of_fields_are_read(script):
    source = '''
class Method:
    """One.

    Args:
        first: of the
            first kind.
    """

    # Above it,
    # in two lines.
    second: int
    third: int  # beside
    fourth: int = field(default=0)
'''
    assert script.meanings_in(source) == {
        "first": "of the first kind",
        "second": "Above it, in two lines",
        "third": "beside",
    }


def test_sentences(script):
    assert script.sentence("vote_temperature", "of it", "") == "vote temperature of it"
    assert script.sentence("ramp", "Share of a task", "short") == "share of a task (short)"
    assert script.sentence("ramp", "EMA network", "") == "EMA network"
    assert script.sentence("variant", "a, b", "a, b (or c)") == "a, b (or c)"
