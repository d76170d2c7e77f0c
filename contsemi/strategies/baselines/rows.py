"""The labelled part of a stream as Avalanche experiences of row numbers."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

from avalanche.benchmarks import CLScenario, DatasetExperience
from avalanche.benchmarks.scenarios.generic_scenario import EagerCLStream
from avalanche.benchmarks.utils import DataAttribute
from avalanche.benchmarks.utils.classification_dataset import (
    TaskAwareSupervisedClassificationDataset as LabelledDataset,
)
from avalanche.benchmarks.utils.flat_data import ConstantSequence
from torch import Tensor
from torch.utils.data import Dataset

from contsemi.types import Experience


class _RowNumbers(Dataset[tuple[Tensor, int]]):
    """Row numbers and columns of the labelled images of a task."""

    def __init__(self, rows: Tensor, columns: Tensor) -> None:
        self.rows, self.columns = rows, columns

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, i: int) -> tuple[Tensor, int]:
        return self.rows[i], int(self.columns[i])


def labelled_stream(experiences: Sequence[Experience]) -> list[Any]:
    """An Avalanche train stream in which an image is its row number and a class its column.

    Images without a label are not in it. Items are triples with the task label 0, which LwF and
    DER ask for, but experiences have no ``task_labels``: to Avalanche they are class-incremental.

    Args:
        experiences: the tasks.
    """
    made = [_experience(experience) for experience in experiences]
    # iCaRL keeps images of the classes that its benchmark says are new: those that are labelled for
    # the first time. It sees only experiences with a label; classes without one come last.
    came: list[int] = []
    order: list[int] = []
    for each in experiences:
        if labelled := set(each.labels.tolist()):
            new = sorted(labelled.difference(order))
            came.append(len(new))
            order += new
    rest = sorted(set(range(experiences[-1].num_seen)).difference(order))
    facts = SimpleNamespace(n_classes_per_exp=[*came, len(rest)], classes_order=order + rest)
    for own in made:
        own.benchmark = facts
    return list(CLScenario([EagerCLStream("train", made)]).train_stream)


def _experience(experience: Experience) -> Any:
    columns = experience.labels.tolist()
    no_task = ConstantSequence(0, len(columns))  # which iCaRL's exemplars have, too
    attributes = [
        DataAttribute(columns, "targets"),
        DataAttribute(no_task, "targets_task_labels", use_in_getitem=True),
    ]
    data = _RowNumbers(experience.labelled, experience.labels)
    own = DatasetExperience(dataset=LabelledDataset([data], data_attributes=attributes))
    own.classes_in_this_experience = set(experience.columns)
    own.previous_classes = set(range(experience.num_old))
    own.classes_seen_so_far = set(range(experience.num_seen))
    return own
