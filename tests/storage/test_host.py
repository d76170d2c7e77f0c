"""Memory that is free, as the system and this process's own limit say."""

import resource
import subprocess
import sys

import pytest

from contsemi.errors import InputError
from contsemi.storage.host import free_bytes, gigabytes, refuse_too_much

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")


@LINUX
def test_it_is_less_than_the_machine_has():
    import os

    whole = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert 0 < free_bytes() < whole


@LINUX
def test_a_limit_of_the_process_counts():
    most = 600 * 2**20
    done = subprocess.run(
        [sys.executable, "-c", "from contsemi.storage.host import free_bytes; print(free_bytes())"],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (most, most)),
        capture_output=True,
        text=True,
        check=True,
    )
    assert 0 < int(done.stdout) < most


def test_what_does_not_fit_names_the_key_and_both_numbers():
    with pytest.raises(InputError) as error:
        refuse_too_much(2 * 10**12, "data.size=4096", "images", "lower it", lambda: 3 * 10**9)
    said = str(error.value)
    assert said == (
        "data.size=4096: images asks for about 2 TB of memory, and 3 GB are free on this machine; "
        "lower it"
    )
    refuse_too_much(10**9, "data.size", "images", "lower it", lambda: 3 * 10**9)
    refuse_too_much(10**15, "data.size", "images", "lower it", lambda: None)  # it cannot be known


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0 GB"), (5 * 10**8, "0.5 GB"), (1.5e12, "1.5 TB")]
)
def test_bytes_are_readable(number, text):
    assert gigabytes(number) == text
