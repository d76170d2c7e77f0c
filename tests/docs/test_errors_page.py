"""``docs/errors.md`` says what the source says."""

import ast
import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SPEC = importlib.util.spec_from_file_location("error_table", ROOT / "scripts" / "error_table.py")
table = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(table)


@pytest.mark.thorough
def test_the_page_is_up_to_date() -> None:
    page = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
    assert page == table.page(), "run: python scripts/error_table.py > docs/errors.md"


@pytest.mark.thorough
def test_every_error_that_is_made_is_found() -> None:
    """A plain search for the names finds no error in a function that the page does not know."""
    for file in sorted((ROOT / "contsemi").rglob("*.py")):
        text = file.read_text(encoding="utf-8")
        made = {
            node.lineno
            for node in ast.walk(ast.parse(text))
            if isinstance(node, ast.Call)
            and ast.unparse(node.func).rpartition(".")[2] in table.CODES
            and node.args
        }
        assert bool(made) == bool(list(table.errors(text))), file


def test_the_codes_are_those_of_the_classes() -> None:
    from contsemi import errors

    found = {
        name: kind.exit_code
        for name, kind in vars(errors).items()
        if isinstance(kind, type)
        and kind.__base__ in (errors.ContsemiError, errors.InputError)
        and name not in ("Interrupted", "Elsewhere")  # their codes are given at run time
    }
    assert found | {"Interrupted": 128} == table.CODES


def test_a_text_is_the_last_one_above_the_error() -> None:
    source = """
def f():
    if a:
        problem = "is one"
        raise InputError("seed", problem, "x")
    problem = "is two"
    raise InputError("seed", problem, "x")

def made(key):
    fix = "its own"
    return InputError(key, "is made", fix)

def g():
    fix = "another's"
    raise made("seed")
"""
    found = {line for _, line in table.errors(source)}
    assert found == {"seed: is one; x", "seed: is two; x", "seed: is made; its own"}


@pytest.mark.parametrize(
    ("source", "line"),
    [
        ("raise InputError('seed', 'is required', 'write seed=1')",
         (2, "seed: is required; write seed=1")),
        ("problem = f'is {value!r}'\n    raise InputError(where, problem, fix='x')",
         (2, "<where>: is <value>; x")),
        ("raise StateDamaged(f'{path}: is gone; restore it')",
         (4, "<path>: is gone; restore it")),
    ],
)  # fmt: skip
def test_texts_are_read_off(source, line) -> None:
    assert list(table.errors(f"def f():\n    {source}\n")) == [line]


def test_a_helper_is_followed_to_its_callers() -> None:
    source = (
        "def wrong(problem, fix='mend it'):\n    return InputError('key', problem, fix)\n"
        "def f():\n    raise wrong('is odd')\n    raise wrong('is even', 'halve it')\n"
    )
    assert list(table.errors(source)) == [
        (2, "key: is odd; mend it"),
        (2, "key: is even; halve it"),
    ]
