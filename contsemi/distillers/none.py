"""Nothing is kept of the past: the plain objective."""

from dataclasses import dataclass

from torch import Tensor

from contsemi.distillers.distiller import Distiller
from contsemi.types import Needs, Step


@dataclass(kw_only=True, eq=False)
class NoDistiller(Distiller):
    """No terms."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.needs, self.reweighs = Needs(), True

    def terms(self, step: Step) -> dict[str, Tensor]:
        """None."""
        return {}
