import os
import signal
import subprocess
import sys
import time

import pytest

from contsemi.stores.threads import Threads

READS_FOR_EVER = """
import threading, time
from contsemi.stores.threads import Threads

threads = Threads(2)
for _ in range(50):
    threads.do(lambda: time.sleep(60))
print("reading", flush=True)
try:
    threads.do(lambda: None).result()
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


def test_ctrl_c_ends_at_once_whatever_is_read():
    command = [sys.executable, "-c", READS_FOR_EVER]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout.readline() == "reading\n"
        time.sleep(0.2)
        child.send_signal(signal.SIGINT)
        assert child.wait(timeout=30) == 0  # not after minutes
        assert child.stdout.read() == "interrupted\n"


def test_work_is_done_and_errors_are_kept_for_who_asks():
    threads, found = Threads(2), []
    futures = [threads.do(lambda n=n: found.append(n)) for n in range(20)]
    for future in futures:
        future.result(timeout=60)
    assert sorted(found) == list(range(20))
    with pytest.raises(ZeroDivisionError):
        threads.do(lambda: 1 / 0).result(timeout=60)


def test_a_forked_process_has_threads_of_its_own():
    threads = Threads(1)
    threads.do(lambda: None).result(timeout=60)
    child = os.fork()
    if not child:
        try:
            threads.do(lambda: None).result(timeout=60)
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
