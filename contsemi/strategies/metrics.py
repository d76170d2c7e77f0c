"""contsemi's metrics for the ``EvaluationPlugin`` of any Avalanche strategy.

Avalanche 0.6 counts forgetting as first minus last, has no average incremental accuracy, no
task-incremental accuracy beside the class-incremental one, no stability gap and no calibration.
Here all of them come from the scores that an evaluation computes anyway.
"""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from avalanche.evaluation.metric_definitions import PluginMetric
from avalanche.evaluation.metric_results import MetricValue
from numpy.typing import NDArray
from torch import Tensor

from contsemi.errors import InputError
from contsemi.metrics.answers import Answered
from contsemi.metrics.matrix import Matrix, Undefined
from contsemi.metrics.stability import summarise_trajectory
from contsemi.metrics.summary import METRICS, summarise
from contsemi.metrics.trajectory import Trajectory, as_trajectory

KINDS = ("class_incremental", "task_incremental")


def continual_metrics(*, stream: str = "test") -> "list[ContinualMetrics]":
    """The metrics, as Avalanche's own factories return theirs.

    ``EvaluationPlugin(continual_metrics(), loggers=[...])``, and ``strategy.eval(test_stream)``
    after each experience. With ``eval_every=n, peval_mode="iteration"`` the stability gap is
    measured too.

    Args:
        stream: name of the stream whose evaluations count.
    """
    return [ContinualMetrics(stream=stream)]


