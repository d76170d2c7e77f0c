"""The contract of a further operation on views."""

from typing import ClassVar

from contsemi.discovery import Part
from contsemi.views.draws import Drawn, Draws


class Operation(Part):
    """What is done to each augmented view, after the operations that every policy has.

    It draws everything random when it is asked, so that views are the same on any number of
    processes; what it drew then works on the images.
    """

    group: ClassVar[str] = "views.drawn"

    def draw(self, draws: Draws, side: int) -> Drawn:
        """What is done to the views of a batch.

        Args:
            draws: the only source of random numbers, one row a view.
            side: of the views in pixels.
        """
        raise NotImplementedError
