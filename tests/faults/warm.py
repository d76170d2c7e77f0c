"""A process that has imported everything and forks a child for each run: 0.2 s instead of 5.

It reads one job a line from its standard input and answers each with one line of JSON. A job:
``words`` of the command line, ``command`` (a module, that of a run if there is none), ``plants``
(names of :mod:`plants` and their arguments), ``kill`` ({"stage", "count", "delay"}: SIGKILL so long
after the n-th beginning of a stage), ``signals`` ([number, count, delay]: likewise, counted in
steps' letters of any kind), ``said`` (a file for what the run prints), ``environment`` and
``where``, the working folder. The answer: ``code`` of the process as subprocess has it, the
``stage`` in which it ended, and ``seconds`` since the last signal.
"""

import contextlib
import json
import math
import os
import resource
import select
import signal
import sys
import time
from importlib import import_module

LIMIT = 400.0


def child(job, pipe):
    """Runs the job and ends the process."""
    import plants

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    said = os.open(job["said"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
    for stream in (1, 2):
        os.dup2(said, stream)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.update(job.get("environment", {}))
    if "TZ" in job.get("environment", {}):
        time.tzset()
    if job.get("where"):
        os.chdir(job["where"])
    code = 1
    try:
        from contsemi.records import records

        drawing = import_module("contsemi.report.pages.draw")
        drawing.draw = quick_draw
        # Of what depends on the clock a run writes the first alone: its calls can be numbered.
        records.SECONDS_BETWEEN_PLACES = math.inf
        plants.stages(pipe)
        for name, arguments in job.get("plants", []):
            getattr(plants, name)(**arguments)
        code = import_module(job.get("command", "contsemi.run")).main(job["words"])
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
        os._exit(code)


def quick_draw(run):
    """The files of the report without matplotlib, written as the real ones are."""
    from contsemi.storage import atomic

    for name in ("report.html", "forgetting.png"):
        atomic.write_atomically(run.folder / name, b"drawn")
    return ("report.html", "forgetting.png")


def answer(job):
    """Forks, sends what is to be sent, and waits."""
    read, write = os.pipe()
    pid = os.fork()
    if not pid:
        os.close(read)
        child(job, write)
    os.close(write)
    kill = job.get("kill")
    due = [[signal.SIGKILL, kill["stage"], kill["count"], kill["delay"]]] if kill else []
    due = due or [list(each) for each in job.get("signals", [])]
    seen, sent, at, end = "", None, None, time.monotonic() + LIMIT
    while True:
        now = time.monotonic()
        if due and at is None:
            _, stage, count, delay = due[0]
            if (seen.count(stage) if stage else len(seen)) >= count:
                at = now + delay
        if at is not None and now >= at:
            os.kill(pid, due.pop(0)[0])  # ours, and not waited for: it cannot be another's
            sent, at = now, None
            continue
        if now > end:
            os.kill(pid, signal.SIGKILL)
            end = float("inf")
        wait = (at if at is not None else min(end, now + LIMIT)) - now
        if select.select([read], [], [], max(0.0, wait))[0]:
            letters = os.read(read, 65536)
            if not letters:
                break
            seen += letters.decode()
    os.close(read)
    status = os.waitpid(pid, 0)[1]
    seconds = None if sent is None else time.monotonic() - sent
    return {
        "code": os.waitstatus_to_exitcode(status),
        "stage": seen[-1:] or "o",
        "stages": seen,
        "seconds": seconds,
    }


def prepare():
    """Imports all that a run does, and computes nothing that starts a thread."""
    import torch
    import torch._dynamo

    torch.set_num_threads(1)
    import faiss
    import safetensors.torch
    import sklearn.datasets
    import sklearn.model_selection

    import contsemi.objectives.suave
    import contsemi.pipeline
    import contsemi.report.pages.draw
    import contsemi.run
    import contsemi.strategies.baselines
    from contsemi import compose

    compose.load(["device=cpu"])
    faiss.omp_set_num_threads(1)
    sklearn.datasets.load_digits()
    assert contsemi.pipeline
    assert safetensors.torch


if __name__ == "__main__":
    prepare()
    print("ready", flush=True)
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))), flush=True)
    os._exit(0)  # nothing to clear away, which takes a busy machine half a minute
