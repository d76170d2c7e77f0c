"""The contract of a predictor: from the outputs of the network to the scores that decide."""

from dataclasses import dataclass
from typing import ClassVar, Protocol

from torch import Tensor

from contsemi.discovery import Part
from contsemi.types import Outputs


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """The images of a task, as the network that predicts sees them now.

    Attributes:
        features: [n, F] of its unlabelled images.
        probs: [n, C], what the objective says of these; zeros where the label is known, and
            everywhere if it has nothing to say.
        known: bool [n], whether the label of one is known after all: it is among the labelled.
        columns: int64, the classes of the task, to one of which each image belongs; ``None``
            where images of other classes are among them.
        labelled: [L, F] of its labelled images.
        labels: int64 [L], their columns.
        moved: of the task's images and the exemplars, features by the network of the end of the
            previous task [m, F], by that of now [m, F], and the weight [m] of each; ``None`` in
            the first task, or where no predictor asked for that network.
        ids: int64 [n], stream-wide ids of the unlabelled images.
        labelled_ids: int64 [L].
        mixed: whether they may be of no class at all, or have been here before.
    """

    features: Tensor
    probs: Tensor
    known: Tensor
    columns: Tensor | None
    labelled: Tensor
    labels: Tensor
    moved: tuple[Tensor, Tensor, Tensor] | None
    ids: Tensor
    labelled_ids: Tensor
    mixed: bool


class Asked(Protocol):
    """What a predictor may ask: the learner, and nothing of the files or of hidden labels."""

    @property
    def num_seen(self) -> int:
        """Classes seen so far."""

    @property
    def between_tasks(self) -> bool:
        """Whether no task is at hand."""

    def objective_scores(self, outputs: Outputs) -> Tensor:
        """The objective's own scores [N, num_seen]."""

    def material(self) -> Material:
        """Of the task at hand; images are looked at anew in each call."""

    def labelled_outputs(self) -> tuple[Outputs, Tensor] | None:
        """Outputs and columns of the labelled images at hand; ``None`` where there is none."""


class Predictor(Part):
    """How outputs become a class: one file a way.

    What it keeps of a task is saved, restored and counted with the run.

    Attributes:
        is_objective: whether its scores are the objective's own.
        needs_past: whether the network of the end of the previous task has to be kept for it.
        needs_still: whether it is right only for a backbone that is never trained.
        left_out: share of the unlabelled images that fitted no class, of a pool that may hold
            anything; ``None`` where none was looked at.
    """

    group: ClassVar[str] = "predict"
    is_objective: ClassVar[bool] = False
    needs_past: ClassVar[bool] = False
    needs_still: ClassVar[bool] = False
    left_out: float | None = None

    def scores(self, outputs: Outputs, asked: Asked) -> Tensor:
        """Scores [N, num_seen] of N un-augmented images; the greatest is the prediction."""
        raise NotImplementedError

    def space(self, outputs: Outputs, asked: Asked) -> tuple[Tensor, Tensor] | None:
        """The space in which it decides: images [N, D], and what stands for each class there.

        The latter is [num_seen, D], NaN for a class that nothing stands for. ``None`` where it is
        the space of the prototypes, or of the labelled images' features.
        """
        return None

    def changed(self) -> None:
        """The network or the images at hand have changed: what was worked out is stale."""

    def end(self, asked: Asked) -> None:
        """A task is over: time to keep something of it."""

    @property
    def memory_bytes(self) -> int:
        """Bytes that are kept of earlier tasks."""
        return 0

    def bytes_of(self, width: int, classes: int) -> int:
        """Bytes of its state after so many classes, of features [width]; 0 where they are few."""
        return 0

    def state(self) -> dict[str, Tensor]:
        """What is kept, by name."""
        return {}

    def load(self, state: dict[str, Tensor]) -> None:
        """Takes it back; of an empty state nothing was kept."""
