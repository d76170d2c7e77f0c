"""Several stores as one."""

from collections.abc import Sequence

import torch
from torch import Tensor

from contsemi.stores.resident import Resident
from contsemi.stores.store import Cut, ImageStore, Some


class Chain(ImageStore):
    """The images of several stores of one side, those of each behind those of the one before.

    Args:
        parts: at least one.
    """

    def __init__(self, parts: Sequence[ImageStore]) -> None:
        self.parts = list(parts)
        first = parts[0]
        self.device, self.side, self.channels = first.device, first.side, first.channels
        self.ahead = any(part.ahead for part in parts)
        lengths = torch.tensor([len(part) for part in parts])
        self._ends = lengths.cumsum(0)
        self._starts = self._ends - lengths

    def __len__(self) -> int:
        return int(self._ends[-1])

    def take(self, ids: Tensor) -> Tensor:
        """Some of the images."""
        ids = ids.cpu()
        if len(ids) and not 0 <= int(ids.min()) <= int(ids.max()) < len(self):
            raise IndexError(f"rows {int(ids.min())} to {int(ids.max())} of {len(self)} images")
        places = self._places(ids)
        found = [
            part.take(ids[own] - start)
            for part, own, start in zip(self.parts, places, self._starts, strict=True)
        ]
        order = torch.cat(places).argsort()
        return torch.cat(found).index_select(0, order.to(self.device, non_blocking=True))

    def on(self, device: torch.device, share: int = 1) -> ImageStore:
        """The same images for another device."""
        return Chain([part.on(device, share) for part in self.parts])

    def expect(self, ids: Tensor, cuts: Sequence[Cut] | None = None) -> None:
        """Says what will soon be taken."""
        ids = ids.cpu()
        for part, own, start in zip(self.parts, self._places(ids), self._starts, strict=True):
            part.expect(ids[own] - start)

    def _places(self, ids: Tensor) -> list[Tensor]:
        """Which of the rows are of each part."""
        of = torch.bucketize(ids, self._ends, right=True)
        return [(of == number).nonzero()[:, 0] for number in range(len(self.parts))]


def chained(first: ImageStore, second: ImageStore) -> ImageStore:
    """The images of both, in the simplest form: arrays as an array, parts of a store as a part."""
    if isinstance(first, Resident) and isinstance(second, Resident):
        return Resident(torch.cat([first.all(), second.all()]))
    if isinstance(first, Some) and isinstance(second, Some) and first.whole is second.whole:
        return Some(first.whole, torch.cat([first.ids, second.ids]))
    return Chain([first, second])
