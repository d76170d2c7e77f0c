"""The command under torchrun: several processes that are one run, however it ends.

All but the first test start whole commands: ``pytest tests/devices/test_torchrun.py -m slow``.
"""

import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from contsemi import run
from contsemi.compose import argv, expand
from contsemi.devices.environment import said_once
from contsemi.devices.meeting import all_or_none, one_first, refuse_differing, tell_state
from contsemi.devices.ranks import Ranks
from contsemi.errors import ContsemiError, Elsewhere, InputError, StorageFailed

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "clusters.md").read_text(encoding="utf-8")
COMMANDS = [
    shlex.split(line.partition(" -m contsemi.run ")[2])
    for text in re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL)
    for line in text.splitlines()
]
SECONDS = 900  # for a whole command, on a busy machine
WORDS = (
    *("precision=fp32", "display=plain", "optim.epochs=2", "model.blocks=[1,1]"),
    *("scenario.tasks=2", "checkpoint.seconds=0.01"),
)


class Command:
    """torchrun with two processes, or the program alone."""

    def __init__(self, folder, *words, ranks=2, options=(), module="contsemi.run", agent=None):
        torchrun = ("-m", "torch.distributed.run")
        alone = ("--standalone", "--nproc-per-node", str(ranks))
        start = (*torchrun, *(options if agent else (*alone, *options))) if ranks > 1 else ()
        self.folder, self.log = folder, Path(f"{folder}{agent or ''}.log")
        here = () if "-m" in words else (f"output={folder}",)  # a sweep names its own folders
        program = [sys.executable, *start, "-m", module, *words, *here]
        with self.log.open("a") as log:
            environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
            if agent:  # else torch lets an agent that comes later wait for an address in vain
                environment["TORCH_DISABLE_SHARE_RDZV_TCP_STORE"] = "1"
            self.process = subprocess.Popen(
                program, stdout=log, stderr=subprocess.STDOUT, env=environment, cwd=folder.parent
            )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.terminate()  # torchrun ends its processes
            self.process.wait(60)

    def wait(self, seconds=SECONDS):
        return self.process.wait(seconds)

    @property
    def said(self):
        return self.log.read_text()

    @property
    def codes(self):
        """Exit codes by rank, as torchrun tells them."""
        return sorted(int(code) for code in re.findall(r"exitcode  : (-?\d+)", self.said))

    def workers(self):
        """Process ids of the ranks, in order."""
        found = {}
        for path in Path("/proc").glob("[0-9]*"):
            try:
                parent = int((path / "stat").read_text().rpartition(")")[2].split()[1])
                words = (path / "environ").read_bytes().split(b"\0")
            except (OSError, IndexError):
                continue
            rank = [int(word[5:]) for word in words if word.startswith(b"RANK=")]
            if parent == self.process.pid and rank:
                found[rank[0]] = int(path.name)
        return [found[rank] for rank in sorted(found)]

    def wait_for_a_checkpoint(self):
        deadline = time.monotonic() + SECONDS
        while not (self.folder / "checkpoints" / "MANIFEST.json").exists():
            assert self.process.poll() is None, self.said
            assert time.monotonic() < deadline, self.said
            time.sleep(0.05)


def metrics(folder):
    """Metric lines of a run, in order."""
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """A run of two processes that nothing happened to."""
    folder = tmp_path_factory.mktemp("ranks") / "whole"
    with Command(folder, *WORDS) as command:
        assert command.wait() == 0, command.said
        return command


def same(folder, other):
    """The same run to the bit."""
    assert metrics(folder) == metrics(other.folder)
    for name in ("accuracy_matrix.csv", "accuracy_matrix_task_incremental.csv"):
        assert (folder / name).read_text() == (other.folder / name).read_text()


def _refused(ranks, action):
    try:
        action()
    except ContsemiError as error:
        return type(error).__name__, error.exit_code, str(error)
    return "", 0, ""


