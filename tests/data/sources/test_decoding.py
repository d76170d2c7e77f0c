import multiprocessing
import os
import signal
from collections.abc import Iterator
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import numpy as np
import pytest

from contsemi.data.sources import decoding
from contsemi.errors import InputError


def ppm(value: int) -> bytes:
    return b"P6 2 2 255\n" + bytes([value] * 12)


def test_images_are_written_behind_the_offset(tmp_path: Path) -> None:
    file = tmp_path / "array"
    file.write_bytes(b"head")
    items = [ppm(n) if n % 50 else b"no image" for n in range(150)]
    failures = decoding.decode_into(
        file, 4, iter(items), total=150, size=2, num_bytes=10, workers=4, title="test"
    )
    assert [number for number, _ in failures] == [0, 50, 100]
    content = file.read_bytes()
    assert content[:4] == b"head"
    pixels = np.frombuffer(content[4:], np.uint8).reshape(150, 3, 2, 2)
    expected = np.where(np.arange(150) % 50, np.arange(150), 0)
    np.testing.assert_array_equal(
        pixels, np.broadcast_to(expected[:, None, None, None], pixels.shape)
    )


def test_a_process_that_dies_is_reported() -> None:
    job: Future[list[decoding.Failure]] = Future()
    job.set_exception(BrokenProcessPool())
    with pytest.raises(
        InputError, match=r"a decoding process died at images 64 to 127; set data\."
    ):
        decoding._finish(64, 64, job, lambda images: pytest.fail("advanced"))


def test_ctrl_c_ends_the_processes_and_they_say_nothing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """A terminal sends it to all of them; the parent alone answers, and waits for nobody."""
    file = tmp_path / "array"
    file.touch()

    def images() -> Iterator[bytes]:
        yield from [ppm(1)] * 64
        for number in range(64):
            if not number:
                for child in multiprocessing.active_children():
                    os.kill(child.pid or 0, signal.SIGINT)
            yield ppm(2)
        assert all(child.is_alive() for child in multiprocessing.active_children())
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        decoding.decode_into(
            file, 0, images(), total=200, size=2, num_bytes=2**30, workers=2, title="test"
        )
    assert not multiprocessing.active_children()
    assert capfd.readouterr().err == ""
