"""Photos to learn from and photos to test on, kept apart over all lessons by their pixels.

A folder that grows between two lessons is divided anew, so that a photo of one side can come to the
other; lessons of the same photos under other names do it, too.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from contsemi.data.twins import row_digests


def digests(images: Tensor) -> Tensor:
    """A digest of the pixels of each image uint8 [N, 3, S, S], int64 [N]."""
    return torch.from_numpy(row_digests(images.numpy()).view(np.int64))


@dataclass(frozen=True, slots=True, eq=False)
class Past:
    """The photos of all lessons so far, by their digests.

    Attributes:
        learned: int64 [N] of those that a network or a classifier has seen.
        tested: int64 [M] of those that are kept for a test.
    """

    learned: Tensor
    tested: Tensor

    @classmethod
    def of(cls, state: Mapping[str, Any]) -> Self:
        """What a model's state says of them; a model of before has kept the tested ones alone."""
        none = torch.empty(0, dtype=torch.int64)
        held = state.get("held", {}).get("images")
        return cls(state.get("learned", none), none if held is None else digests(held))

    def free(self, images: Tensor) -> Tensor:
        """Which images may be learned from: those that no lesson tests on; bool [N]."""
        return ~torch.isin(digests(images), self.tested)

    def with_learned(self, images: Tensor) -> "Past":
        """The same after a lesson of these images."""
        return Past(torch.unique(torch.cat([self.learned, digests(images)])), self.tested)
