"""One run from its configuration to its files: images, stream, strategy, tasks, records."""

import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from contsemi import data
from contsemi.config import Config
from contsemi.data.scenario import Stream, TestTask, build
from contsemi.devices.environment import ranked, said_once
from contsemi.devices.meeting import join, one_first, refuse_differing, tell_json, together
from contsemi.devices.precision import choose_device, choose_precision, set_threads
from contsemi.devices.ranks import Ranks
from contsemi.errors import Diverged, InputError, Interrupted, OutOfDeviceMemory
from contsemi.evaluation.answers import Evaluation, evaluate
from contsemi.evaluation.study import Study
from contsemi.evaluation.trace import Trace, fixed_subset
from contsemi.labels import LabelBudget
from contsemi.learner.learner import Learner
from contsemi.learner.loop import HookList
from contsemi.metrics.forgetting import forgetting
from contsemi.metrics.matrix import Undefined
from contsemi.pipeline.footprint import state_bytes
from contsemi.pipeline.halving import MOST_HALVINGS, with_smaller_parts
from contsemi.pipeline.saving import Saving
from contsemi.pipeline.signals import Signals
from contsemi.pipeline.standing import environment, identity, refuse_if_no_room
from contsemi.pipeline.switches import switches
from contsemi.pipeline.watch import Watch
from contsemi.records.manifest import manifest
from contsemi.records.measured import load_measured, summarise_measured
from contsemi.records.records import NoRecords, Records
from contsemi.records.results import results
from contsemi.records.trajectories import load_trajectories
from contsemi.report.screen.console import Display, shown_by
from contsemi.report.screen.events import TaskDone
from contsemi.storage.checkpoint import Checkpoints
from contsemi.storage.folder import OutputFolder, bound
from contsemi.types import Experience

__all__ = ["run"]


def run(config: Config) -> dict[str, Any]:
    """Trains and evaluates a whole stream, or goes on with it, and writes its output folder.

    Args:
        config: the run; ``output`` must be set.

    Returns:
        The content of ``results.json``.

    Raises:
        ContsemiError: see :mod:`contsemi.errors`; after an ``Interrupted`` the same call goes on.
    """
    if config.output is None:
        raise InputError("output", "is required", "give output=FOLDER")
    budget = LabelBudget.parse(config.label_ratio)
    plain = config.model_dump() | {"label_ratio": str(budget)}
    ours = config.baseline["name"] == "none"
    if ours and ranked():
        # Avalanche makes a logger while it is imported, and refuses to where it sees a rank but 0.
        import contsemi.strategies  # noqa: F401
    ranks = join(baseline=not ours)
    threads = set_threads(config.threads, ranks.local_size)
    signals = Signals(ranks.agree)
    with said_once(Diverged, Interrupted), signals.caught(), ExitStack() as stack:
        display = stack.enter_context(shown_by(config.display, ranks.first, stack))
        # A process that was killed just now, and is started again, may hold its lock a while yet.
        output = OutputFolder(Path(config.output), plain, 0 if ranks.alone else _LOCK_SECONDS)
        with together(ranks):
            refuse_differing(ranks, "ranks", bound(plain) | {"resume": config.resume})
            if ranks.first:
                stack.enter_context(output)
        if ranks.agree(output.finished):
            return tell_json(ranks, _show_finished(display, output.path) if ranks.first else {})
        with together(ranks):
            load = partial(data.load, config.data, config.scenario.dataset)
            train, test = one_first(ranks, load)
            for remark in train.remarks:
                display.note(remark)
            stream = build(config.scenario, budget, train, test, config.seed, data=config.data)
            learner = Learner(config, ranks, reads_again=True) if ours else None
        device = choose_device(config.device, ranks)
        precision = choose_precision(config.precision, device)
        facts = manifest(
            seed=config.seed,
            class_order=stream.class_order,
            label_digest=stream.label_digest,
            labelled=len(stream.label_indices),
            device=_device_name(device),
            threads=threads,
            ranks=ranks.size,
            class_names=stream.class_names,
            tasks=[_held(*task) for task in zip(stream.experiences, stream.test, strict=True)],
            label_indices=stream.label_indices.tolist(),
            dataset_digests={"train": train.digest, "test": test.digest},
            precision=str(precision).removeprefix("torch."),
            config=plain,
        )
        with together(ranks):
            refuse_differing(ranks, "data.root", {key: facts[key] for key in _SHARED})
            output.refuse_other_images(facts)
            if learner is not None and ranks.first:
                size = state_bytes(learner, config, stream.images.shape[-1])
                refuse_if_no_room(output.path, size)
        first = [learner]
        del learner  # an attempt that failed has to be gone before the next one
        # Where one process of several is short of memory, the others are in the middle of a step.
        halvings = MOST_HALVINGS if ranks.alone else 0
        with (Records if ranks.first else NoRecords)(output.path) as records:

            def attempt(pieces: int) -> dict[str, Any]:
                learner = first.pop() if first else Learner(config, ranks, reads_again=True)
                study = Study(config, stream, train.targets, test.images, records)
                place = (study, display, output, records, signals)
                whole = _Run(config, ranks, facts, stream, test.images, learner, *place)
                return whole.train(pieces) if ours else whole.train_baseline()

            try:
                return with_smaller_parts(attempt, config.batch.pieces, display.note, halvings)
            except torch.OutOfMemoryError as error:
                raise OutOfDeviceMemory(
                    f"device={device}: out of memory; lower batch.unlabelled, "
                    "batch.labelled or batch.test"
                ) from error


