"""What a second thread gains on an idle machine, and what it costs on a busy one.

Whole training steps of ``contsemi`` on random images, with one thread and with one a core, in turn;
then the same beside as many processes as there are cores, each of which burns one.

    python scripts/bench_threads.py
    python scripts/bench_threads.py --only 0 1 --rounds 5
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count

from contsemi.devices.process import prepare

if __name__ == "__main__":
    prepare(0)

import torch
from measuring import alternate, machine, seconds, show, spread
from step_recipe import random_stream

from contsemi import compose
from contsemi.learner.learner import Learner
from contsemi.pipeline.work import multiply_adds

SMALL = "scenario=cifar100_10tasks model=resnet_slim optim=small"
LARGE = "scenario=cifar100_10tasks model=resnet18 optim=small"
SETTINGS = (
    ("resnet_slim", 8, f"{SMALL} views=digits batch.unlabelled=64 batch.labelled=32"),
    ("resnet_slim", 32, f"{SMALL} batch.unlabelled=64 batch.labelled=32"),
    ("resnet_slim", 64, f"{SMALL} data.size=64 batch.unlabelled=64 batch.labelled=32"),
    ("resnet_slim", 96, f"{SMALL} data.size=96 batch.unlabelled=64 batch.labelled=32"),
    ("resnet18", 16, f"{LARGE} data.size=16 batch.unlabelled=16 batch.labelled=16"),
    ("resnet18", 32, f"{LARGE} batch.unlabelled=16 batch.labelled=16"),
    ("resnet18", 32, f"{LARGE} batch.unlabelled=64 batch.labelled=32"),
)
ENOUGH = 0.2  # seconds of a timing


@contextmanager
def burning(cores: int) -> Iterator[None]:
    """So many processes that do nothing but compute."""
    loop = "while True: pass"
    found = [subprocess.Popen([sys.executable, "-c", loop]) for _ in range(cores)]
    try:
        yield
    finally:
        for process in found:
            process.kill()
            process.wait()


def stepper(words: list[str], side: int) -> tuple[float, Callable[[int], Callable[[], None]]]:
    """The work of a step, and a maker of steps on so many threads."""
    config = compose.load(words)
    learner, stream = Learner(config), random_stream(20, side)
    learner.begin(stream.experiences[0], stream.images)
    number = count()

    def step() -> None:
        batch = learner.batch(0, next(number) % learner.steps_per_epoch)
        loss, _ = learner.loss(learner.forward(batch))
        learner.backward(loss)
        learner.update()

    times = max(1, round(ENOUGH / max(seconds(step), 1e-3)))

    def on(threads: int) -> Callable[[], None]:
        def work() -> None:
            torch.set_num_threads(threads)
            for _ in range(times):
                step()

        return work

    on.times = times  # type: ignore[attr-defined]
    return multiply_adds(config), on


def measure(name: str, side: int, words: str, rounds: int, cores: int) -> tuple[object, ...]:
    """A row of the table."""
    work, on = stepper(words.split(), side)
    times = on.times  # type: ignore[attr-defined]
    works, row = [on(1), on(cores)], []
    for busy in (False, True):
        with burning(cores if busy else 0):
            one, all_cores = alternate(works, rounds)
        row += [spread((1e3 * each / times for each in found), 0) for found in (one, all_cores)]
        row.append(spread((a / b for a, b in zip(one, all_cores, strict=True)), 2))
    return (name, side, f"{work / 1e9:.2g}", *row)


def main() -> None:
    """Measures the settings asked for and prints the table."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--only", type=int, nargs="+", default=range(len(SETTINGS)))
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    cores = len(os.sched_getaffinity(0))
    print(machine(cores))
    head = ("network", "px", "G multiply-adds a step")
    for state in ("idle", "busy"):
        head += (f"{state}, 1 thread, ms", f"{state}, {cores} threads, ms", "1 over all")
    show(f"A step on one thread and on {cores}, {given.rounds} rounds:", head, ())
    for number in given.only:
        row = measure(*SETTINGS[number], given.rounds, cores)
        print(f"| {' | '.join(map(str, row))} |", flush=True)


if __name__ == "__main__":
    main()
