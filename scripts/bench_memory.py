"""What the memory takes of a training step: drawing rows, searching and writing, against the step.

The default recipe of CIFAR-100 in ten tasks on random images, or what the words given make of it;
tasks before the one that is measured begin and end without a step, so that the memory is as full as
it would be. All rows of a batch count as drawn from the memory, although most are the task's own.

    python scripts/bench_memory.py --tasks 1 2 10
    python scripts/bench_memory.py --tasks 10 distiller.neighbours=10 memory.embeddings=10000
    python scripts/bench_memory.py --tasks 1 --each 500 method=wcl
"""

import argparse
import functools
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any
from unittest.mock import patch

from contsemi.devices.process import prepare

if __name__ == "__main__":
    prepare(0)

from measuring import machine, seconds, show, spread, use_threads
from step_recipe import random_stream

from contsemi import compose
from contsemi.blocks.bank import Bank
from contsemi.blocks.queue import Queue
from contsemi.data.scenario import Stream
from contsemi.learner.learner import Learner
from contsemi.memory.embeddings import Embeddings
from contsemi.memory.whole_vote import WholeVote
from contsemi.search.index import Index

EACH = 50  # random images of a class: a batch must fit into a task, and its end must not take long
# What a step may ask of the memory. One call inside another counts once.
CALLS: dict[str, tuple[tuple[type, str], ...]] = {
    "draw": ((Learner, "batch"),),
    "search": (
        (Index, "search"),
        (WholeVote, "__call__"),
        *((Bank, name) for name in ("search", "scores", "shifted", "mean", "weights", "members")),
        (Bank, "of_ids"),
        (Queue, "scores"),
    ),
    "write": ((Bank, "push"), (Queue, "hold"), (Queue, "push"), (Embeddings, "view")),
}


class Spent:
    """Seconds in the calls of each kind, while it is entered."""

    def __init__(self) -> None:
        self.found = dict.fromkeys(CALLS, 0.0)
        self.inside = False

    def timed(self, kind: str, call: Callable[..., Any]) -> Callable[..., Any]:
        """The call, with its time added up."""

        @functools.wraps(call)
        def around(*args: Any, **named: Any) -> Any:
            if self.inside:
                return call(*args, **named)
            self.inside, made = True, []
            self.found[kind] += seconds(lambda: made.append(call(*args, **named)))
            self.inside = False
            return made[0]

        return around

    def __enter__(self) -> "Spent":
        self._patches = ExitStack()
        for kind, calls in CALLS.items():
            for owner, name in calls:
                around = self.timed(kind, getattr(owner, name))
                self._patches.enter_context(patch.object(owner, name, around))
        return self

    def __exit__(self, *raised: object) -> None:
        self._patches.close()


def step(learner: Learner) -> None:
    """All that an iteration of the loop does."""
    loss, _ = learner.loss(
        learner.forward(learner.batch(0, learner.step_in_task % learner.steps_per_epoch))
    )
    learner.backward(loss)
    learner.update()


def measure(
    stream: Stream, task: int, words: list[str], rounds: int, spent: Spent
) -> tuple[object, ...]:
    """A row of the table."""
    learner = Learner(compose.load(["scenario=cifar100_10tasks", *words]), reads_again=True)
    for experience in stream.experiences[: task - 1]:
        learner.begin(experience, stream.images)
        learner.end()
    learner.begin(stream.experiences[task - 1], stream.images)
    step(learner)
    whole, parts = [], []
    for _ in range(rounds):
        spent.found = dict.fromkeys(CALLS, 0.0)
        whole.append(seconds(lambda: step(learner)))
        parts.append(spent.found)
    shares = [100 * sum(part.values()) / time for part, time in zip(parts, whole, strict=True)]
    banks = [each for each in learner.objective.modules() if isinstance(each, Bank)]
    rows = sum(int(each.filled.sum()) for each in banks if each.allocated)
    held = f"{len(learner.exemplars)}, {len(learner.embeddings)}, {rows}"
    times = [spread((1e3 * part[kind] for part in parts), 2) for kind in CALLS]
    return (task, held, spread(whole, 2), *times, spread(shares, 2))


def main() -> None:
    """Measures the tasks asked for and prints the table."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("words", nargs="*", help="key=value of the run")
    parser.add_argument("--tasks", type=int, nargs="+", default=[1, 2, 10], help="from 1")
    parser.add_argument("--rounds", type=int, default=5, help="steps that are timed")
    parser.add_argument("--each", type=int, default=EACH, help="random images of a class")
    parser.add_argument("--threads", type=int, default=0, help="of torch; 0 for one a core")
    given = parser.parse_args()
    print(machine(use_threads(given.threads)))
    stream = random_stream(given.each)
    with Spent() as spent:
        rows = [measure(stream, task, given.words, given.rounds, spent) for task in given.tasks]
    head = ("task", "exemplars, embeddings, rows of banks", "step, s", *(f"{k}, ms" for k in CALLS))
    title = f"Memory in a step, {' '.join(given.words) or 'default'}, {given.rounds} steps:"
    show(title, (*head, "% of the step"), rows)


if __name__ == "__main__":
    main()
