"""Each image of the stream with the same probability."""

from dataclasses import dataclass

from torch import Tensor

from contsemi.memory.selection.selection import Offered, Selection
from contsemi.seeding import derive

_MIX = (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB)  # of splitmix64


@dataclass(kw_only=True, eq=False)
class Reservoir(Selection):
    """A number drawn for each id alone, whenever it comes.

    Source: Vitter 1985, "Random sampling with a reservoir".
    """

    def priorities(self, offered: Offered) -> Tensor:
        """The least drawn number first."""
        return _drawn(offered.ids, offered.seed)


def _drawn(ids: Tensor, seed: int) -> Tensor:
    """A number in [0, 1) for each id, the same whenever it is asked for (splitmix64)."""
    first, second, third = (x - 2**64 if x >= 2**63 else x for x in _MIX)
    # Seeds that lie side by side must not: id + seed would be the same for other ids of another.
    mixed = (ids ^ derive(seed, "reservoir")) * first
    mixed = (mixed ^ (mixed >> 30 & (1 << 34) - 1)) * second
    mixed = (mixed ^ (mixed >> 27 & (1 << 37) - 1)) * third
    mixed = mixed ^ (mixed >> 31 & (1 << 33) - 1)
    return (mixed >> 11 & (1 << 53) - 1).double() / 2**53
