"""What a step costs over its backbone, by task, against a plain loop, and what it waits for.

The recipe is NNCSL's on CIFAR-100 with the switches of the official code: ResNet-18, 256 unlabelled
images with two large and two small views, three supports a seen class with two. The images are
random bytes. ``--share`` takes a part of the batch where a whole step would take too long.

    step   whole step against the bare backbone, forward and backward, on the same views
    plain  whole step against ``plain_loop.py``, with and without the allocator's settings
    rest   processor time of all but the backbone by task, the whole batch: a trivial backbone
           with the parameters of the real one takes its place; and of all but the network, which
           in the official codes is one: the heads' passes, timed alone, are taken off
    waits  operations of a step for which the host waits for the device
    objectives  processor time of each objective's recipe for CIFAR-100: of the backbone on its
           images, of all else of a step, and of what it does at the start of an epoch
    compile  whole step with and without ``torch.compile``, and what it takes before the first

    python scripts/bench_step.py step --rounds 9
    python scripts/bench_step.py plain --rounds 5
    python scripts/bench_step.py rest waits
    python scripts/bench_step.py objectives --threads 1 --each 200 --only mira ascl

``--device cuda`` waits for the device at the end of each timing; nobody has tried it yet.
"""

import argparse
import math
import os
import signal
import statistics
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from contsemi.devices.process import MALLOC, prepare

if __name__ == "__main__":
    prepare(0)

import torch
from measuring import (
    alternate,
    machine,
    processor_seconds,
    seconds,
    show,
    spread,
    use_threads,
)
from step_objectives import Costs
from step_recipe import UNLABELLED, Step, random_stream, sizes
from torch import Tensor
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode

from contsemi.compose import files
from contsemi.data.scenario import Stream

EACH = 500  # images of a class, as in CIFAR-100
PLAIN = Path(__file__).with_name("plain_loop.py")
WAITS = ("_local_scalar_dense", "nonzero", "masked_select", "_unique2", "is_nonzero", "equal")


