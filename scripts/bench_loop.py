"""What a framework costs an iteration, at a model so small that nothing else shows.

A linear classifier of scikit-learn's digits, 32 images a step. Our loop, and our strategy, each
against a bare loop that calls the same views, network, loss and optimiser; Avalanche's Naive and
Replay each against a bare loop on the same tensors. The pairs of a round are timed one right after
the other, and the difference is taken within the round. Evaluation: all test images by our
evaluation, and by the network alone. A whole run through the command, with its records and its
screen, is measured in processor time, a step of a bare loop after each of its own;
``--against`` adds another checkout, in the same rounds.

    python scripts/bench_loop.py --rounds 9 --against ../earlier
"""

import argparse
import copy
import os
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from contsemi.devices.process import prepare

if __name__ == "__main__":
    prepare(1)

import torch
from measuring import alternate, machine, show, spread
from torch.nn import functional

from contsemi import compose, data
from contsemi.config import Config
from contsemi.data.scenario import Stream, build
from contsemi.evaluation.answers import evaluate
from contsemi.labels import LabelBudget
from contsemi.learner import optimisers
from contsemi.learner.learner import Learner
from contsemi.learner.loop import fit
from contsemi.losses.cross_entropy import label_cross_entropy

ROWS = 32
WORDS = (
    "method=finetune",
    "label_ratio=100%",
    f"batch.labelled={ROWS}",
    f"batch.unlabelled={ROWS}",
    "precision=fp32",
    "optim.clip=0",
    "threads=1",
    "device=cpu",
)

HERE = Path(__file__).resolve().parents[1]
COMMAND = """
import sys, tempfile, time
sys.path.insert(0, sys.argv[1])
import torch
torch.set_num_threads(1)
import bench_loop
from contsemi import compose, pipeline
from contsemi.learner import loop
words = bench_loop.WORDS + ("model=pixels", sys.argv[2])
bare = bench_loop.Ours(compose.load(words)).bare_steps()
for _ in range(20):
    next(bare)
iterate, fit, spent = loop._iterate, pipeline.tasks.fit, {"run": 0.0, "bare": 0.0, "steps": 0}
def beside(*given):
    iterate(*given)
    began = time.process_time()
    next(bare)
    spent["bare"] += time.process_time() - began
    spent["steps"] += 1
def timed(*given):
    began = time.process_time()
    fit(*given)
    spent["run"] += time.process_time() - began
loop._iterate, pipeline.tasks.fit = beside, timed
pipeline.run(compose.load(words + ("display=plain", "output=" + tempfile.mkdtemp())))
each = 1e3 / spent["steps"]
print("|", each * (spent["run"] - spent["bare"]), each * spent["bare"])
"""

Pair = tuple[Callable[[], object], Callable[[], object]]


