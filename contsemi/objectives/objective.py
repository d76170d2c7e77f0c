"""The contract of an objective: six members, nothing else."""

from collections.abc import Sequence

from torch import Tensor, nn

from contsemi.errors import InputError
from contsemi.types import Experience, Needs, Outputs, Step

__all__ = ["Objective", "ema_momenta", "enough_views", "one_of"]


class Objective(nn.Module):
    """What is learned from labelled and unlabelled images: one file a paper.

    An objective never asks the loop, the data or the configuration for anything: it declares its
    ``needs``, gets one :class:`~contsemi.types.Step` at a time and returns named terms; the
    engine weighs and sums them. Parameters and buffers that it registers are trained, saved and
    restored with the run.
    """

    needs: Needs

    def begin(self, experience: Experience) -> None:
        """A task begins; the network's heads already have ``experience.num_seen`` columns."""

    def terms(self, step: Step) -> dict[str, Tensor]:
        """The scalar terms of the loss, by the names that ``weights`` in the YAML has."""
        raise NotImplementedError

    def after_step(self) -> None:
        """The optimiser has stepped."""

    def end(self, experience: Experience) -> None:
        """The task is over."""

    def predict(self, outputs: Outputs, supports: tuple[Outputs, Tensor] | None) -> Tensor:
        """Scores over all seen columns; the greatest is the prediction.

        Args:
            outputs: of N un-augmented images, with the heads of ``needs``.
            supports: outputs [S] and columns [S] of the labelled images at hand (exemplars and
                the current task's), where ``needs.supports_at_test`` asks for them.

        Returns:
            [N, num_seen].
        """
        raise NotImplementedError


def ema_momenta(teacher: Sequence[float], *, required: bool = False) -> tuple[float, float] | None:
    """The key ``teacher`` of a YAML file as :class:`Needs` has it: [start, end], or [] for none.

    Raises:
        InputError: another number of momenta, or none where one is required.
    """
    if len(teacher) != 2 and (required or len(teacher)):
        raise InputError(
            "objective.teacher",
            f"expected the EMA's momentum at the start and at the end of a task, got {teacher}",
            "write for example [0.99,1.0]",
        )
    return (float(teacher[0]), float(teacher[1])) if len(teacher) else None


def enough_views(large_views: int) -> None:
    """Refuses a single large view.

    Raises:
        InputError: there is just one.
    """
    if large_views == 1:
        raise InputError(
            "objective.large_views",
            "one view has no other to predict",
            "use 2 or more, or 0 to learn from labels alone",
        )


def one_of(key: str, value: str, *allowed: str) -> None:
    """Refuses a choice that there is not.

    Raises:
        InputError: ``value`` is none of those allowed.
    """
    if value not in allowed:
        raise InputError(
            f"objective.{key}",
            f"expected {' or '.join(allowed)}, got {value!r}",
            f"use {allowed[0]}",
        )