def test_what_one_process_refuses_all_refuse(in_ranks):
    """Also: states and images reach all, and what differs is named by the one that differs."""
    import torch

    order = []

    def fails(ranks: Ranks, *which: int):
        with all_or_none(ranks):
            if ranks.rank in which:
                raise StorageFailed(f"disk of {ranks.rank}")

    def nested(ranks: Ranks):
        with all_or_none(ranks):
            one_first(ranks, lambda: fails_in(ranks))

    def fails_in(ranks: Ranks):
        raise InputError("data.root", "is missing", "name another")

    def job(ranks: Ranks):
        where = Ranks(ranks.rank, ranks.size, ranks.rank, ranks.size)
        state = {"a": {"b": torch.arange(3)}}, {"task": 1}
        loaded = tell_state(where, state if where.first else None)
        assert tell_state(where, None) is None
        one_first(where, lambda: order.append(where.rank))
        return (
            _refused(where, lambda: fails(where)),
            _refused(where, lambda: fails(where, 1)),
            _refused(where, lambda: fails(where, 0, 1)),
            _refused(where, lambda: nested(where)),
            _refused(where, lambda: refused_seed(where)),
            (loaded[0]["a"]["b"].tolist(), loaded[1]),
        )

    def refused_seed(ranks: Ranks):
        with all_or_none(ranks):
            refuse_differing(ranks, "ranks", {"seed": ranks.rank, "task": 3})

    zero, one = in_ranks(job)
    silent = ("Elsewhere", 5, "")
    assert zero[0] == one[0] == ("", 0, "")
    assert (zero[1], one[1]) == (silent, ("StorageFailed", 5, "disk of 1"))
    assert (zero[2], one[2]) == (("StorageFailed", 5, "disk of 0"), silent)
    assert zero[3][0] == "InputError"
    assert one[3] == ("Elsewhere", 2, "")
    assert zero[4] == ("Elsewhere", 2, "")
    assert one[4][2].startswith("ranks: rank 1 has another seed than rank 0;")
    assert zero[5] == one[5] == ([0, 1, 2], {"task": 1})


@pytest.mark.parametrize(("rank", "said"), [("0", "StorageFailed"), ("1", "Elsewhere")])
def test_what_all_have_in_common_is_said_once(rank, said, monkeypatch):
    def fail():
        with said_once(StorageFailed):
            raise StorageFailed("full")

    assert _refused(None, fail)[0] == "StorageFailed"
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("LOCAL_RANK", rank)
    assert _refused(None, fail)[:2] == (said, 5)