class ContinualMetrics(PluginMetric):  # type: ignore[misc]
    """Accuracy matrices and trajectories of one strategy, and the metrics of both.

    Class-incremental takes the greatest of all scores, as Avalanche's accuracy does;
    task-incremental the greatest among the classes of the image's own experience. Tasks are
    counted in the order in which experiences are trained; test experiences whose twin was not
    trained yet are not counted. Calibration takes scores for logits, as cross-entropy does. A
    metric that is not defined yet is not emitted; :attr:`undefined` says why.

    Where test experiences are no twins of those that are trained, as with the one complete test
    experience of new instances, no task is measured by itself and forgetting is not defined. Then
    the share of right answers among all images is emitted as ``accuracy``, and its mean over the
    experiences trained so far as ``accuracy_over_time``.

    Args:
        stream: name of the stream whose evaluations count.

    Attributes:
        order: ids of the experiences in the order of training.
        last: the values that were emitted last, by name.
        undefined: why other metrics were not emitted, by name.
        twins: whether each test experience belongs to one that is trained.
        answered: what the last evaluation answered, image by image in its order: confusion,
            reliability and every per-class number come from it; ``None`` before the first.
    """

    def __init__(self, *, stream: str = "test") -> None:
        if not isinstance(stream, str) or not stream:
            problem = f"expected the name of a stream, got {stream!r:.40}"
            raise InputError("continual_metrics(stream)", problem, "for example 'test'")
        super().__init__()
        self.stream = stream
        self.reset()

    def reset(self) -> None:
        """Forgets everything."""
        self.order: list[int] = []
        self.steps = self.steps_before = 0
        self.answers: dict[int, list[Tensor]] = {}
        self.answered: Answered | None = None
        self.rows: dict[str, dict[int, dict[int, float]]] = {kind: {} for kind in KINDS}
        self.points: list[tuple[int, int, dict[str, dict[int, float]]]] = []
        self.last: dict[str, float] = {}
        self.undefined: dict[str, str] = {}
        self.twins = True
        self._trained = 0
        self._whole: dict[int, float] = {}

    def result(self) -> dict[str, float]:
        """The values that were emitted last."""
        return dict(self.last)

    def matrix(self, kind: str) -> Matrix:
        """R [T, T] of the experiences trained so far; NaN where not measured.

        Args:
            kind: ``class_incremental`` or ``task_incremental``.
        """
        found = np.full((len(self.order), len(self.order)), np.nan)
        for row, cells in self.rows[kind].items():
            self._fill(found[row], cells, row)
        return found

    def over_time(self) -> NDArray[np.float64]:
        """Share [T] of right answers among all test images, by experience; NaN: not asked."""
        return np.array([self._whole.get(task, np.nan) for task in range(len(self.order))])

    def trajectory(self, kind: str) -> Trajectory | None:
        """Every evaluation, over training iterations; ``None`` before the first.

        Args:
            kind: ``class_incremental`` or ``task_incremental``.
        """
        if not self.points:
            return None
        accuracy = np.full((len(self.points), len(self.order)), np.nan)
        for index, (_, task, cells) in enumerate(self.points):
            self._fill(accuracy[index], cells[kind], task)
        return as_trajectory(
            [step for step, _, _ in self.points], [task for _, task, _ in self.points], accuracy
        )

    def _fill(self, row: NDArray[np.float64], cells: Mapping[int, float], task: int) -> None:
        for column, experience in enumerate(self.order[: task + 1]):
            row[column] = cells.get(experience, np.nan)

    # What Avalanche calls

    def before_training_exp(self, strategy: Any) -> None:
        """A task begins; an experience that is trained again goes on with its own."""
        self._trained = _length(strategy.experience.origin_stream)
        experience = int(strategy.experience.current_experience)
        if experience not in self.order:
            self.order.append(experience)
            self.steps_before = self.steps

    def after_training_iteration(self, strategy: Any) -> None:
        """Counts the step."""
        super().after_training_iteration(strategy)
        self.steps += 1

    def before_eval(self, strategy: Any) -> None:
        """An evaluation begins."""
        self.answers = {}

    def after_eval_iteration(self, strategy: Any) -> None:
        """Keeps what was answered; the host does not wait for it."""
        super().after_eval_iteration(strategy)
        experience = strategy.experience
        stream = experience.origin_stream
        if stream.name != self.stream:
            self._refuse_unknown(stream)
            return
        self._compare(_length(stream))
        scores, targets = strategy.mb_output.detach(), strategy.mb_y
        classes = torch.as_tensor(
            [c for c in sorted(experience.classes_in_this_experience) if c < scores.shape[1]],
            device=scores.device,
            dtype=torch.int64,
        )
        within = torch.full_like(targets, -1)
        if len(classes):
            within = classes[scores[:, classes].argmax(dim=1)]
        log_probs = scores.double().log_softmax(dim=1)
        sure, predicted = log_probs.max(dim=1)
        own = log_probs.gather(1, targets[:, None])[:, 0]
        answers = torch.stack([targets, predicted, within, sure.exp(), own])
        self.answers.setdefault(int(experience.current_experience), []).append(answers)

    def _refuse_unknown(self, other: Any) -> None:
        """A stream that the benchmark does not have would never be measured.

        Raises:
            InputError: there is no such stream.
        """
        known = getattr(getattr(other, "benchmark", None), "streams", None)
        if known and self.stream not in known:
            where = "continual_metrics(stream)"
            names = ", ".join(known)
            raise InputError(where, f"the benchmark has no stream {self.stream!r}", f"use {names}")

    def _compare(self, tests: int) -> None:
        """Are there as many test experiences as are trained?"""
        if not (self.twins and self._trained and tests) or tests == self._trained:
            return
        self.twins = False
        warnings.warn(
            f"contsemi metrics: {tests} test experiences for {self._trained} that are trained: "
            "accuracy over time is given, forgetting is not defined",
            stacklevel=2,
        )

    def after_eval(self, strategy: Any) -> list[Any] | None:
        """Takes the row in, and emits all that is defined."""
        if not self.order or not self.answers:
            return None
        answers = {n: torch.cat(parts, 1).cpu().numpy() for n, parts in self.answers.items()}
        cells = {
            kind: {n: float((each[place] == each[0]).mean()) for n, each in answers.items()}
            for kind, place in zip(KINDS, (1, 2), strict=True)
        }
        counted = [n for n in self.order if n in answers] if self.twins else list(answers)
        self.answered = _answered([answers[n] for n in counted])
        task = len(self.order) - 1
        # Before its first step a task has no row: the network is that of the task before.
        begun = self.steps > self.steps_before
        if begun:
            for kind in KINDS:
                self.rows[kind].setdefault(task, {}).update(cells[kind])
            if self.answered is not None:
                right = self.answered.predicted == self.answered.targets
                self._whole[task] = float(right.mean())
            if self.points and self.points[-1][0] == self.steps:
                self.points.pop()  # Avalanche evaluates twice at the end of an experience
            self.points.append((self.steps, task, cells))
        self.last = self._values(cells)
        return [
            MetricValue(self, name, value, strategy.clock.train_iterations)
            for name, value in self.last.items()
        ]

    def _values(self, cells: Mapping[str, Mapping[int, float]]) -> dict[str, float]:
        where = f"eval_phase/{self.stream}_stream"
        found = self._by_task(cells, where) if self.twins else self._together(where)
        if self.answered is not None:
            found[f"expected_calibration_error/{where}"] = self.answered.reliability().error
            found[f"negative_log_likelihood/{where}"] = self.answered.negative_log_likelihood()
        none = {name: value for name, value in found.items() if isinstance(value, Undefined)}
        self.undefined = {name: value.reason for name, value in none.items()}
        return {name: value for name, value in found.items() if not isinstance(value, Undefined)}

    def _by_task(
        self, cells: Mapping[str, Mapping[int, float]], where: str
    ) -> dict[str, float | Undefined]:
        """What the accuracies of each task on its own say."""
        found: dict[str, float | Undefined] = {}
        for kind in KINDS:
            for number, value in sorted(cells[kind].items()):
                found[f"accuracy/{kind}/{where}/Exp{number:03d}"] = value
            for name, metric in summarise(self.matrix(kind)).items():
                found[f"{name}/{kind}/{where}"] = metric
            trajectory = self.trajectory(kind)
            # With one evaluation a task there is nothing between the ends to speak of.
            if trajectory is not None and len(trajectory) > len(self.order):
                for name, metric in summarise_trajectory(trajectory).items():
                    found[f"{name}/{kind}/{where}"] = metric
        return found

    def _together(self, where: str) -> dict[str, float | Undefined]:
        """What the accuracy on all images says, where no task is measured by itself."""
        reason = "test experiences are no twins of those that are trained"
        found: dict[str, float | Undefined] = {
            f"{name}/{kind}/{where}": Undefined(reason) for kind in KINDS for name in METRICS
        }
        whole, end = self.over_time(), f"class_incremental/{where}"
        if np.isfinite(whole).any():
            found[f"accuracy/{end}"] = float(whole[np.isfinite(whole)][-1])
        if len(whole) and np.isfinite(whole).all():
            found[f"accuracy_over_time/{end}"] = float(whole.mean())
        return found

    def __str__(self) -> str:
        return "contsemi"


def _answered(parts: Sequence[NDArray[np.float64]]) -> Answered | None:
    """The answers of several experiences: rows of targets, predictions, and so on."""
    if not parts:
        return None
    targets, predicted, within, confidence, log_prob = np.concatenate(parts, axis=1)
    return Answered(
        rows=np.arange(len(targets), dtype=np.int32),
        targets=targets.astype(np.int32),
        predicted=predicted.astype(np.int32),
        within=within.astype(np.int32),
        confidence=confidence.astype(np.float32),
        log_prob=log_prob.astype(np.float32),
    )


def _length(stream: Any) -> int:
    """Experiences of a whole stream, also of a part of it; 0 where nobody knows."""
    whole = getattr(stream, "_full_length", stream.__len__ if hasattr(stream, "__len__") else None)
    return int(whole()) if whole is not None else 0
