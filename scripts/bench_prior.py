"""What a prior is worth where classes are uneven: digits 0 to 3 in two tasks, 130 and 10 images.

A tenth of the images is labelled; average accuracy after both tasks, seeds 0 to 2.

    python scripts/bench_prior.py method=suave objective.prior=labels
"""

import statistics
import sys
from dataclasses import replace

import torch

from contsemi import compose, data
from contsemi.data.imageset import ImageSet
from contsemi.data.scenario import build
from contsemi.labels import LabelBudget
from contsemi.learner.learner import Learner
from contsemi.learner.loop import fit

SIZES = (130, 10, 130, 10)
WORDS = (
    *("scenario.classes=4", "scenario.tasks=2", "scenario.class_order=id", "label_ratio=10%"),
    *("model.width=16", "optim.epochs=15", "memory.exemplars=20", "device=cpu"),
)


def uneven(train: ImageSet) -> ImageSet:
    """The first images of each class, so many."""
    rows = [(train.targets == c).nonzero()[:size, 0] for c, size in enumerate(SIZES)]
    kept = torch.cat(rows).sort().values
    return replace(train, images=train.images[kept], targets=train.targets[kept])


def accuracy(words: list[str]) -> float:
    """Mean over both tasks at the end of a run."""
    config = compose.load([*WORDS, *words])
    train, test = data.load(config.data, config.scenario.dataset)
    budget = LabelBudget.parse(config.label_ratio)
    stream = build(config.scenario, budget, uneven(train), test, config.seed)
    learner = Learner(config)
    for experience in stream.experiences:
        fit(learner, experience, stream.images)
    found = []
    for task in stream.test:
        predicted = learner.predict(test.images[task.indices]).argmax(1)
        found.append(float((predicted == task.targets).float().mean()))
    return statistics.mean(found)


if __name__ == "__main__":
    torch.set_num_threads(1)
    values = [accuracy([*sys.argv[1:], f"seed={seed}"]) for seed in range(3)]
    spread = statistics.stdev(values)
    print(f"{statistics.mean(values):.3f} ± {spread:.3f}", [round(each, 3) for each in values])
