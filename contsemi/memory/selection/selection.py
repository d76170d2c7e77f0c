"""The contract of an exemplar selection: the order in which a class gives up its places."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from contsemi.discovery import Part


@dataclass(frozen=True, slots=True, kw_only=True)
class Offered:
    """Images that a task offers to the memory.

    Attributes:
        labels: int64 [n], columns.
        ids: int64 [n], stream-wide ids.
        seed: of the run.
        features: gives [n, F], un-augmented, by the network that predicts.
        probs: gives [n, C], the objective's softmaxed scores of the same images.
    """

    labels: Tensor
    ids: Tensor
    seed: int
    features: Callable[[], Tensor]
    probs: Callable[[], Tensor]


class Selection(Part):
    """Which images are kept: one file a policy.

    Every policy is a number per image; a class keeps those of least number, so that what is kept
    with a smaller budget is always a part of what is kept with a larger one.
    """

    group: ClassVar[str] = "memory.selection"
    wants_probs: ClassVar[bool] = False  # whether it goes by what the objective says of images

    def priorities(self, offered: Offered) -> Tensor | None:
        """The order in which a class keeps its images: the least number first.

        Args:
            offered: at least one image.

        Returns:
            float64 [n]; ``None`` for the order of arrival.
        """
        raise NotImplementedError


def ranked_by_class(offered: Offered, order: Callable[[Tensor], Tensor]) -> Tensor:
    """Each image's place among those of its class.

    Args:
        offered: the images.
        order: from the unit features [m, F] of one class to the order int64 [m] of its images.

    Returns:
        float64 [n].
    """
    labels = offered.labels
    unit = functional.normalize(offered.features().float(), dim=1)
    rank = torch.zeros(len(labels), dtype=torch.float64, device=labels.device)
    for label in torch.unique(labels).tolist():
        places = (labels == label).nonzero().flatten()
        ranks = torch.arange(len(places), dtype=rank.dtype, device=rank.device)
        rank[places[order(unit[places])]] = ranks
    return rank
