"""Every key that there is has a reader: none is stored and forgotten."""

import ast
from pathlib import Path

import pytest

import contsemi
from contsemi.compose import files, schema
from contsemi.discovery import ROOMS, Part, find_class

ROOT = Path(contsemi.__file__).parent
FRONT = ROOT / "config"


@pytest.fixture(scope="module")
def read():
    """Names that code outside of the schema looks up: attributes, and texts in brackets."""
    found = set()
    for file in ROOT.rglob("*.py"):
        if file.is_relative_to(FRONT):
            continue
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
                found.add(node.attr)
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.add(node.value)
    return found


@pytest.mark.parametrize("key", [path for path, _, section in schema.fields() if not section])
def test_a_key_of_a_run_is_read(key, read):
    assert key.rpartition(".")[2] in read


@pytest.mark.parametrize("group", [group for group in ROOMS if group not in ("model", "baseline")])
def test_the_keys_of_a_part_are_read_in_its_own_file_or_in_what_it_extends(group):
    """Of backbones the keys are arguments of a function: Python says so of those it lacks."""
    for name in files.names(group):
        if name == "none" and group == "objective":
            continue  # a baseline's, of which nothing is made
        part = find_class(ROOMS[group], name, Part)
        values, _, _ = files.declared(group, name)
        own = set()
        for each in part.__mro__:
            if not each.__module__.startswith("contsemi."):
                continue
            file = ROOT / Path(*each.__module__.split(".")[1:]).with_suffix(".py")
            if file.is_file():
                own |= {
                    node.attr
                    for node in ast.walk(ast.parse(file.read_text("utf-8")))
                    if isinstance(node, ast.Attribute)
                }
        unread = {key for key in values if key not in ("name", "weights")} - own
        assert not unread, (group, name)
