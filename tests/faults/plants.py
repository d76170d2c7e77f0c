"""What is done to a run in a forked child: faults, stages, and bugs that the suites must find."""

import errno
import json
import os
import signal
import stat

from calls import Calls, real

FAULTS = ("open", "write", "half", "fsync", "replace", "mkdir", "truncate", "unlink")


def wrap(owner, name, around):
    """Replaces a method by ``around(real, *args, **kwargs)``."""
    before = getattr(owner, name)
    setattr(owner, name, lambda *args, **kwargs: around(before, *args, **kwargs))


# Stages, told to the parent by one letter each


def stages(descriptor):
    """s a step, w a save, e an evaluation, t a switch of tasks, o something else."""
    from contsemi.learner.learner import Learner
    from contsemi.pipeline import account
    from contsemi.storage.checkpoint import Checkpoints

    def tell(letter):
        real["write"](descriptor, letter)

    def told(letter, after=b"o"):
        def around(call, *args, **kwargs):
            tell(letter)
            try:
                return call(*args, **kwargs)
            finally:
                tell(after)

        return around

    wrap(Learner, "batch", told(b"s", b"s"))
    wrap(Checkpoints, "save", told(b"w"))
    wrap(Checkpoints, "amend", told(b"w"))
    wrap(Learner, "begin", told(b"t"))
    wrap(Learner, "end", told(b"t"))
    wrap(account, "evaluate", told(b"e"))


# Faults of the system


def kill_at(folder, number):
    """SIGKILL before the n-th call under the folder."""

    def act(k, op, path, more):
        if k == number:
            os.kill(os.getpid(), signal.SIGKILL)

    Calls(folder, act).install()


def fail_at(folder, number, name):
    """The n-th call that changes something fails, and all that need room after it, as on a disk
    that stays full."""
    code, seen = getattr(errno, name), [0]

    def act(k, op, path, more):
        if op not in FAULTS or (op == "unlink" and seen[0] != number):
            return
        seen[0] += 1
        if seen[0] - 1 == number or (seen[0] > number and name != "EIO" and op != "unlink"):
            raise OSError(code, os.strerror(code))

    Calls(folder, act).install()


