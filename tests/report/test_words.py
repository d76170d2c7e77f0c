"""Numbers as people read them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contsemi.report.words import duration, one_line, percent, rate, size


@pytest.mark.parametrize(
    ("fraction", "text"),
    [
        (0.986, "98.6"),
        (1.0, "100"),
        (0.9996, "100"),
        (0, "0.0"),
        (-1e-9, "0.0"),
        (-0.05, "-5.0"),
        (None, "-"),
        (float("nan"), "-"),
    ],
)
def test_percent(fraction, text):
    assert percent(fraction) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.25, "0.2 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (754, "12 min 34 s"),
        (3599.7, "1 h 00 min"),
        (90_000, "1 d 1 h"),
        (float("inf"), "-"),
    ],
)
def test_duration(seconds, text):
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (2**50, "1024.0 TiB")]
)
def test_size(count, text):
    assert size(count) == text


def test_rate():
    assert rate(2345.6) == "2,346 images/s"
    assert rate(7.25) == "7.2 images/s"
    assert rate(float("nan")) == "- images/s"


@given(st.text())
def test_one_line_moves_no_cursor(text):
    """No escape sequence of a class name reaches a terminal."""
    assert one_line(text).isprintable() or not any(
        ord(c) < 32 or c == "\x7f" for c in one_line(text)
    )
    assert "\n" not in one_line(text)


def test_one_line_by_hand():
    assert one_line("a\x1b[31m\n\tb") == "a?[31m b"
