"""Nothing is kept of the past: the plain objective."""

from torch import Tensor

from contsemi.distillers.distiller import Distiller
from contsemi.types import Needs, Step

__all__ = ["NoDistiller"]


class NoDistiller(Distiller):
    """No terms."""

    def __init__(self) -> None:
        super().__init__()
        self.needs = Needs()

    def terms(self, step: Step) -> dict[str, Tensor]:
        """None."""
        return {}
