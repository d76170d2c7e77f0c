"""How sure to be: from what is said of labelled images while their labels are not known."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

# Temperatures that are tried; scores of Gaussians in many dimensions are far too sure.
_LOWEST, _HIGHEST, _TRIED = -3.0, 8.0, 441
_PREFIX = "trust."


@dataclass(frozen=True, slots=True)
class Trust:
    """Of the labelled images of all tasks, each left out once.

    Attributes:
        temperature: scalar, by which scores are divided to become honest logits.
        strangeness: [L], how far they were from every class; empty where nothing says that.
    """

    temperature: Tensor
    strangeness: Tensor

    @staticmethod
    def of(scores: Tensor, labels: Tensor, strangeness: Tensor) -> "Trust":
        """From scores [L, C] of images left out, their labels [L], and how strange they were."""
        return Trust(fitted_temperature(scores, labels), strangeness.float())

    def joined(self, newer: "Trust") -> "Trust":
        """The temperature of the newer, which knows all classes; what is strange by all images."""
        return Trust(newer.temperature, torch.cat([self.strangeness, newer.strangeness]))

    def state(self) -> dict[str, Tensor]:
        """Both, for a checkpoint."""
        return {
            f"{_PREFIX}temperature": self.temperature,
            f"{_PREFIX}strangeness": self.strangeness,
        }

    @staticmethod
    def taken_from(state: dict[str, Tensor]) -> "tuple[Trust | None, dict[str, Tensor]]":
        """What :meth:`state` had put into a state, and the rest of that."""
        own = {name: x for name, x in state.items() if name.startswith(_PREFIX)}
        rest = {name: x for name, x in state.items() if name not in own}
        if not own:
            return None, rest
        return Trust(*(own[f"{_PREFIX}{name}"] for name in ("temperature", "strangeness"))), rest


def fitted_temperature(scores: Tensor, labels: Tensor) -> Tensor:
    """The temperature under which scores [L, C] say the labels [L] best: the least cross-entropy.

    A scalar. Rows in which a score is minus infinity are left out.

    Source: Guo et al. 2017, temperature scaling; found on a fine grid, as its convexity allows.
    """
    whole = scores.isfinite().all(1)
    rows, labels = scores[whole].double(), labels[whole]
    tried = torch.logspace(_LOWEST, _HIGHEST, _TRIED, base=10, dtype=torch.float64)
    if not len(rows):
        return torch.ones((), dtype=torch.float32, device=scores.device)
    # As if one more image had been of any class: a few right answers do not make sure of all.
    doubt = 1 / (len(rows) + 1)
    losses = [
        functional.cross_entropy(rows / float(each), labels, label_smoothing=doubt)
        for each in tried
    ]
    return tried[int(torch.stack(losses).argmin())].float().to(scores.device)
