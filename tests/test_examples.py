"""Every public function of the pure rooms has an example of one to three lines that is true."""

import ast
import doctest
import importlib
from pathlib import Path

import numpy as np
import pytest
import torch

PACKAGE = Path(__file__).resolve().parents[1] / "contsemi"
ROOMS = ("losses", "assign", "metrics")
FILES = [file for room in ROOMS for file in (PACKAGE / room).rglob("*.py")]
MODULES = {".".join(f.relative_to(PACKAGE.parent).with_suffix("").parts): f for f in sorted(FILES)}


def without_example(source: str) -> list[str]:
    """Names of the public functions whose docstring has no example of one to three lines."""
    functions = [each for each in ast.parse(source).body if isinstance(each, ast.FunctionDef)]
    examples = {
        each.name: doctest.DocTestParser().get_examples(ast.get_docstring(each) or "")
        for each in functions
        if not each.name.startswith("_")
    }
    lines = {name: sum(each.source.count("\n") for each in of) for name, of in examples.items()}
    return [name for name, count in lines.items() if not 1 <= count <= 3]


@pytest.mark.parametrize("name", MODULES)
def test_examples_of_a_module(name: str) -> None:
    assert without_example(MODULES[name].read_text(encoding="utf-8")) == []
    module = importlib.import_module(name)
    names = vars(module) | {"torch": torch, "np": np}
    assert not doctest.testmod(module, globs=names, optionflags=doctest.ELLIPSIS).failed


def test_a_function_without_an_example_is_found() -> None:
    none = 'def f():\n    """Nothing."""\n'
    four = 'def g():\n    """Much.\n\n' + "    >>> 1\n    1\n" * 4 + '    """\n'
    one = 'def h():\n    """One.\n\n    >>> 1\n    1\n    """\n'
    assert without_example(none + four + one + "def _private():\n    pass\n") == ["f", "g"]
