import re
import subprocess
import sys
import time
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contsemi.errors import InputError
from contsemi.labels import LabelBudget


@pytest.mark.parametrize(
    "value",
    ["0.8%", 0.008, "0.008", "8e-3", ".8%", "0.8 %", " 0.80% ", "1/125", "+.8%", Fraction(1, 125)],
)
def test_all_ways_to_write_a_share_mean_the_same(value: object) -> None:
    budget = LabelBudget.parse(value)
    assert budget == LabelBudget(ratio=Fraction(1, 125))
    assert hash(budget) == hash(LabelBudget.parse("0.8%"))
    assert str(budget) == "0.8%"
    assert budget.count(500) == 4


@pytest.mark.parametrize(
    ("value", "canonical"),
    [
        (1, "100%"),
        (1.0, "100%"),
        ("100%", "100%"),
        ("1%", "1%"),
        ("1/3", "1/3"),
        (0.1 + 0.2, "30.000000000000004%"),
        ("4/class", "4/class"),
        ("4 / class", "4/class"),
        (np.float64(0.25), "25%"),
        (np.int64(1), "100%"),
        (["0.8%", 0.05, "4/class"], "[0.8%, 5%, 4/class]"),
        (["100%", "0%", 0, "0/class", 0.0], "[100%, 0%, 0%, 0%, 0%]"),
        ("[0.8%, 0.05, 4/class]", "[0.8%, 5%, 4/class]"),
    ],
)
def test_canonical_form(value: object, canonical: str) -> None:
    assert str(LabelBudget.parse(value)) == canonical
    assert str(LabelBudget.parse(canonical)) == canonical


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("-1", "label_ratio: -1 must be above 0;"),
        (-5, "label_ratio: -5 must be above 0;"),
        ("-5%", "label_ratio: -5% must be above 0;"),
        (0, "label_ratio: 0 must be above 0;"),
        ("0%", "label_ratio: 0% must be above 0;"),
        ("0/class", "label_ratio: 0/class must be above 0;"),
        ("200%", "label_ratio: 200% is above 100%; give at most 100%"),
        (1.5, "label_ratio: 1.5 is above 100%; did you mean 1.5%?"),
        ("5", "label_ratio: 5 is above 100%; did you mean 5%?"),
        (5, "label_ratio: 5 is above 100%; did you mean 5%?"),
        (10, "label_ratio: 10 is above 100%; did you mean 10%?"),  # Hydra's reading of 1_0
        (101, "label_ratio: 101 is above 100%; give at most 100%"),
        ("5/4", "label_ratio: 5/4 is above 100%; give at most 100%"),
        (float("nan"), "label_ratio: nan must be a finite number;"),
        (float("-inf"), "label_ratio: -inf must be a finite number;"),
        ("inf", "label_ratio: inf must be a finite number;"),
        ("", "label_ratio: is empty;"),
        ("  ", "label_ratio: is empty;"),
        (None, "label_ratio: is required;"),
        (True, "label_ratio: is a truth value, not a number;"),
        ({"a": 1}, "label_ratio: is a mapping, not a number;"),
        (b"1%", "label_ratio: is bytes, not a number;"),
        ([], "label_ratio: the list is empty;"),
        (["0%", 0], "label_ratio: no task has a label;"),
        (["100%", "-0%"], "label_ratio[1]: -0% must be above 0;"),
        (["1%", ["2%"]], "label_ratio[1]: is a list inside a list;"),
        (["1%", "200%"], "label_ratio[1]: 200% is above 100%;"),
        ("0,8%", "label_ratio: 0,8% has a comma; use a point: 0.8%"),
        ("0.8%,5%", "label_ratio: 0.8%,5% is two values; add --multirun to sweep"),
        ("1_0", "label_ratio: 1_0 is not a number"),
        ("1/0", "label_ratio: 1/0 divides by 0;"),
        ("1.5/class", "label_ratio: 1.5/class is not a whole number of labels;"),
        ("1e400", "label_ratio: 1e400 has an exponent out of range;"),
        ("1e-400", "label_ratio: 1e-400 has an exponent out of range;"),
        (1e-300, "label_ratio: 1e-300 has an exponent out of range;"),
        ("9" * 400, f"label_ratio: {'9' * 40}... is too long (400 characters);"),
        (int("9" * 400), f"label_ratio: {'9' * 40}... is too long (400 characters);"),
        pytest.param(10**6000, "label_ratio: is far above 100%;", id="huge"),
        *[
            (text, f"label_ratio: {text} is not a number, a percentage or N/class;")
            for text in ("0.8%%", "%", "%5", "5 percent", "0.8‰", "0x1", "4/klass", "٣%", "1e")
        ],
    ],
)
def test_what_is_refused(value: object, message: str) -> None:
    started = time.process_time()
    with pytest.raises(InputError) as caught:
        LabelBudget.parse(value)
    assert time.process_time() - started < 1  # huge exponents and integers must not be expanded
    text = str(caught.value)
    assert text.startswith(message)
    assert "\n" not in text
    assert len(text) < 250


def test_a_list_needs_one_value_per_task() -> None:
    with pytest.raises(InputError, match="label_ratio: 5 tasks, 1 value;"):
        LabelBudget.parse(["0.8%"]).for_tasks(5)
    with pytest.raises(InputError, match="label_ratio: 1 task, 2 values;"):
        LabelBudget.parse(["0.8%", "1%"]).for_tasks(1)
    one = LabelBudget.parse("5%")
    assert one.for_tasks(3) == (one, one, one)
    assert LabelBudget.parse(["5%", "4/class"]).for_tasks(2)[1].count(100) == 4
    with pytest.raises(ValueError, match="per task"):
        LabelBudget.parse(["5%"]).count(10)


@settings(deadline=None)
@given(st.fractions(min_value=0, max_value=1, max_denominator=10**9), st.integers(0, 10**9))
def test_shares_are_exact_and_round_trip(ratio: Fraction, images: int) -> None:
    if ratio == 0:
        return
    budget = LabelBudget.parse(f"{ratio.numerator}/{ratio.denominator}")
    assert budget.ratio == ratio
    assert LabelBudget.parse(str(budget)) == budget
    assert budget.count(images) == ratio.numerator * images // ratio.denominator


@settings(deadline=None)
@given(st.floats(min_value=1e-20, max_value=1))
def test_floats_mean_what_they_print(value: float) -> None:
    assert LabelBudget.parse(value) == LabelBudget.parse(repr(value))
    assert LabelBudget.parse(str(LabelBudget.parse(value))) == LabelBudget.parse(value)


@settings(deadline=None)
@given(st.text(max_size=60))
def test_any_text_is_read_or_refused_in_one_line(text: str) -> None:
    try:
        budget = LabelBudget.parse(text)
    except InputError as error:
        assert re.match(r"label_ratio(\[\d+\])?: ", str(error))
        assert len(str(error).splitlines()) == 1
    else:
        assert LabelBudget.parse(str(budget)) == budget


def test_labels_import_neither_torch_nor_sklearn() -> None:
    code = (
        "import sys, contsemi.labels; print([m for m in ('torch', 'sklearn') if m in sys.modules])"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert answer.stdout.strip() == "[]"
