"""JSON and YAML hold plain values only, and give them back."""

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from contsemi.metrics.matrix import Undefined
from contsemi.records.plain import from_yaml, plain, to_json, to_yaml

LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
)
LEAVES |= st.text()
VALUES = st.recursive(LEAVES, lambda v: st.lists(v) | st.dictionaries(st.text(), v), max_leaves=12)


@given(VALUES)
def test_json_round_trip(value):
    assert json.loads(to_json(value)) == value


@pytest.mark.parametrize(
    "value", [1e-5, 1e22, "1e-5", "0.8%", "null", "Bär", "\udce9", "a: b #c", "", [], {"on": "no"}]
)
def test_yaml_round_trip(value):
    """What YAML likes to take for something else."""
    assert yaml.safe_load(to_yaml({"key": value})) == {"key": value}


def test_what_is_no_number_becomes_null():
    value = {"a": float("nan"), "b": [np.inf, np.float32(0.5)], "c": Undefined("one task")}
    assert json.loads(to_json(value)) == {"a": None, "b": [None, 0.5], "c": None}


def test_foreign_kinds():
    value = {1: (np.arange(2), Path("a/b"))}
    assert plain(value) == {"1": [[0, 1], "a/b"]}
    with pytest.raises(TypeError, match="object"):
        plain({"a": object()})


@pytest.mark.parametrize("text", ["a: 1\nb: 2\na: 3\n", "c: {a: 1, a: 1}", "[{1: 0, 0x1: 0}]"])
def test_a_key_that_stands_there_twice_is_refused(text):
    with pytest.raises(yaml.YAMLError, match=r"(a|1) stands there twice|a key stands there twice"):
        from_yaml(text)


def test_keys_keep_their_order():
    assert to_yaml({"b": 1, "a": 2}) == b"b: 1\na: 2\n"
    assert to_json({"b": 1, "a": 2}, indent=None) == b'{"b": 1, "a": 2}\n'
