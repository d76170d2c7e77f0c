"""The contract of an objective: six members, nothing else."""

from torch import Tensor, nn

from contsemi.types import Experience, Needs, Outputs, Step

__all__ = ["Objective"]


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
