"""The contract of a distiller: an objective's shape, with the frozen past in each step."""

from torch import Tensor, nn

from contsemi.types import Experience, Needs, Step

__all__ = ["Distiller"]


class Distiller(nn.Module):
    """What is kept of earlier tasks: one file a paper; composes with any objective.

    ``terms`` is called in every task; there is no frozen network in the first one.
    """

    needs: Needs

    def begin(self, experience: Experience) -> None:
        """A task begins."""

    def terms(self, step: Step) -> dict[str, Tensor]:
        """The scalar terms of the loss, by the names that ``weights`` in the YAML has."""
        raise NotImplementedError

    def after_step(self) -> None:
        """The optimiser has stepped."""

    def end(self, experience: Experience) -> None:
        """The task is over."""