class Plain:
    """``plain_loop.py`` as a process group that stands still while it is not asked.

    Args:
        share: of the official batch.
        environment: of the process.
    """

    def __init__(self, share: float, threads: int, environment: dict[str, str]) -> None:
        unlabelled, supports = sizes(share)
        words = ["--unlabelled", unlabelled, "--supports", supports, "--threads", threads]
        self.process = subprocess.Popen(
            [sys.executable, str(PLAIN), *map(str, words)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
            start_new_session=True,
        )
        self._signal(signal.SIGSTOP)

    def step(self) -> None:
        """One step; its workers load ahead while it lasts, and not after it."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self._signal(signal.SIGCONT)
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        if not self.process.stdout.readline():
            raise RuntimeError("the plain loop has ended")
        self._signal(signal.SIGSTOP)

    def close(self) -> None:
        """Ends it and its workers."""
        self._signal(signal.SIGKILL)
        self.process.wait()

    def _signal(self, number: int) -> None:
        os.killpg(self.process.pid, number)


class Waits(TorchDispatchMode):
    """Counts the operations for which the host waits for the device, by name.

    Args:
        device: its type; operations on tensors of others do not count.
    """

    def __init__(self, device: str) -> None:
        super().__init__()
        self.device = device
        self.found: Counter[str] = Counter()

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """One operation."""
        made = function(*args, **kwargs or {})
        listed = [each for arg in args if isinstance(arg, list | tuple) for each in arg]
        tensors = [each for each in (*args, *listed) if isinstance(each, Tensor)]
        if not any(each.device.type == self.device for each in tensors):
            return made
        name = function.name().removeprefix("aten::").split(".")[0]
        masks = any(isinstance(each, Tensor) and each.dtype == torch.bool for each in listed)
        home = self.device != "cpu" and isinstance(made, Tensor) and made.device.type == "cpu"
        if name in WAITS:
            self.found[name] += 1
        elif name.startswith("index") and masks:
            self.found["index by a mask"] += 1
        elif home:
            self.found["copy to the host"] += 1
        return made

    def __str__(self) -> str:
        return ", ".join(f"{count} {name}" for name, count in self.found.items()) or "none"


def on(device: str, clock: Callable[[Callable[[], object]], float]) -> Any:
    """The clock, waiting for a GPU at the end."""

    def timed(work: Callable[[], object]) -> float:
        def done() -> None:
            work()
            torch.cuda.synchronize()

        return clock(done)

    return timed if device.startswith("cuda") else clock


def whole_step(given: argparse.Namespace, stream: Stream, words: list[str]) -> None:
    """Prints the step beside its backbone, and the views' part of it."""
    rows = []
    for task in given.tasks or [1, 2]:
        step = Step(stream, task, given.share, words)
        works = [step.whole, step.bare, step.views]
        whole, bare, views = alternate(works, given.rounds, on(given.device, seconds))
        ratio = spread([a / b for a, b in zip(whole, bare, strict=True)], 3)
        part = spread([100 * v / w for v, w in zip(views, whole, strict=True)], 2)
        images = " + ".join(f"{len(each)} x {each.shape[-1]} px" for each in step.inputs)
        precision = str(step.learner.precision).removeprefix("torch.")
        rows.append((task, images, precision, *(spread(t, 3) for t in (whole, bare)), ratio, part))
    head = ("task", "views", "precision", "whole step, s", "bare backbone, s")
    title = f"Step against bare backbone, {given.rounds} rounds:"
    show(title, (*head, "ratio within a round", "views, % of the step"), rows)


def against_plain(given: argparse.Namespace, stream: Stream, words: list[str]) -> None:
    """Prints the first task's step beside the plain loop's, with and without our allocator."""
    step = Step(stream, 1, given.share, words)
    default = {key: value for key, value in os.environ.items() if key not in MALLOC}
    rows = []
    for name, env in (
        ("as it comes", default),
        ("with our allocator's settings", default | MALLOC),
    ):
        if given.plain_as not in ("both", "ours" if env is not default else "default"):
            continue
        loop = Plain(given.share, given.threads, env)  # one at a time: each keeps much memory
        try:
            clock = on(given.device, seconds)
            ours, plain = alternate([step.whole, loop.step], given.rounds, clock)
        finally:
            loop.close()
        ratio = [p / o for p, o in zip(plain, ours, strict=True)]
        rows.append((name, spread(plain, 2), spread(ours, 2), spread(ratio, 2)))
    title = f"Task 1, {step.unlabelled} images, {step.supports} supports a class:"
    show(title, ("plain loop", "s a step", "contsemi, s", "ratio within a round"), rows)


def rest(given: argparse.Namespace, stream: Stream, words: list[str]) -> None:
    """Prints the processor time of all but the backbone, and how it grows."""
    tasks = given.tasks or list(range(1, 11))
    steps = [Step(stream, task, 1.0, words, trivial=True) for task in tasks]
    clock = on(given.device, processor_seconds)
    times: list[list[dict[str, float]]] = [[] for _ in tasks]
    for turn in range(given.rounds + 1):
        for step, mine in zip(steps, times, strict=True):
            found = {name: clock(work) for name, work in step.stages()}
            found["whole"] = sum(found.values())
            found["views"] = clock(step.views)
            found["forward"] -= found["views"]
            found["heads"] = clock(step.heads)
            if turn:  # the first one warms up
                mine.append(found)
    names = ("batch", "views", "forward", "loss", "backward", "update", "heads")
    rows, medians = [], []
    for task, step, mine in zip(tasks, steps, times, strict=True):
        middle = {name: statistics.median(each[name] for each in mine) for name in names}
        both = [[each["whole"] - part * each["heads"] for each in mine] for part in (0, 1)]
        medians.append([statistics.median(each) for each in both])
        supports = 2 * step.supports * step.learner.num_seen
        sums = (spread(each, 3) for each in both)
        rows.append((task, supports, *sums, *(f"{1e3 * value:.0f}" for value in middle.values())))
    head = ("task", "views of supports", "but the backbone, s", "but the network, s")
    title = f"Processor time of a step of {UNLABELLED} images, {given.rounds} rounds:"
    show(title, (*head, *(f"{name}, ms" for name in names)), rows)
    if len(tasks) > 1:
        for what, values in zip(("backbone", "network"), zip(*medians, strict=True), strict=True):
            logs = [[math.log(each) for each in line] for line in (tasks, values)]
            slope = statistics.linear_regression(*logs).slope
            print(f"\nAll but the {what} grows with the power {slope:.2f} of the task.")


@contextmanager
def one_hot_that_does_not_look() -> Iterator[None]:
    """On CPUs alone torch's looks at the labels to check them."""
    real = functional.one_hot
    functional.one_hot = lambda labels, count: (  # type: ignore[assignment]
        labels[..., None] == torch.arange(count, device=labels.device)
    ).long()
    try:
        yield
    finally:
        functional.one_hot = real


def waits(given: argparse.Namespace, stream: Stream, words: list[str]) -> None:
    """Prints how often a step waits for the device."""
    kind = torch.device(given.device).type
    rows = []
    for task in given.tasks or [1, 2, 10]:
        step = Step(stream, task, 1.0, words, trivial=True)
        step.whole()
        drawing, viewing, both, others = (Waits(kind) for _ in range(4))
        with one_hot_that_does_not_look():
            for name, work in step.stages():
                if name == "forward":
                    with viewing:
                        step.views()
                with {"batch": drawing, "forward": both}.get(name, others):
                    work()
        others.found += both.found - viewing.found
        rows.append((task, drawing, viewing, others))
    head = ("task", "rows of the batch", "views", "networks, losses and optimiser")
    show("Operations of a step for which the host waits:", head, rows)
    if kind == "cpu":
        print(
            "\nRows are drawn on the host on all devices. On a CPU, where nothing waits, views look"
            "\nup which rows drew an operation; on another device they compute all rows."
        )


def compiled(given: argparse.Namespace, stream: Stream, words: list[str]) -> None:
    """Prints the whole step beside itself with a compiled backbone, by mode.

    Of NNCSL's recipe, or of another that the words name: ``experiment=cifar100_laptop``.
    """
    official = not any(word.startswith("experiment=") for word in words)
    clock = on(given.device, seconds)
    modes = ["default"] if given.device == "cpu" else ["default", "reduce-overhead"]
    rows = []
    for task in given.tasks or [1, 2]:
        steps = [
            Step(stream, task, given.share, [*words, f"compile={mode}"], official=official)
            for mode in ["none", *modes]
        ]
        first = [clock(step.whole) for step in steps]
        times = alternate([step.whole for step in steps], given.rounds, clock)
        for mode, start, each in zip(modes, first[1:], times[1:], strict=True):
            ratio = spread([a / b for a, b in zip(times[0], each, strict=True)], 3)
            cells = (spread(times[0], 3), spread(each, 3), ratio)
            rows.append((task, mode, f"{start - first[0]:.0f}", *cells))
    head = ("task", "compile", "first step, more s", "none, s a step", "compiled, s", "ratio")
    show(f"Step with and without torch.compile, {given.rounds} rounds:", head, rows)


def each_objective(given: argparse.Namespace, stream: Stream, words: list[str]) -> None:
    """Prints what each objective costs beside the backbone, in its recipe for CIFAR-100."""
    names = given.only or [each for each in files.names("objective") if each != "none"]
    costs = Costs(stream, given.rounds, on(given.device, processor_seconds))
    rows = [row for name in names if (row := costs.row(name, words)) is not None]
    show(f"Processor time of a step, {given.rounds} rounds:", Costs.HEAD, rows)


PARTS = {
    "objectives": each_objective,
    "step": whole_step,
    "plain": against_plain,
    "rest": rest,
    "waits": waits,
    "compile": compiled,
}


def main() -> None:
    """Measure the parts asked for and print their tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "parts",
        nargs="*",
        help=f"{', '.join(PARTS)} (all if none is given), and key=value of the run",
    )
    parser.add_argument("--rounds", type=int, default=5, help="rounds of timings")
    parser.add_argument("--share", type=float, default=1 / 3, help="of the official batch")
    parser.add_argument("--only", nargs="+", help="objectives, of the part of that name")
    parser.add_argument("--tasks", type=int, nargs="+", help="from 1; each part has its own")
    parser.add_argument("--each", type=int, default=EACH, help="random images of a class")
    parser.add_argument("--threads", type=int, default=0, help="of torch; 0 for one a core")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument(
        "--plain-as",
        choices=["both", "default", "ours"],
        default="both",
        help="the allocator's settings of the plain loop",
    )
    given = parser.parse_args()
    chosen = [each for each in given.parts if "=" not in each] or list(PARTS)
    words = [each for each in given.parts if "=" in each]
    if unknown := set(chosen) - set(PARTS):
        parser.error(f"unknown part {min(unknown)}; there are {', '.join(PARTS)}")
    # ended from outside, it does not leave processes behind that stand still for ever
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    threads = use_threads(given.threads)
    print(machine(threads))
    if given.device != "cpu":
        print(torch.cuda.get_device_name(given.device))
    stream = random_stream(given.each)
    for part in chosen:
        PARTS[part](given, stream, [f"device={given.device}", *words])


if __name__ == "__main__":
    main()
