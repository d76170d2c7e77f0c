"""What a run measures beside its accuracy matrices, on the evaluator's side alone.

Here the labels that the budget hides are known. They reach files and nothing else: training is the
same to the bit, whatever is studied (``tests/test_honesty.py``).
"""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from contsemi.config import Config
from contsemi.data.scenario import Stream, TestSet
from contsemi.evaluation.answers import Evaluation
from contsemi.evaluation.discovery import Discovery
from contsemi.evaluation.predicts import HasFeatures, Predicts
from contsemi.evaluation.probing import Probes
from contsemi.evaluation.trace import fixed_subset
from contsemi.metrics.answers import Answered
from contsemi.metrics.hierarchy import coarse_accuracy, distance_of_mistakes
from contsemi.metrics.label_coverage import label_coverage
from contsemi.metrics.matrix import Undefined
from contsemi.metrics.probes.probe import Probe
from contsemi.metrics.pseudo_labels import pseudo_label_quality
from contsemi.records.records import Records
from contsemi.stores.store import Images


class Study:
    """Measures after each task, and writes it down.

    Args:
        config: the run.
        stream: the tasks.
        train_targets: int64 [N], true class ids of the training images.
        test_images: uint8 [N, 3, S, S], or a store.
        records: where to write.

    Attributes:
        hidden: int64 [N], the true column of each training image; -1 for classes not in use.
        drawn: int64, rows of the test images of which embeddings are written.
    """

    def __init__(
        self,
        config: Config,
        stream: Stream,
        train_targets: Tensor,
        test_images: Images,
        records: Records,
    ) -> None:
        self.asked, self.stream, self.records = config.evaluate, stream, records
        self.hidden = _columns(train_targets, stream)
        few = fixed_subset(stream.test, config.evaluate.embeddings, config.seed)
        self.drawn = torch.cat([task.indices for task in few]).numpy()
        if not config.evaluate.embeddings:
            self.drawn = self.drawn[:0]
        self.discovery = None
        if config.evaluate.discovery != "none":
            self.discovery = Discovery(
                stream,
                train_targets,
                number=config.evaluate.discovery,
                images=config.evaluate.images,
                seed=config.seed,
            )
        self.probes = None
        if config.evaluate.probes:
            self.probes = Probes(
                probes=list(Probe.several(config.evaluate.probes).values()),
                bank=self._bank(config.evaluate.probe_images, config.seed),
                bank_images=stream.images,
                test=fixed_subset(stream.test, config.evaluate.images, config.seed),
                test_images=test_images,
                seed=config.seed,
            )

    def begin(self, asked: HasFeatures) -> None:
        """Asks the untrained network, which forward transfer is measured from."""
        if self.probes is not None:
            self._write("probe", self.probes.ask(asked, 0), task=-1, step=0)

    def after_task(self, asked: Predicts, measured: Evaluation, task: int, step: int) -> None:
        """Measures at the end of a task.

        Args:
            asked: what is studied.
            measured: its evaluation.
            task: from 0.
            step: optimiser steps done since the start of the run.
        """
        answered = measured.answers
        assert answered is not None
        self.records.write_answers(answered, task, self.stream.test_files)
        calibration = {
            "expected_calibration_error": answered.reliability().error,
            "negative_log_likelihood": answered.negative_log_likelihood(),
        }
        self._write("calibration", calibration, task=task, step=step)
        self._write("labels", self._coverage(task), task=task, step=step)
        if self.stream.experiences[task].num_coarse:
            self._write("hierarchy", self._hierarchy(answered, task), task=task, step=step)
        if self.probes is not None:
            found = self.probes.ask(asked, task + 1, self._trained(task))
            self._write("probe", found, task=task, step=step)
        if self.discovery is not None:
            found = self.discovery.after_task(asked, task)
            self._write("discovery", found, task=task, step=step)
        if self.asked.pseudo_labels is not None:
            found = self._pseudo_labels(asked, task, self.asked.pseudo_labels)
            self._write("pseudo_labels", found, task=task, step=step)

    def _write(
        self, group: str, values: Mapping[str, float | Undefined], *, task: int, step: int
    ) -> None:
        for name, value in values.items():
            self.records.metric(step=step, task=task, name=f"{group}/{name}", value=value)

    def _trained(self, task: int) -> list[int]:
        """Columns of which an image has come up to a task; the same for every method.

        Of images of another folder nobody knows the class.
        """
        tasks = self.stream.experiences[: task + 1]
        kinds = [(each.labelled, each.unlabelled, each.coarse_only) for each in tasks]
        rows = torch.cat([rows for each in kinds for rows in each])
        found: list[int] = torch.unique(self.hidden[rows[rows < len(self.hidden)]]).tolist()
        return found

    def _coverage(self, task: int) -> dict[str, float | Undefined]:
        """How the labels of a task are spread over its classes."""
        experience = self.stream.experiences[task]
        if not experience.columns:
            return {"covered": Undefined("the task has no class")}
        found = label_coverage(experience.labels.numpy(), np.array(experience.columns))
        return {"covered": found.covered, "least": found.least, "most": found.most}

    def _hierarchy(self, answered: Answered, task: int) -> dict[str, float | Undefined]:
        """How far mistakes go astray among the coarse classes."""
        above = self.stream.experiences[task].coarse_of.numpy()
        said = answered.predicted, answered.targets
        return {
            "coarse_accuracy": coarse_accuracy(*said, above),
            "distance_of_mistakes": distance_of_mistakes(*said, [above]),
        }

    def _bank(self, images: int, seed: int) -> list[TestSet]:
        """Training images of each task with their true columns."""
        tasks = []
        for task in self.stream.test:
            rows = torch.isin(self.hidden, torch.tensor(task.columns)).nonzero().squeeze(1)
            tasks.append(TestSet(task.columns, rows, self.hidden[rows]))
        return fixed_subset(tasks, images, seed, "probes")

    def _pseudo_labels(
        self, asked: Predicts, task: int, threshold: float
    ) -> dict[str, float | Undefined]:
        """What is said of the task's images without a label, against the truth."""
        experience = self.stream.experiences[task]
        rows = experience.unlabelled[~torch.isin(experience.unlabelled, experience.labelled)]
        if not len(rows):
            nothing = Undefined("there are no unlabelled images")
            return {"precision": nothing, "coverage": nothing}
        with torch.no_grad():
            probs = asked.scores(asked.look(self.stream.images, rows)).softmax(1).cpu()
        sure, given = probs.max(1)
        truth = torch.full((len(self.stream.images),), -1)
        truth[: len(self.hidden)] = self.hidden
        quality = pseudo_label_quality(
            given.numpy(), truth[rows].numpy(), sure.numpy(), threshold=threshold
        )
        return {"precision": quality.precision, "coverage": quality.coverage}


def _columns(targets: Tensor, stream: Stream) -> Tensor:
    """int64 [N], the column of each class id; -1 for classes that are not in use."""
    highest = max(int(targets.max()), *stream.class_order)
    column_of = torch.full((highest + 1,), -1)
    column_of[list(stream.class_order)] = torch.arange(len(stream.class_order))
    return column_of[targets]