class Ours:
    """Our loop, our strategy and what they do, written out.

    Attributes:
        iterations: of one training.
    """

    def __init__(self, config: Config) -> None:
        from contsemi.strategies import SemiSupervisedStrategy
        from contsemi.strategies.scenario import from_stream

        self.config, self.Strategy = config, SemiSupervisedStrategy
        train, self.test = data.load(config.data, config.scenario.dataset)
        budget = LabelBudget.parse(config.label_ratio)
        self.stream: Stream = build(config.scenario, budget, train, self.test, config.seed)
        self.first = from_stream(self.stream, self.test.images).train_stream[0]
        learner = Learner(config)
        learner.begin(self.stream.experiences[0], self.stream.images)
        self.iterations = learner.epochs * learner.steps_per_epoch

    def loop(self) -> None:
        """One task by our loop."""
        fit(Learner(self.config), self.stream.experiences[0], self.stream.images)

    def strategy(self) -> None:
        """One task by our Avalanche strategy, without plugins."""
        self.Strategy(config=self.config, evaluator=None).train(self.first, eval_streams=[])

    def bare(self) -> None:
        """The same images, views, network, loss and optimiser, and nothing else."""
        for _ in islice(self.bare_steps(), self.iterations):
            pass

    def bare_steps(self) -> Iterator[None]:
        """Its steps, without an end."""
        learner, task = Learner(self.config), self.stream.experiences[0]
        learner.begin(task, self.stream.images)
        network, augment = learner.network, learner.augment
        optimizer = optimisers.make(self.config.optim, [network])
        images, labels = self.stream.images[task.labelled], task.labels
        draw = torch.Generator().manual_seed(0)
        network.train()
        while True:
            order = torch.randperm(len(images), generator=draw)
            for step in range(learner.steps_per_epoch):
                rows = order[step * ROWS : (step + 1) * ROWS]
                views = augment.view("labelled", images[rows], 1, draw)
                logits = network(views, ("classifier",))["classifier"]
                loss = label_cross_entropy(logits, labels[rows], temperature=1.0, smoothing=0.0)
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                optimizer.step()
                yield

    def evaluation(self, model: str) -> Pair:
        """All test images by our evaluation, and by the network alone."""
        learner = Learner(compose.load([*WORDS, f"model={model}", "objective.labelled_from=all"]))
        for experience in self.stream.experiences:
            learner.begin(experience, self.stream.images)
        tasks, images = self.stream.test, self.test.images
        policy = self.config.views
        mean, std = (torch.tensor(each)[:, None, None] for each in (policy.mean, policy.std))
        network = learner.network

        def bare() -> None:
            network.eval()
            with torch.no_grad():
                for rows in torch.split(images, self.config.batch.test):
                    pixels = rows.float().div_(255).sub_(mean).div_(std)
                    network.classifier(network.backbone(pixels)).argmax(1)

        def ours() -> None:
            evaluate(learner.inference, images, tasks, len(tasks), predictors=False)

        return ours, bare


class Avalanche:
    """Avalanche's own strategies and what they do, written out."""

    def __init__(self, ours: Ours, epochs: int) -> None:
        from avalanche.benchmarks import nc_benchmark
        from torch.utils.data import TensorDataset

        stream, self.epochs = ours.stream, epochs
        tasks = stream.experiences
        rows = torch.cat([task.labelled for task in tasks])
        self.images = stream.images[rows].float().div_(255)
        self.targets = torch.cat([task.labels for task in tasks])
        dataset = TensorDataset(self.images, self.targets)
        dataset.targets = self.targets.tolist()
        warnings.simplefilter("ignore")  # Avalanche warns of what it deprecates in itself
        self.stream = nc_benchmark(
            dataset, dataset, n_experiences=len(tasks), task_labels=False, shuffle=False
        ).train_stream
        self.sizes = [len(task.labelled) for task in tasks]
        features = self.images[0].numel()
        self.model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(features, 10))

    def train(self, name: str) -> None:
        """The second task by Naive or Replay, the first being over."""
        from avalanche.training import Naive, Replay

        strategy = getattr(self, f"_{name}").pop()
        assert isinstance(strategy, Naive | Replay)
        strategy.train(self.stream[1], eval_streams=[])

    def begin(self, name: str, count: int) -> None:
        """Prepares as many strategies, each after the first task."""
        from avalanche.training import Naive, Replay
        from avalanche.training.plugins import EvaluationPlugin

        options: dict[str, Any] = {"mem_size": 100} if name == "Replay" else {}
        made = []
        for _ in range(count):
            model = copy.deepcopy(self.model)
            strategy = {"Naive": Naive, "Replay": Replay}[name](
                model=model,
                optimizer=torch.optim.SGD(model.parameters(), lr=0.01),
                criterion=torch.nn.CrossEntropyLoss(),
                train_mb_size=ROWS,
                train_epochs=1,
                evaluator=EvaluationPlugin(),
                **options,
            )
            strategy.train(self.stream[0], eval_streams=[])
            strategy.train_epochs = self.epochs
            made.append(strategy)
        setattr(self, f"_{name}", made)

    def bare(self, replay: bool) -> None:
        """The second task on the same tensors."""
        start, size = self.sizes[0], self.sizes[1]
        model = copy.deepcopy(self.model)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
        model.train()
        for _ in range(self.epochs):
            order = start + torch.randperm(size)
            for rows in torch.split(order, ROWS):
                if replay:
                    rows = torch.cat([rows, torch.randint(start, (ROWS,))])
                x, y = self.images[rows], self.targets[rows]
                loss = functional.cross_entropy(model(x), y)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()

    @property
    def iterations(self) -> int:
        """Of one training."""
        return self.epochs * -(-self.sizes[1] // ROWS)


def measure(pair: Pair, iterations: int, rounds: int) -> list[str]:
    """Milliseconds an iteration, of both and of the difference within a round."""
    times = [[1e3 * t / iterations for t in mine] for mine in alternate(pair, rounds)]
    more = [a - b for a, b in zip(*times, strict=True)]
    return [spread(times[0], 3), spread(times[1], 3), spread(more, 3)]


def through_command(checkout: Path, epochs: int) -> tuple[float, float]:
    """Processor milliseconds a step of a run by the command, and of a bare loop beside it."""
    command = [sys.executable, "-c", COMMAND, str(HERE / "scripts"), f"optim.epochs={epochs}"]
    environment = os.environ | {"PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1"}
    # Python looks for modules in the working folder first.
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, env=environment, cwd=checkout
    )
    run, bare = map(float, done.stdout.rpartition("|")[2].split())
    return run, bare