def size_limit(size):
    """No file may grow beyond a size, as by a quota."""
    import resource

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def log_calls(folder, path, contents):
    """Writes down every call, as JSON lines; contents of writes go into a file beside it."""
    log = real["open"](path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    blob = real["open"](contents, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)

    def act(k, op, path, more):
        if op == "half":
            return
        if isinstance(more, bytes):
            size = len(more)
            while more:
                more = more[real["write"](blob, more) :]
            more = size
        real["write"](log, (json.dumps([op, path, more]) + "\n").encode())

    Calls(folder, act).install()


# Numbers that are none


def loss_at(step, value):
    """The loss of one step of the run has another value."""
    import torch

    from contsemi.learner.learner import Learner

    count = [0]

    def around(call, *args):
        total, terms = call(*args)
        count[0] += 1
        if count[0] == step:
            total = total * torch.tensor(float(value))
        return total, terms

    wrap(Learner, "loss", around)


def weight_at(step, value):
    """One weight has another value after one update of the run."""
    import torch

    from contsemi.learner.learner import Learner

    count = [0]

    def around(call, learner):
        call(learner)
        count[0] += 1
        if count[0] == step:
            with torch.no_grad():
                weight = next(iter(learner.network.parameters()))
                weight[(0,) * weight.ndim] = float(value)

    wrap(Learner, "update", around)


def out_of_memory(times, rows=10**9):
    """The device has no memory for a forward pass of so many rows, the first times."""
    import torch

    from contsemi.models.network import Network

    left = [times]

    def around(call, network, images, heads):
        if network.training and left[0] and len(images) >= rows:
            left[0] -= 1
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")
        return call(network, images, heads)

    wrap(Network, "forward", around)


def slow_evaluation(seconds):
    """The first evaluation takes long."""
    import time

    from contsemi.evaluation import answers as evaluation

    def around(call, *args, **kwargs):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            time.sleep(0.01)
        return call(*args, **kwargs)

    wrap(evaluation, "accuracy_rows", around)


# Surroundings that must not matter


def shuffled_listing(seed):
    """Folders list their content in another order."""
    import random

    draw = random.Random(seed)

    def around(call, *args):
        names = list(call(*args))
        draw.shuffle(names)
        return names

    wrap(os, "listdir", around)


def global_draws():
    """A plug-in that draws from every global generator in every step."""
    import random

    import numpy as np
    import torch

    from contsemi.learner.learner import Learner

    def around(call, *args):
        random.random()
        np.random.rand(3)  # noqa: NPY002 - that is the point
        torch.rand(3)
        return call(*args)

    wrap(Learner, "batch", around)


# Bugs, each of which some suite must find


def bug(name):
    """Plants one of :data:`BUGS`."""
    BUGS[name]()


def _metrics_not_truncated():
    from contsemi.storage.ledger import Ledger

    Ledger.truncate = lambda self, mark: None


def _in_place(path, content):
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
    os.write(descriptor, content)
    os.close(descriptor)


def _written_in_place():
    from contsemi.storage import checkpoint

    checkpoint.write_atomically = _in_place


def _manifest_first():
    from contsemi.storage import checkpoint

    write, held = checkpoint.write_atomically, []

    def late(path, content):
        if path.name.startswith("state-"):
            held.append((path, content))
            return
        write(path, content)
        while held:
            write(*held.pop())

    checkpoint.write_atomically = late


def _deleted_before_commit():
    from contsemi.storage.checkpoint import Checkpoints

    def around(call, self, *args):
        if self._known is not None:
            for entry in self._known:
                (self.folder / entry["file"]).unlink(missing_ok=True)
        call(self, *args)

    wrap(Checkpoints, "save", around)


def _not_restored(part):
    def plant():
        from contsemi.learner.learner import Learner

        def around(call, self, state, experience, images, step):
            names = {"exemplars", "embeddings"} & {part}
            empty = {name: dict.fromkeys(state[name]) for name in names}
            for name in names:  # as they are when nothing was ever taken in
                empty[name] = getattr(self, name).state()
            call(self, {**state, part: {}, **empty}, experience, images, step)

        wrap(Learner, "restore", around)

    return plant


def _step_off_by_one():
    from contsemi.learner.learner import Learner

    def around(call, self, state, experience, images, step):
        call(self, state, experience, images, None if step is None else step + 1)

    wrap(Learner, "restore", around)


def _place_off_by_one():
    from dataclasses import replace

    from contsemi.pipeline.saving import Saver

    def around(call, self):
        place = call(self)
        if place is None or place.inside is None:
            return place
        epoch, iteration = place.inside
        return replace(place, inside=(epoch, max(0, iteration - 1)))

    wrap(Saver, "restore", around)


def _no_folder_sync():
    from contsemi.storage import atomic, ledger

    atomic.sync_folder = ledger.sync_folder = lambda folder: None


def _no_file_sync():
    from contsemi.storage import atomic

    class Forgetful:
        """The module os, but for files; what is written down of its calls stays in place."""

        def __getattr__(self, name):
            return getattr(os, name)

        def fsync(self, descriptor):
            if stat.S_ISDIR(os.fstat(descriptor).st_mode):
                os.fsync(descriptor)

    atomic.os = Forgetful()


BUGS = {
    "metrics not truncated": _metrics_not_truncated,
    "written in place": _written_in_place,
    "manifest first": _manifest_first,
    "deleted before commit": _deleted_before_commit,
    "momentum not restored": _not_restored("optimizer"),
    "exemplars not restored": _not_restored("exemplars"),
    "class moments not restored": _not_restored("predictor"),
    "step off by one": _step_off_by_one,
    "place off by one": _place_off_by_one,
    "no folder sync": _no_folder_sync,
    "no file sync": _no_file_sync,
}
