"""Trains the runs of a benchmark that are missing, side by side, each a process of its own."""

import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from contsemi.benchmark.plan import Job
from contsemi.devices.process import STARTER
from contsemi.report.words import duration
from contsemi.storage.atomic import make_folder

_OF_IMAGES = ("data.", "scenario=", "experiment=")


def train(jobs: Sequence[Job], workers: int, say: Callable[[str], None]) -> dict[Job, int]:
    """Train what is not finished; say after each run how long the rest will take.

    Args:
        jobs: all runs.
        workers: processes side by side.
        say: prints a line.

    Returns:
        The jobs that failed, and their exit codes.
    """
    waiting = [job for job in jobs if not job.finished]
    say(f"{len(jobs) - len(waiting)} of {len(jobs)} runs are finished")
    failed: dict[Job, int] = {}
    running: list[subprocess.Popen[bytes]] = []
    took: list[float] = []
    starting = threading.Lock()  # what is started is in the list before anybody ends them all
    stopped = threading.Event()
    missing: set[frozenset[str]] = set()  # images without which no run can be

    def work(job: Job) -> None:
        start = time.monotonic()
        with starting:
            if stopped.is_set():
                return
            if _images(job) in missing:
                failed[job] = 2
                return
            process = started(job.settings, job.folder)
            running.append(process)
        code = process.wait()
        took.append(time.monotonic() - start)
        told = duration(took[-1])
        if code:
            failed[job] = code if code > 0 else 128 - code  # of a signal, as a shell has it
            log = job.folder.with_suffix(".log")
            said = complaint(log)[0]
            told = f"exit code {code}: {said}; see {log}"
            if code == 2 and said.startswith("data.root"):
                missing.add(_images(job))
        left = (len(waiting) - len(took)) * sum(took) / len(took) / workers
        rest = f"; {duration(left)} left" if len(took) < len(waiting) else ""
        say(f"{job.name}: {told} ({len(took)} of {len(waiting)}{rest})")

    with ThreadPoolExecutor(workers) as pool:
        try:
            list(pool.map(work, waiting))
        except KeyboardInterrupt:
            pool.shutdown(wait=False, cancel_futures=True)
            with starting:
                stopped.set()
                for process in running:
                    process.terminate()  # it saves itself first
            raise
    if unstarted := len(waiting) - len(took):
        say(f"{unstarted} more of the same images were not started")
    return failed


def _images(job: Job) -> frozenset[str]:
    """Which words of a run say where its images are."""
    return frozenset(word for word in job.settings if word.startswith(_OF_IMAGES))


def started(settings: Sequence[str], folder: Path) -> subprocess.Popen[bytes]:
    """One run in a process of its own; its screen goes to a file beside its folder.

    A signal reaches it through whoever started it, once; if he is killed outright, it ends, too.

    Args:
        settings: ``key=value`` words.
        folder: of its output.
    """
    make_folder(folder.parent)
    command = [sys.executable, "-m", "contsemi.run", *settings]
    command += [f"output={folder}", "display=plain"]
    with folder.with_suffix(".log").open("w", encoding="utf-8") as log:
        one = dict(os.environ, OMP_NUM_THREADS="1") | {STARTER: str(os.getpid())}
        return subprocess.Popen(command, stdout=log, stderr=log, env=one, start_new_session=True)


def complaint(log: Path) -> list[str]:
    """What a run ended with: its error, without that word, and what it shows below.

    Args:
        log: its screen, beside its folder.

    Returns:
        At least one line; where a run would advise to start anew by a key of its own, which would
        reach the other runs too, it is by removing its folder.
    """
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines() or [""]
    errors = [row for row, line in enumerate(lines) if line.startswith("error: ")] or [-1]
    said = lines[errors[-1] :]
    first = said[0].removeprefix("error: ")
    anew = f"; restore {log.with_suffix('')} from a copy, or remove it"
    return [re.sub(r"; [^;]*resume=never[^;]*$", lambda _: anew, first), *said[1:]]
