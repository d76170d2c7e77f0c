"""A warm parent: it has imported everything and forks a child for each case (0.05 s, not 5 s).

As a script it reads one request a line from stdin, ``{"call": "module:function", "words": [...],
"folder": ...}``, and writes one answer a line. :class:`Warm` is the other side of the pipe.
"""

import contextlib
import importlib
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from dataclasses import dataclass
from pathlib import Path

GIB = 2**30


@dataclass(frozen=True)
class Answer:
    """What became of a child.

    Attributes:
        code: its exit code; ``None`` where a signal ended it.
        signal: the signal that ended it, 0 for none.
        hung: whether it was ended because it took too long.
        out, err: what it printed.
        seconds: from the fork to its end.
        peak: most resident memory in bytes; what the parent has imported counts too.
        grown: the same less what the parent has.
        loaded: the heavy libraries it had imported in the end.
    """

    code: int | None
    signal: int
    hung: bool
    out: str
    err: str
    seconds: float
    peak: int
    grown: int
    loaded: list[str]


class Warm:
    """A warm parent; use as a context manager.

    Args:
        preload: modules that it imports, without which the children have to.
    """

    def __init__(self, *preload):
        self._process = subprocess.Popen(
            [sys.executable, __file__, *preload],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.communicate()

    def __call__(self, call, words=(), *, folder, guard=None, memory=None, cpu=None, seconds=60.0):
        """Calls ``module:function`` with the words, in a child of its own.

        Args:
            call: the function; what it returns is the exit code (``None`` is 0).
            words: its only argument, any JSON.
            folder: where the child works.
            guard: folders in which it may write; anything else that hostile files are after ends
                it with code 99 and one line, see :mod:`guard`.
            memory: bytes of address space beyond what the parent has.
            cpu: seconds of processor time.
            seconds: after so long it is ended.
        """
        request = {
            "call": call,
            "words": words,
            "folder": str(folder),
            "guard": guard and list(map(str, guard)),
            "memory": memory,
            "cpu": cpu,
            "seconds": seconds,
        }
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return Answer(**json.loads(self._process.stdout.readline()))


def _child(request, told):
    os.chdir(request["folder"])
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if request["memory"]:
        limit = _address_space() + request["memory"]
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    if request["cpu"]:
        resource.setrlimit(resource.RLIMIT_CPU, (request["cpu"], request["cpu"] + 1))
    module, function = request["call"].split(":")
    call = getattr(importlib.import_module(module), function)
    if request["guard"] is not None:
        import guard

        guard.forbid(request["guard"])
    try:
        code = call(request["words"]) or 0
    except SystemExit as ended:
        code = ended.code or 0
    except BaseException:
        traceback.print_exc()
        code = 1
    heavy = {"torch", "avalanche", "faiss", "matplotlib", "sklearn", "scipy", "numpy"}
    os.write(told, json.dumps(sorted(heavy & set(sys.modules))).encode())
    sys.stdout.flush()
    sys.stderr.flush()
    return code


def _fork(request):
    out, err = tempfile.TemporaryFile(), tempfile.TemporaryFile()  # noqa: SIM115
    hear, told = os.pipe()
    began = time.monotonic()
    child = os.fork()
    if not child:
        code = 1
        with contextlib.suppress(BaseException):
            os.dup2(out.fileno(), 1)
            os.dup2(err.fileno(), 2)
            code = _child(request, told)
        os._exit(code)
    os.close(told)
    hung, waited, last = False, 0.0, began
    while not (ended := os.wait4(child, os.WNOHANG))[0]:
        # While a machine sleeps or a debugger holds all of this, the child cannot run either.
        waited, last = waited + min(time.monotonic() - last, 0.1), time.monotonic()
        if waited > request["seconds"] and not hung:
            hung = True
            os.kill(child, signal.SIGKILL)
        time.sleep(0.001)
    seconds = time.monotonic() - began
    _, status, usage = ended
    with os.fdopen(hear, "rb") as pipe:
        loaded = json.loads(pipe.read() or b"[]")
    texts = []
    for file in (out, err):
        file.seek(0)
        texts.append(file.read().decode("utf-8", "backslashreplace"))
        file.close()
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "code": os.WEXITSTATUS(status) if os.WIFEXITED(status) else None,
        "signal": os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0,
        "hung": hung,
        "out": texts[0],
        "err": texts[1],
        "seconds": seconds,
        "peak": usage.ru_maxrss * 1024,
        "grown": max(usage.ru_maxrss - own, 0) * 1024,
        "loaded": loaded,
    }


def _address_space():
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    return pages * resource.getpagesize()


def _serve(preload):
    for module in preload:
        importlib.import_module(module)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
    answers = os.fdopen(os.dup(1), "w")
    os.set_inheritable(answers.fileno(), False)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    for line in iter(sys.stdin.readline, ""):
        print(json.dumps(_fork(json.loads(line))), file=answers, flush=True)


if __name__ == "__main__":
    sys.dont_write_bytecode = True  # what a child imports must not be taken for a file it writes
    _serve(sys.argv[1:])