class _Run(Saving):
    """A run in progress: the state around the learner, and the way through the tasks."""

    def __init__(
        self,
        config: Config,
        ranks: Ranks,
        facts: dict[str, Any],
        stream: Stream,
        test_images: Tensor,
        learner: Learner | None,
        study: Study,
        display: Display,
        output: OutputFolder,
        records: Records,
        signals: Signals,
    ) -> None:
        self.config, self.ranks, self.facts, self.stream = config, ranks, facts, stream
        self.labels = str(facts["config"]["label_ratio"])
        self.learner = cast(Learner, learner)
        self.display, self.output, self.records = display, output, records
        self.study, self.signals, self.test_images = study, signals, test_images
        self.tasks = len(stream.experiences)
        self.matrices = {
            kind: np.full((self.tasks, self.tasks), np.nan)
            for kind in ("class_incremental", "task_incremental")
        }
        self.checkpoints = Checkpoints(
            records.folder / "checkpoints", identity(facts, bound(facts["config"]))
        )
        self.watch = Watch(
            display=display,
            records=records,
            signals=self.signals,
            save=lambda epoch, iteration: self.save(self.task, (epoch, iteration)),
            every=config.checkpoint.seconds,
            tasks=self.tasks,
            max_loss=config.optim.max_loss,
        )
        self.task, self.trained = 0, False
        self.predictors: dict[str, dict[str, float]] = {}
        self.environment, self.changes = environment(facts), []

    def train(self, pieces: int) -> dict[str, Any]:
        """Goes through the tasks that are left.

        Args:
            pieces: into which the rows of a step are split, at least; more than configured after
                a step that was too large.
        """
        self.learner.pieces = pieces
        goes_on = self.config.resume == "auto" or pieces > self.config.batch.pieces
        start = self.restore() if goes_on else None
        fresh = start is None and not self.task and not self.trained
        self.open_records(anew=fresh)
        self.show_header()
        # Avalanche takes seconds to import: the header stands on the screen by then.
        from contsemi.strategies import SemiSupervisedStrategy
        from contsemi.strategies.scenario import from_stream

        # The watch saves and may stop the run, so what a step leaves behind is written before it.
        strategy = SemiSupervisedStrategy(
            learner=self.learner, evaluator=None, hooks=[*self.traces(), self.watch]
        )
        benchmark = from_stream(self.stream, self.test_images)
        self.watch.begin()
        noted = ""
        if fresh:
            self.study.begin(self.learner)
        for experience in benchmark.train_stream[self.task :]:
            began = time.monotonic()
            if not self.trained:
                with self.signals.patient():
                    strategy.train(experience, eval_streams=[], start=start)
                    # So that a kill in a long evaluation repeats the evaluation alone.
                    self.save(self.task, None, trained=True)
                self.signals.stop_if_asked()
            start, self.trained = None, False
            if (reason := self.learner.embeddings.reason) != noted:
                self.display.note(f"memory.index={reason}")
                noted = reason
            self.finish_task(time.monotonic() - began)
        return self.finish()

    def train_baseline(self) -> dict[str, Any]:
        """Goes through all tasks with a strategy of Avalanche, whose state cannot be saved."""
        self.show_header()
        self.display.note(
            "a baseline of Avalanche is not saved on the way: after an interruption "
            "the same command starts it anew"
        )
        from contsemi.strategies.baselines import Baseline

        baseline = Baseline(self.config, self.stream.experiences, self.stream.images)
        self.learner = cast(Learner, baseline)
        self.open_records(anew=True)
        self.watch.begin()
        self.signals.then = "starts this baseline anew"
        self.study.begin(baseline)
        traces = self.traces()
        if traces and not baseline.method.inside:
            traces = []
            self.display.note(f"{self.config.method} predicts at the end of a task alone")
        hooks = HookList([*traces, self.watch])
        for self.task in baseline.tasks:
            began = time.monotonic()
            with self.signals.patient():
                baseline.train(self.task, hooks)
            self.finish_task(time.monotonic() - began)
        return self.finish()

    def open_records(self, *, anew: bool) -> None:
        """Says in the folder what is run; what another run left there goes first."""
        if anew:
            # Before the new manifest, so that no old state is ever taken for one of this run.
            if self.ranks.first:
                self.checkpoints.clear()
            self.records.start_anew()
        self.records.write_config(self.facts["config"])
        self.records.write_manifest(self.facts)

    def show_header(self) -> None:
        """Says on the screen what is run."""
        self.display.start(
            {
                "method": self.config.method,
                "scenario": self.stream.name,
                "labels": f"{self.labels} ({len(self.stream.label_indices)} images)",
                "seed": self.config.seed,
                "device": self.facts["device"],
                "precision": self.facts["precision"],
            }
        )

    def traces(self) -> list[Trace]:
        """What evaluates while training, if that is asked for."""
        asked = self.config.evaluate
        if not (asked.every_steps or asked.every_epochs):
            return []
        trace = Trace(
            self.test_images,
            fixed_subset(self.stream.test, asked.images, self.config.seed),
            every_steps=asked.every_steps,
            every_epochs=asked.every_epochs,
            record=self.record_trace,
            learner=self.learner,
        )
        return [trace]

    def record_trace(self, measured: Evaluation, task: int) -> None:
        """Writes an evaluation inside a task down; the watch has not counted its step yet."""
        for kind in self.matrices:
            for j, value in enumerate(getattr(measured, kind)[: task + 1]):
                self.records.metric(
                    step=self.watch.steps_done + 1,
                    task=task,
                    name=f"trace/{kind}/task_{j + 1}",
                    value=float(value),
                )

    def finish_task(self, seconds: float) -> None:
        """Evaluates on every task so far, writes it down and saves."""
        measured = evaluate(self.learner, self.test_images, self.stream.test, self.task + 1)
        for kind, matrix in self.matrices.items():
            matrix[self.task] = getattr(measured, kind)
            for j, value in enumerate(matrix[self.task, : self.task + 1]):
                self.records.metric(
                    step=self.watch.steps_done,
                    task=self.task,
                    name=f"accuracy/{kind}/task_{j + 1}",
                    value=float(value),
                )
        self._note_predictors(measured)
        self.study.after_task(self.learner, measured, self.task, self.watch.steps_done)
        self.records.write_matrices(**self.matrices)
        row = self.matrices["class_incremental"][: self.task + 1, : self.task + 1]
        forgotten = forgetting(row)
        self.watch.accuracies = row[-1].tolist()
        self.display.task_done(
            TaskDone(
                task=self.task,
                tasks=self.tasks,
                class_incremental=row[-1].tolist(),
                task_incremental=measured.task_incremental[: self.task + 1].tolist(),
                forgetting=None if isinstance(forgotten, Undefined) else forgotten,
                seconds=seconds,
            )
        )
        self.task += 1
        with self.signals.patient():
            self.save(self.task, None)
        self.signals.stop_if_asked()

    def _note_predictors(self, measured: Evaluation) -> None:
        """Keeps the averages of every predictor, and writes down what the matrices do not say."""
        self.predictors = {
            name: {
                "average_accuracy": float(rows[0].mean()),
                "task_incremental_average_accuracy": float(rows[1].mean()),
            }
            for name, rows in measured.predictors.items()
        }
        for name, rows in measured.predictors.items():
            for j, value in enumerate(rows[0] if name != "headline" else ()):
                self.records.metric(
                    step=self.watch.steps_done,
                    task=self.task,
                    name=f"accuracy/{name}/task_{j + 1}",
                    value=float(value),
                )

    def finish(self) -> dict[str, Any]:
        """Writes the results and the pictures, and shows the tables."""
        return tell_json(self.ranks, self._finish() if self.ranks.first else {})

    def _finish(self) -> dict[str, Any]:
        from contsemi.records.finished import load_run
        from contsemi.report.pages.draw import draw

        self.records.flush()
        content = results(
            method=self.config.method,
            scenario=self.stream.name,
            seed=self.config.seed,
            label_ratio=self.labels,
            memory_bytes=self.learner.memory_bytes,
            seconds=self.watch.seconds,
            images_per_second=self.watch.images_done / self.watch.seconds,
            switches=switches(self.config),
            pieces=self.learner.pieces,
            changes=self.changes,
            predictors=self.predictors,
            while_training=load_trajectories(self.records.folder),
            measured=summarise_measured(load_measured(self.records.folder), self.tasks),
            test_images=[len(task.indices) for task in self.stream.test],
            class_incremental=self.matrices["class_incremental"],
            task_incremental=self.matrices["task_incremental"],
        )
        self.records.write_results(content)
        finished = load_run(self.records.folder)
        self.display.finish(finished, [*FILES, *draw(finished)])
        return content


FILES = ("results.json", "accuracy_matrix.csv", "metrics.jsonl")

# What the images and labels of all processes have in common.
_SHARED = ("dataset_digests", "label_digest", "class_order", "precision", "versions")
_LOCK_SECONDS = 10.0


def _held(experience: Experience, test: TestTask) -> dict[str, Any]:
    """What a task holds, for the page: its classes, and how many images there are of each kind."""
    return {
        "columns": list(experience.columns),
        "labelled": len(experience.labelled),
        "unlabelled": len(experience.unlabelled),
        "test": len(test.indices),
    }


def _show_finished(display: Display, folder: Path) -> dict[str, Any]:
    from contsemi.records.finished import load_run
    from contsemi.report.pages.draw import draw

    finished = load_run(folder)
    display.note(
        "this run was finished before, and its images were not read again; "
        "resume=never or another output= trains anew"
    )
    display.finish(finished, [*FILES, *draw(finished)])
    return finished.results


def _device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)})"
    return str(device)
