"""A task of the stream, and its pool of unlabelled images."""

from dataclasses import KW_ONLY, dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from contsemi.types.outputs import Outputs


def _nothing() -> Tensor:
    return torch.empty(0, dtype=torch.int64)


@dataclass(frozen=True, slots=True)
class Experience:
    """One task of the stream as training may see it; hidden labels are not in it.

    Attributes:
        index: position in the stream, from 0.
        columns: columns of the task's classes (a range of consecutive ints, unless classes return).
        num_old: classes seen before this task.
        num_seen: classes seen including this task.
        labelled: int64 [n], rows of the image array that have a label.
        labels: int64 [n], the columns of those labels.
        unlabelled: int64 [P], rows whose images may be used without a label: the task's pool.
        class_names: names of this task's classes, in the order of ``columns``.
        coarse: int64 [n], the coarse classes of the labelled rows, -1 unknown.
        coarse_only: int64 [m], rows of which only the coarse class is known.
        coarse_only_labels: int64 [m], that class.
        coarse_of: int64 [num_seen], the coarse class of each column, -1 unknown.
        num_coarse: coarse classes there are; 0 where the images have none.
        pool_columns: columns that the pool's images may be of: the task's own if it is not given,
            or all seen ones where the task has none.
        mixed_pool: whether the pool may also hold images of no class at all, or images that other
            tasks' pools hold.
    """

    index: int
    columns: tuple[int, ...]
    num_old: int
    num_seen: int
    labelled: Tensor
    labels: Tensor
    unlabelled: Tensor
    class_names: tuple[str, ...] = ()
    _: KW_ONLY
    coarse: Tensor = field(default_factory=_nothing)
    coarse_only: Tensor = field(default_factory=_nothing)
    coarse_only_labels: Tensor = field(default_factory=_nothing)
    coarse_of: Tensor = field(default_factory=_nothing)
    num_coarse: int = 0
    pool_columns: tuple[int, ...] = ()
    mixed_pool: bool = False

    def __post_init__(self) -> None:
        if not self.pool_columns:
            pool = self.columns or tuple(range(self.num_seen))
            object.__setattr__(self, "pool_columns", pool)
        for name, length in (("coarse", len(self.labelled)), ("coarse_of", self.num_seen)):
            if not len(getattr(self, name)) and length:  # not given
                object.__setattr__(self, name, torch.full((length,), -1))


class Pool(Protocol):
    """The unlabelled images of a task, as networks see them without augmentation.

    What each network says is computed once, in chunks, and forgotten when the network changes.

    Attributes:
        ids: int64 [P], stream-wide ids; an image's place in the pool is its position here.
        labels: int64 [P], columns of the images whose label this run has, else -1.
        columns: int64 [C_t], the columns that the images may be of.
    """

    ids: Tensor
    columns: Tensor

    @property
    def labels(self) -> Tensor:
        """See above."""

    def outputs(self, network: str, *heads: str) -> Outputs:
        """What a network says of all images, [P, ...], in evaluation mode, without gradient.

        Args:
            network: ``student``, ``teacher``, ``past`` (the newest), or ``predicting`` for the one
                that predicts: the teacher where there is one, else the student.
            heads: names; all that the method needs if none is given.
        """

    def labelled(self, network: str, *heads: str) -> tuple[Outputs, Tensor]:
        """What a network says of the labelled images at hand, exemplars among them; their columns.

        Args:
            network: as above.
            heads: as above.

        Returns:
            Outputs of L images, and int64 [L].
        """

    def nearest(self, rows: Tensor, number: int) -> tuple[Tensor, Tensor]:
        """The rows nearest to each of them, by the index that ``memory.index`` names.

        Args:
            rows: [N, D] unit rows.
            number: K of them, the row itself among these.

        Returns:
            Cosines [N, K'] and int64 places [N, K'], K' = min(K, N); -inf and -1 for none.
        """

    def images(self, places: Tensor) -> Tensor:
        """Images uint8 [n, 3, S, S] on the device; to be asked for in chunks."""

    def draw(self, purpose: str) -> torch.Generator:
        """As :meth:`Step.draw`."""
