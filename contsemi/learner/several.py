"""Several distillers at once: each has its own terms and its own weights."""

from collections.abc import Mapping
from functools import reduce
from operator import or_

from torch import Tensor, nn

from contsemi.distillers.distiller import Distiller
from contsemi.learner.terms import checked_terms
from contsemi.types import Experience, Step


class SeveralDistillers(Distiller):
    """What all of them need is prepared once; their terms are told apart by the distiller's name.

    Args:
        parts: name -> distiller; at least one.

    Raises:
        ValueError: they contradict each other in what they need.
    """

    def __init__(self, parts: Mapping[str, Distiller]) -> None:
        super().__init__()
        self.parts = nn.ModuleDict(dict(parts))
        self.needs = reduce(or_, (part.needs for part in parts.values()))
        self.reweighs = all(part.reweighs for part in parts.values())

    def each(self) -> Mapping[str, Distiller]:
        """The distillers by name."""
        return self.parts  # type: ignore[return-value]

    def begin(self, experience: Experience) -> None:
        """A task begins."""
        for part in self.each().values():
            part.begin(experience)

    def terms(self, step: Step) -> dict[str, Tensor]:
        """Each distiller's terms, as ``distiller.term``."""
        return {
            f"{name}.{term}": value
            for name, part in self.each().items()
            for term, value in checked_terms(part, step).items()
        }

    def after_step(self) -> None:
        """The optimiser has stepped."""
        for part in self.each().values():
            part.after_step()

    def end(self, experience: Experience) -> None:
        """The task is over."""
        for part in self.each().values():
            part.end(experience)
