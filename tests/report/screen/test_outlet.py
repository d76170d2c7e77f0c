"""Writing to the screen never ends a run."""

import io
import os

import pytest

from contsemi.report.screen.outlet import outlet


def test_a_closed_pipe_silences():
    reading, writing = os.pipe()
    os.close(reading)
    stream = os.fdopen(writing, "w")
    screen = outlet(stream)
    for _ in range(3):
        screen.write("text\n" * 10_000)
        screen.flush()
    assert screen.silent
    stream.close()


def test_a_closed_file_silences():
    stream = io.StringIO()
    screen = outlet(stream)
    screen.write("a")
    assert stream.getvalue() == "a"
    stream.close()
    assert not screen.isatty()
    screen.write("b")
    screen.flush()
    assert screen.silent


def test_a_full_disk_silences():
    with open("/dev/full", "w") as stream:  # noqa: PTH123
        screen = outlet(stream)
        screen.write("text")
        screen.flush()
        assert screen.silent


@pytest.mark.parametrize(
    ("encoding", "shown"),
    [("utf-8", "a · ± … 类 Bär"), ("ascii", "a - +/- ... ? B?r"), ("latin-1", "a - +/- ... ? Bär")],
)
def test_encodings(encoding, shown):
    raw = io.BytesIO()
    screen = outlet(io.TextIOWrapper(raw, encoding=encoding))
    screen.write("a · ± … 类 Bär")
    screen.flush()
    assert raw.getvalue().decode(encoding) == shown
