"""What a run has measured, on the screen and in its files."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contsemi.devices.meeting import tell_json
from contsemi.errors import first_of
from contsemi.evaluation.answers import Evaluation, evaluate
from contsemi.evaluation.predicts import Predicts
from contsemi.evaluation.study import Study
from contsemi.evaluation.trace import Trace, fixed_subset
from contsemi.evaluation.truth import Truth
from contsemi.metrics.forgetting import forgetting
from contsemi.metrics.matrix import or_none
from contsemi.pipeline.finished import show_results
from contsemi.pipeline.setting import Setting
from contsemi.pipeline.switches import switches
from contsemi.pipeline.tally import Tally
from contsemi.records.measured import load_measured, summarise_measured
from contsemi.records.results import results
from contsemi.records.trajectories import KINDS, load_trajectories
from contsemi.report.screen.events import TaskDone
from contsemi.storage.checkpoint import Checkpoints


class Account:
    """The accuracies of a run so far, and the way of every number into its records.

    Args:
        setting: the run.
        tally: how far it has come.

    Attributes:
        matrices: accuracies [T, T] by kind, NaN where not measured.
        predictors: averages after the last task, by predictor.
        changes: what has changed under the run since it began.
        study: what is measured beside the matrices.
    """

    def __init__(self, setting: Setting, tally: Tally) -> None:
        self.setting, self.tally = setting, tally
        self.matrices = {kind: np.full((setting.tasks, setting.tasks), np.nan) for kind in KINDS}
        self.predictors: dict[str, dict[str, float]] = {}
        self.changes: list[str] = []
        self.study = Study(
            setting.config,
            setting.stream,
            setting.train_targets,
            setting.test_images,
            setting.records,
        )

    def take(
        self,
        matrices: dict[str, list[list[float | None]]],
        predictors: dict[str, dict[str, float]],
    ) -> None:
        """Goes on with what was measured before the run was stopped."""
        for kind, rows in matrices.items():
            self.matrices[kind] = np.array(rows, dtype=float)
        self.predictors = predictors

    def accuracies(self, tasks: int) -> list[float]:
        """Class-incremental accuracies on the first so many tasks, after the last of them."""
        row = self.matrices["class_incremental"][tasks - 1, :tasks] if tasks else np.empty(0)
        return [float(value) for value in row]

    def open(self, *, anew: bool) -> None:
        """Says in the folder what is run; what another run left there goes first."""
        setting = self.setting
        if anew:
            # Before the new manifest, so that no old state is ever taken for one of this run.
            if setting.ranks.first:
                Checkpoints(setting.records.folder / "checkpoints").clear()
            setting.records.start_anew()
        setting.records.write_config(setting.facts["config"])
        setting.records.write_manifest(setting.facts)

    def show_header(self) -> None:
        """Says on the screen what is run."""
        setting = self.setting
        origin = setting.facts.get("pretrained")
        start = {} if origin is None else {"pre-trained": origin["name"]}
        setting.display.start(
            {
                "method": setting.config.method,
                "scenario": setting.stream.name,
                "labels": f"{setting.labels} ({self._images_with_labels()})",
                "seed": setting.config.seed,
                "device": setting.facts["device"],
                "precision": setting.facts["precision"],
                "threads": f"{setting.threads.number} ({setting.threads.reason})",
                **start,
            }
        )

    def _images_with_labels(self) -> str:
        annotator = self.setting.annotator
        if annotator is None:
            return f"{len(self.setting.stream.label_indices)} images"
        return (
            f"{sum(annotator.most[: self.setting.tasks])} images at most, chosen by "
            f"{self.setting.config.labels['name']}"
        )

    def traces(self, asked: Predicts) -> list[Trace]:
        """What evaluates while training, if the configuration wishes that."""
        wish, setting = self.setting.config.evaluate, self.setting
        if not (wish.every_steps or wish.every_epochs):
            return []
        trace = Trace(
            images=setting.test_images,
            tasks=fixed_subset(setting.stream.test, wish.images, setting.config.seed),
            every_steps=wish.every_steps,
            every_epochs=wish.every_epochs,
            record=self._record_trace,
            asked=asked,
        )
        return [trace]

    def truth(self) -> list[Truth]:
        """What measures where accuracy is lost, if the configuration wishes that."""
        setting = self.setting
        if not setting.config.evaluate.truth:
            return []
        seen = setting.stream, self.study.hidden, setting.test_images
        return [Truth(*seen, setting.records.folder, self._record_truth)]

    def _record_truth(self, task: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._write(f"truth/{name}", value, task=task)

    def _record_trace(self, measured: Evaluation, task: int) -> None:
        """Writes an evaluation inside a task down; its step is not counted yet."""
        for kind in KINDS:
            row, step = getattr(measured, kind)[: task + 1], self.tally.steps + 1
            self._write_row(f"trace/{kind}", row, task=task, step=step)

    def measure(self, asked: Predicts, task: int, seconds: float) -> None:
        """Evaluates on every task so far, and writes and shows it.

        Args:
            asked: what predicts.
            task: that is just learned, from 0.
            seconds: that learning it took.
        """
        setting, step = self.setting, self.tally.steps
        tests, drawn = setting.stream.test, self.study.drawn
        measured = evaluate(asked, setting.test_images, tests, task + 1, embedded=drawn)
        for kind, matrix in self.matrices.items():
            matrix[task] = getattr(measured, kind)
            self._write_row(f"accuracy/{kind}", matrix[task, : task + 1], task=task, step=step)
        self._note_predictors(measured, task)
        self.study.after_task(asked, measured, task, step)
        setting.records.write_matrices(**self.matrices)
        row = self.accuracies(task + 1)
        forgotten = forgetting(self.matrices["class_incremental"][: task + 1, : task + 1])
        setting.display.task_done(
            TaskDone(
                task=task,
                tasks=setting.tasks,
                class_incremental=row,
                forgetting=or_none(forgotten),
                seconds=seconds,
            )
        )

    def note_left_out(self, share: float, task: int) -> None:
        """Says how much of a pool that may hold anything fitted no class, in [0, 1]."""
        self._write("pool/left_out", share, task=task)
        said = f"{share:.0%} of the new images of the pool fit no class and count for none"
        self.setting.display.note(f"task {task + 1}: {said}")

    def note_without_exemplars(self, columns: list[int], task: int) -> None:
        """Says which classes a method that predicts or distils by images kept has none of."""
        if not columns:
            return
        names = self.setting.stream.class_names
        self._write("memory/classes_without_exemplars", float(len(columns)), task=task)
        some = first_of([names[column] for column in columns], 5, ", ")
        self.setting.display.note(
            f"task {task + 1}: the memory has no image of {len(columns)} classes ({some}), "
            "which the method can no longer tell or keep; raise memory.exemplars, memory.bytes "
            "or label_ratio"
        )

    def _note_predictors(self, measured: Evaluation, task: int) -> None:
        """Keeps the averages of every predictor, and writes down what the matrices do not say."""
        self.predictors = {
            name: {
                "average_accuracy": float(rows[0].mean()),
                "task_incremental_average_accuracy": float(rows[1].mean()),
            }
            for name, rows in measured.predictors.items()
        }
        for name, rows in measured.predictors.items():
            if name != "headline":
                self._write_row(f"accuracy/{name}", rows[0], task=task, step=self.tally.steps)

    def _write(self, name: str, value: float, *, task: int) -> None:
        self.setting.records.metric(step=self.tally.steps, task=task, name=name, value=value)

    def _write_row(self, name: str, values: NDArray[np.float64], *, task: int, step: int) -> None:
        """One number for each task so far."""
        for j, value in enumerate(values.tolist(), start=1):
            self.setting.records.metric(step=step, task=task, name=f"{name}/task_{j}", value=value)

    def finish(
        self, *, memory: dict[str, int], pieces: int, without_exemplars: list[int]
    ) -> dict[str, Any]:
        """Writes the results and the pictures, and shows the tables.

        Args:
            memory: bytes kept of earlier tasks, by what they are.
            pieces: into which the rows of a step were split.
            without_exemplars: columns of the classes of which no image is kept, where it matters.

        Returns:
            The content of ``results.json``, in every process.
        """
        ranks = self.setting.ranks
        return tell_json(
            ranks, self._finish(memory, pieces, without_exemplars) if ranks.first else {}
        )

    def _finish(
        self, memory: dict[str, int], pieces: int, without_exemplars: list[int]
    ) -> dict[str, Any]:
        setting, folder = self.setting, self.setting.records.folder
        setting.records.flush()
        content = results(
            method=setting.config.method,
            scenario=setting.stream.name,
            seed=setting.config.seed,
            label_ratio=setting.labels,
            memory=memory,
            seconds=self.tally.seconds,
            images_per_second=self.tally.images / self.tally.seconds,
            switches=switches(setting.config),
            pieces=pieces,
            pretrained=setting.facts.get("pretrained"),
            changes=self.changes,
            predictors=self.predictors,
            while_training=load_trajectories(folder),
            measured=summarise_measured(load_measured(folder), setting.tasks),
            test_images=[len(task.indices) for task in setting.stream.test],
            class_incremental=self.matrices["class_incremental"],
            task_incremental=self.matrices["task_incremental"],
        )
        content["labelled"] = [len(each.labelled) for each in setting.stream.experiences]
        if setting.annotator is not None:  # who may have sold fewer
            content["labels_asked"] = list(setting.annotator.most[: setting.tasks])
        if without_exemplars:
            names = setting.stream.class_names
            content["classes_without_exemplars"] = [names[column] for column in without_exemplars]
        setting.records.write_results(content)
        show_results(setting.display, folder)
        return content
