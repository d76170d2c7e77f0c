"""Experiences that come one by one, from anywhere, their number and classes not known before."""

import torch
from torch import Tensor

from contsemi.types import Experience


class Arrivals:
    """Gives columns to classes in their order of arrival, so that heads can grow with them.

    Classes that arrive together get their columns in ascending order of their ids, whatever the
    order of the rows. Classes may return: they keep their columns.

    Attributes:
        class_order: class ids seen so far, by column.
    """

    def __init__(self) -> None:
        self.class_order: list[int] = []
        self._index = 0

    def add(
        self,
        labelled: Tensor,
        classes: Tensor,
        unlabelled: Tensor,
        present: Tensor | None = None,
    ) -> Experience:
        """The next experience.

        Args:
            labelled: int64 [n], rows of the image array that have a label; may be empty.
            classes: int64 [n], the class ids of those labels.
            unlabelled: int64 [m], rows whose images may be used without a label.
            present: int64, the class ids that these images may be of; ``None`` for those of the
                labels. Where some of them have no label here, or none has, an image may be of any
                class seen so far.

        Raises:
            ValueError: ``labelled`` and ``classes`` differ in length, or an id is negative.
        """
        if labelled.shape != classes.shape or labelled.ndim != 1:
            raise ValueError(f"{len(labelled)} labelled rows, but {len(classes)} classes")
        named = torch.unique(classes).tolist()
        if named and named[0] < 0:
            raise ValueError(f"class ids start at 0, not {named[0]}")
        num_old = len(self.class_order)
        self.class_order += [number for number in named if number not in self.class_order]
        columns = tuple(sorted(self.class_order.index(number) for number in named))
        experience = Experience(
            index=self._index,
            columns=columns,
            num_old=num_old,
            num_seen=len(self.class_order),
            labelled=labelled,
            labels=self.columns_of(classes),
            unlabelled=unlabelled,
            class_names=tuple(str(self.class_order[column]) for column in columns),
            pool_columns=self._in_pool(columns, named, present),
            mixed_pool=present is not None and not set(present.tolist()) <= set(named),
        )
        self._index += 1
        return experience

    def _in_pool(
        self, columns: tuple[int, ...], named: list[int], present: Tensor | None
    ) -> tuple[int, ...]:
        if present is None or set(present.tolist()) <= set(named):
            return columns
        return tuple(range(len(self.class_order)))

    def columns_of(self, classes: Tensor) -> Tensor:
        """Columns [n] of class ids [n]; -1 for classes that have not arrived."""
        largest = int(classes.max()) if len(classes) else 0
        table = torch.full((max([largest, *self.class_order]) + 1,), -1)
        table[self.class_order] = torch.arange(len(self.class_order))
        return table[classes]
