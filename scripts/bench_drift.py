"""How well old classes are still found among stored embeddings, by the map that carries them.

A run of the default method is trained. When a task is over, half of its test images are stored as
embeddings and never embedded again, but carried by maps fitted on later tasks' training images and
on the exemplars, or on the former alone. The other half, embedded by the present network, asks for
its nearest stored rows.

    python scripts/bench_drift.py scenario=digits_5tasks optim.epochs=8 --seeds 0 1 2
"""

import argparse
import statistics
from collections import defaultdict

import torch
from rich.console import Console
from torch import Tensor
from torch.nn import functional

from contsemi import compose, data
from contsemi.compose import files, parts
from contsemi.data.scenario import build
from contsemi.labels import LabelBudget
from contsemi.learner.learner import Learner
from contsemi.learner.loop import fit
from contsemi.memory.drift.drift import Drift
from contsemi.memory.drift.still_found import still_found
from contsemi.models.ema import frozen_copy
from contsemi.models.network import Network
from contsemi.seeding import generator
from contsemi.types import Experience

ALONE = ", task's images alone"
MAPS = [(kind, kind) for kind in files.names("memory.drift")]
MAPS += [(kind + ALONE, kind) for kind in ("translation", "linear", "mlp")]


def unit(learner: Learner, images: Tensor, network: Network) -> Tensor:
    """Embeddings [n, D] as the memory stores them."""
    return functional.normalize(
        learner.inference.embed(network, images, ("projector",))["projector"].float(), dim=1
    )


def found_shares(words: list[str]) -> dict[str, list[float]]:
    """One run: map -> the share of old classes' queries that are found, after each task."""
    config = compose.load(words)
    train, test = data.load(config.data, config.scenario.dataset)
    budget = LabelBudget.parse(config.label_ratio)
    stream = build(config.scenario, budget, train, test, config.seed)
    learner = Learner(config)
    stored: dict[str, list[Tensor]] = {name: [] for name, _ in MAPS}
    shares: dict[str, list[float]] = defaultdict(list)
    for experience, task in zip(stream.experiences, stream.test, strict=True):
        before = frozen_copy(learner.networks.predicting) if experience.index else None
        kept = learner.exemplars.images
        fit(learner, experience, stream.images)
        if before is not None:
            old = stream.test[: experience.index]
            carry_all(learner, experience, (stream.images, kept), before, stored)
            halves = [(test.images[t.indices], t.targets) for t in old]
            rows = torch.cat(
                [unit(learner, x[::2], learner.networks.predicting) for x, _ in halves]
            )
            asked = torch.cat(
                [unit(learner, x[1::2], learner.networks.predicting) for x, _ in halves]
            )
            columns = torch.cat([y[::2] for _, y in halves])
            labels = functional.one_hot(columns, learner.num_seen)
            wanted = torch.cat([y[1::2] for _, y in halves])
            for name, held in {**stored, "embedded anew": [rows]}.items():
                shares[name].append(still_found(torch.cat(held), labels, asked, wanted))
        own = unit(learner, test.images[task.indices][::2], learner.networks.predicting)
        for held in stored.values():
            held.append(own)
    return shares


def carry_all(
    learner: Learner,
    experience: Experience,
    sources: tuple[Tensor, Tensor],
    before: Network,
    stored: dict[str, list[Tensor]],
) -> None:
    """Takes the stored rows of each map from the space of the previous task into this one's.

    Args:
        learner: after the task.
        experience: the task.
        sources: all images, and the exemplars that were kept before it.
        before: the network before it.
        stored: map -> rows of each earlier task.
    """
    pairs = [
        (unit(learner, images, before), unit(learner, images, learner.networks.predicting))
        for images in (sources[0][experience.unlabelled], sources[1])
        if len(images)
    ]
    weights = torch.cat([torch.full((len(old),), 1 / len(old)) for old, _ in pairs])
    old, new = (torch.cat([pair[side] for pair in pairs]) for side in (0, 1))
    alone = len(pairs[0][0])
    for name, kind in MAPS:
        part = slice(alone if name.endswith(ALONE) else None)
        draw = generator(learner.config.seed, "drift", experience.index)
        drift = Drift.named(parts.defaults("memory.drift", kind))
        carry = drift.fit(old[part], new[part], weights=weights[part], draw=draw)
        stored[name] = [carry(rows) for rows in stored[name]]


def main() -> None:
    """Trains one run a seed and prints the table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("words", nargs="*", help="overrides of the run")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    given = parser.parse_args()
    runs = [found_shares([*given.words, f"seed={seed}"]) for seed in given.seeds]
    console = Console()
    tasks = len(next(iter(runs[0].values())))
    heads = ["map", *(f"after task {task + 2}" for task in range(tasks))]
    lines = [heads, ["---"] * len(heads)]
    for kind in runs[0]:
        cells = []
        for task in range(tasks):
            values = [100 * run[kind][task] for run in runs]
            spread = statistics.stdev(values) if len(values) > 1 else 0.0
            cells.append(f"{statistics.mean(values):.1f} ± {spread:.1f}")
        lines.append([kind, *cells])
    for line in lines:
        console.print("| " + " | ".join(line) + " |", soft_wrap=True, markup=False)


if __name__ == "__main__":
    main()