def by_command(checkouts: Sequence[Path], epochs: int, rounds: int) -> list[tuple[str, ...]]:
    """A line for each checkout, measured in turn."""
    found = [[through_command(each, epochs) for each in checkouts] for _ in range(rounds)]
    rows = []
    for checkout, pairs in zip(checkouts, zip(*found, strict=True), strict=True):
        runs, bares = zip(*pairs, strict=True)
        more = [run - bare for run, bare in pairs]
        rows.append((checkout.name, spread(runs, 3), spread(bares, 3), spread(more, 3)))
    return rows


def main() -> None:
    """Time all and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9, help="pairs of timings")
    parser.add_argument("--epochs", type=int, default=40, help="epochs of a training")
    parser.add_argument("--against", type=Path, help="another checkout, for the command")
    given = parser.parse_args()
    torch.set_num_threads(1)
    ours = Ours(compose.load([*WORDS, "model=pixels", f"optim.epochs={given.epochs}"]))
    rows = [
        ("contsemi, its loop", *measure((ours.loop, ours.bare), ours.iterations, given.rounds)),
        (
            "contsemi, through the Avalanche strategy",
            *measure((ours.strategy, ours.bare), ours.iterations, given.rounds),
        ),
    ]
    theirs = Avalanche(ours, given.epochs)
    for name in ("Naive", "Replay"):
        theirs.begin(name, given.rounds + 1)
        pair = (
            lambda name=name: theirs.train(name),
            lambda name=name: theirs.bare(name == "Replay"),
        )
        rows.append((f"Avalanche, {name}", *measure(pair, theirs.iterations, given.rounds)))
    print(machine(1))
    head = ("ms an iteration", "with the framework", "bare loop", "difference within a round")
    show(f"Training, {given.rounds} rounds of {ours.iterations} iterations:", head, rows)
    checkouts = [HERE] + ([given.against.resolve()] if given.against else [])
    head = (
        "processor ms a step",
        "through the command",
        "bare loop",
        "difference within a process",
    )
    show(
        f"Whole runs, {given.rounds} rounds:",
        head,
        by_command(checkouts, given.epochs, given.rounds),
    )
    rows = []
    for model in ("pixels", "resnet_slim"):
        pair = ours.evaluation(model)
        times = alternate(pair, 3 * given.rounds)
        ratio = [a / b for a, b in zip(*times, strict=True)]
        rows.append((model, *(spread([1e3 * t for t in mine]) for mine in times), spread(ratio, 2)))
    images = len(ours.test.images)
    head = ("ms", "our evaluation, two matrices", "bare forward", "ratio within a round")
    show(f"Evaluation of {images} test images of five tasks:", head, rows)


if __name__ == "__main__":
    main()
