"""What saved states cost: their share of a run, and whether they grow from resume to resume.

python scripts/bench_checkpoint.py run         # the default run, all time spent on saving
python scripts/bench_checkpoint.py save        # one save of a ResNet-18 in its second task
python scripts/bench_checkpoint.py resumes     # a run that is stopped and gone on with 20 times
"""

import argparse
import os
import signal
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from measuring import machine, seconds, show, spread

from contsemi import compose, data, pipeline
from contsemi.data.scenario import build
from contsemi.errors import Interrupted
from contsemi.labels import LabelBudget
from contsemi.learner.learner import Learner
from contsemi.models.ema import frozen_copy
from contsemi.pipeline.saving import Saving
from contsemi.pipeline.watch import AUTO_SECONDS, AUTO_SHARE
from contsemi.storage.checkpoint import Checkpoints

RESUMES = 20


def timed(spent: list[float], real: Callable[..., Any]) -> Callable[..., Any]:
    """The same function, whose times are noted."""

    def call(*args: Any, **kwargs: Any) -> Any:
        start = time.perf_counter()
        try:
            return real(*args, **kwargs)
        finally:
            spent.append(time.perf_counter() - start)

    return call


def of_a_run(words: list[str]) -> None:
    """The share of saving in a whole run."""
    spent: list[float] = []
    with (
        tempfile.TemporaryDirectory() as folder,
        patch.object(Saving, "save", timed(spent, Saving.save)),
    ):
        config = compose.load([*words, f"output={folder}/out", "display=quiet"])
        found = pipeline.run(config)
    whole = found["seconds"]
    row = (" ".join(words) or "default", f"{whole:.1f}", len(spent), f"{sum(spent):.3f}")
    head = ("run", "seconds", "saves", "seconds in them", "share")
    show("Saving in a whole run:", head, [(*row, f"{sum(spent) / whole:.2%}")])


def of_one_save(words: list[str], rounds: int) -> None:
    """One save of a large network with its optimiser's state, teacher and past."""
    config = compose.load([*words, "model=resnet18", "display=quiet", "batch.unlabelled=8"])
    train, test = data.load(config.data, config.scenario.dataset)
    budget = LabelBudget.parse(config.label_ratio)
    stream = build(config.scenario, budget, train, test, config.seed)
    learner = Learner(config, reads_again=True)
    learner.begin(stream.experiences[0], stream.images)
    loss, _ = learner.loss(learner.forward(learner.batch(0, 0)))
    learner.backward(loss)
    learner.update()
    learner.networks.pasts = (frozen_copy(learner.network),)
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        checkpoints = Checkpoints(Path(folder) / "checkpoints")
        times = [seconds(lambda: checkpoints.save(learner.state(), {})) for _ in range(rounds)]
        size = max(path.stat().st_size for path in checkpoints.folder.iterdir())
    waits = [max(AUTO_SECONDS, time * (1 / AUTO_SHARE - 1)) for time in times]
    shares = [100 * time / (time + wait) for time, wait in zip(times, waits, strict=True)]
    row = (f"{size / 2**20:.0f} MiB", spread(times, 3), spread(waits, 0), spread(shares, 2))
    show("One save:", ("state", "seconds", "seconds until the next", "% of the time"), [row])


def of_resumes() -> None:
    """The bytes of saved states, while a run is stopped and gone on with."""
    sizes: list[tuple[int, int]] = []
    steps = [0]
    real = Learner.update

    def update(learner: Learner) -> None:
        real(learner)
        steps[0] += 1
        if steps[0] % 3 == 0:
            os.kill(os.getpid(), signal.SIGTERM)

    with tempfile.TemporaryDirectory() as folder, patch.object(Learner, "update", update):
        words = ["optim.epochs=100", f"output={folder}/out", "display=quiet", "device=cpu"]
        config = compose.load(words)
        for _ in range(RESUMES + 2):  # the first makes one generation, the second two
            try:
                pipeline.run(config)
            except Interrupted:
                files = list(Path(folder, "out", "checkpoints").iterdir())
                sizes.append((sum(path.stat().st_size for path in files), len(files)))
    (first, files), (last, files_last) = sizes[1], sizes[-1]
    row = (RESUMES, f"{first:,}", f"{last:,}", f"{last / first:.5f}", f"{files}, {files_last}")
    head = ("resumes", "bytes before", "bytes after", "ratio", "files before, after")
    show("Saved states from resume to resume:", head, [row])


def main() -> None:
    """Prints one table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("part", choices=("run", "save", "resumes"))
    parser.add_argument("words", nargs="*", help="of the command line of a run")
    parser.add_argument("--rounds", type=int, default=10)
    given = parser.parse_args()
    print(machine(torch.get_num_threads()))
    if given.part == "run":
        of_a_run(given.words)
    elif given.part == "save":
        of_one_save(given.words, given.rounds)
    else:
        of_resumes()


if __name__ == "__main__":
    main()
