"""Trains the runs of a benchmark that are missing, side by side, each a process of its own."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from contsemi.benchmark.plan import Job
from contsemi.report.words import duration

__all__ = ["train"]


def train(jobs: Sequence[Job], workers: int, say: Callable[[str], None]) -> list[Job]:
    """Train what is not finished; say after each run how long the rest will take.

    Args:
        jobs: all runs.
        workers: processes side by side.
        say: prints a line.

    Returns:
        The jobs that failed.
    """
    waiting = [job for job in jobs if not job.finished]
    say(f"{len(jobs) - len(waiting)} of {len(jobs)} runs are finished")
    failed: list[Job] = []
    started: list[subprocess.Popen[bytes]] = []
    took: list[float] = []

    def work(job: Job) -> None:
        start = time.monotonic()
        code = _execute(job, started)
        took.append(time.monotonic() - start)
        told = duration(took[-1])
        if code:
            failed.append(job)
            told = f"exit code {code}, see {job.folder.with_suffix('.log')}"
        left = (len(waiting) - len(took)) * sum(took) / len(took) / workers
        rest = f"; {duration(left)} left" if len(took) < len(waiting) else ""
        say(f"{job.name}: {told} ({len(took)} of {len(waiting)}{rest})")

    with ThreadPoolExecutor(workers) as pool:
        try:
            list(pool.map(work, waiting))
        except KeyboardInterrupt:
            pool.shutdown(wait=False, cancel_futures=True)
            for process in started:
                process.terminate()  # it saves itself first
            raise
    return failed


def _execute(job: Job, started: list["subprocess.Popen[bytes]"]) -> int:
    """One run in a process of its own; its screen goes to a file beside its folder."""
    job.folder.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "contsemi.run", *job.settings]
    command += [f"output={job.folder}", "display=plain"]
    with job.folder.with_suffix(".log").open("w", encoding="utf-8") as log:
        one = dict(os.environ, OMP_NUM_THREADS="1")
        # A session of its own: a signal reaches it through us, once.
        process = subprocess.Popen(command, stdout=log, stderr=log, env=one, start_new_session=True)
        started.append(process)
        return process.wait()