@pytest.mark.parametrize(("code", "asked"), [(2, True), (2, False), (143, False)])
def test_who_has_nothing_to_say_leaves_after_who_has(code, asked, monkeypatch):
    """torchrun ends all of them when the first one has ended, by a signal."""
    monkeypatch.setattr(run, "_LAST_WORDS", 60.0 if asked or code > 128 else 0.05)
    said = []
    timer = threading.Timer(0.3, lambda: (said.append(1), os.kill(os.getpid(), signal.SIGTERM)))
    before = signal.getsignal(signal.SIGTERM)
    try:
        if asked:
            timer.start()
        run._leave(Elsewhere(code))
    finally:
        timer.cancel()
        signal.signal(signal.SIGTERM, before)
    assert bool(said) is asked


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
@pytest.mark.quick(5)
def test_every_command_of_the_page_is_a_right_one(words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments = argv.split(words)
    tokens = arguments.tokens
    if arguments.sweeper:  # the words of the tuner, whose runs get folders of their own
        assert argv.search_words(arguments)
        tokens = [each for each in tokens if each.key != "output"]
    assert expand(tokens, multirun=arguments.multirun)
    assert bool(arguments.launcher) == ("hydra/launcher" in " ".join(words))


@pytest.mark.slow
def test_two_processes_are_one_run(undisturbed, tmp_path):
    """Same first losses, then rounding grows; one voice, one writer, all pictures."""
    with Command(tmp_path / "alone", *WORDS, ranks=1) as alone:
        assert alone.wait() == 0, alone.said
    ours, theirs = metrics(undisturbed.folder), metrics(alone.folder)
    names = [(each["step"], each["task"], each["name"]) for each in theirs]
    assert [(each["step"], each["task"], each["name"]) for each in ours] == names
    first = [each["value"] for each in theirs if each["step"] == theirs[0]["step"]]
    found = [each["value"] for each in ours[: len(first)]]
    assert found == pytest.approx(first, rel=0.02)
    read = [json.loads((each.folder / "results.json").read_text()) for each in (undisturbed, alone)]
    assert read[0].keys() == read[1].keys()
    kept = [each["memory"] for each in read]
    # Some images are kept by a prediction, in which rounding has grown.
    images = [each.pop("exemplars") for each in kept]
    assert kept[0] == kept[1]
    assert images[0] == pytest.approx(images[1], rel=0.2)
    accuracies = [each["class_incremental"]["average_accuracy"] for each in read]
    assert accuracies[0] == pytest.approx(accuracies[1], abs=0.1)
    assert undisturbed.said.count("task 1/2 done") == 1
    assert undisturbed.said.count("files in") == 1
    files = [sorted(path.name for path in each.folder.iterdir()) for each in (undisturbed, alone)]
    assert files[0] == files[1]
    with Command(undisturbed.folder, *WORDS) as again:
        assert again.wait() == 0
    assert again.said.count("this run was finished before") == 1


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_torchrun_saves_once_and_the_same_command_goes_on(
    number, undisturbed, tmp_path
):
    with Command(tmp_path / "run", *WORDS) as command:
        command.wait_for_a_checkpoint()
        command.process.send_signal(number)
        assert command.wait(60) != 0
        assert command.said.count(f"stopped by signal {number:d}") == 1, command.said
        assert "rank is gone" not in command.said
    with Command(tmp_path / "run", *WORDS) as again:
        assert again.wait() == 0, again.said
        assert again.said.count("goes on from a checkpoint") == 1
    same(again.folder, undisturbed)


@pytest.mark.slow
@pytest.mark.parametrize("rank", [0, 1])
def test_a_killed_process_ends_all_and_the_same_command_goes_on(rank, undisturbed, tmp_path):
    with Command(tmp_path / "run", *WORDS) as command:
        command.wait_for_a_checkpoint()
        workers = command.workers()
        os.kill(workers[rank], signal.SIGKILL)
        began = time.monotonic()
        while any(Path(f"/proc/{pid}").exists() for pid in workers):
            assert time.monotonic() - began < 30, command.said
            time.sleep(0.05)
        assert command.wait(60) == 1
        assert -9 in command.codes
    with Command(tmp_path / "run", *WORDS) as again:
        assert again.wait() == 0, again.said
    same(again.folder, undisturbed)


@pytest.mark.slow
def test_torchrun_starts_a_killed_run_again(undisturbed, tmp_path):
    with Command(tmp_path / "run", *WORDS, options=("--max-restarts=1",)) as command:
        command.wait_for_a_checkpoint()
        os.kill(command.workers()[1], signal.SIGKILL)
        assert command.wait() == 0, command.said
        assert command.said.count("goes on from a checkpoint") == 1
    same(command.folder, undisturbed)


@pytest.mark.slow
def test_one_of_two_agents_is_killed_and_comes_back(undisturbed, tmp_path):
    """As on two machines, one of which is lost: one restart of all, to the same bits."""
    with socket.create_server(("localhost", 0)) as free:
        endpoint = f"localhost:{free.getsockname()[1]}"
    options = (
        *("--nnodes", "2", "--nproc-per-node", "1", "--max-restarts", "3", "--rdzv-id", "agents"),
        *("--rdzv-backend", "c10d", "--rdzv-endpoint", endpoint, "--local-addr", "localhost"),
    )

    def agent(name):
        return Command(tmp_path / "run", *WORDS, options=options, agent=name)

    with agent(".first") as first:
        time.sleep(3)  # so that this one keeps the store
        with agent(".second") as second:
            first.wait_for_a_checkpoint()
            lost = second.workers()
            second.process.kill()
            # It leaves its own behind, who would train to the end before anybody misses it.
            for pid in lost:
                os.kill(pid, signal.SIGKILL)
            second.process.wait(60)
        with agent(".third") as third:
            assert first.wait() == 0, first.said + third.said
            assert third.wait(60) == 0, third.said
    said = first.said + second.said + third.said
    assert said.count("goes on from a checkpoint") == 1, said
    same(tmp_path / "run", undisturbed)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["optim.epoch=3"], "error: optim.epoch: unknown key"),
        (["method=naive"], "error: baseline: one of Avalanche trains in one process"),
        (["-m", "hydra/launcher=basic", "seed=1,2"], "error: hydra/launcher: its jobs"),
        (["data.root=nowhere", "scenario=cifar100_10tasks"], "error: data.root"),
    ],
    ids=" ".join,
)
def test_a_wrong_command_ends_all_with_one_line(words, said, tmp_path):
    with Command(tmp_path / "run", *words) as command:
        assert command.wait() == 1
    # torchrun may end the one that has nothing to say before it knows that the command is wrong
    assert command.codes in ([2, 2], [-15, 2])
    assert re.findall(r"^error: .*", command.said, re.MULTILINE)[0].startswith(said)
    assert command.said.count("error: ") == 1
    assert not command.folder.exists()


@pytest.mark.slow
def test_the_lock_of_another_run_is_waited_for_then_refused(tmp_path):
    from contsemi.storage.folder import OutputFolder

    with ExitStack() as stack:
        stack.enter_context(OutputFolder(tmp_path / "run", {"resume": "auto"}))
        command = stack.enter_context(Command(tmp_path / "run", *WORDS))
        assert command.wait() == 1
        assert command.codes == [2, 2]
        assert f"in use by another run (process {os.getpid()} on {socket.gethostname()}" in (
            command.said
        )
