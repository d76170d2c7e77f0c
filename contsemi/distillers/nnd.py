"""Nearest-neighbour distillation: each image keeps its soft vote among old classes' supports.

Source: Kang et al. 2023, "A soft nearest-neighbor framework for continual semi-supervised
learning" (NNCSL), eq. 5. The supports are the exemplars of old classes in the batch, seen by both
networks, and, beyond the paper, rows of the embedding memory: images of which only the embedding
is left. Those rows stay where the frozen network put them, so they also hold the embedding space
in place while the network learns.
"""

import torch
from torch import Tensor

from contsemi.distillers.distiller import Distiller
from contsemi.losses.cross_entropy import smooth_labels
from contsemi.losses.distil import nearest_neighbour_distillation
from contsemi.losses.nearest import soft_nearest_neighbours
from contsemi.types import Needs, Past, Step

__all__ = ["NearestNeighbourDistillation"]


class NearestNeighbourDistillation(Distiller):
    """The frozen network's soft nearest-neighbour classes are the target of the current one's.

    Args:
        temperature: of the similarities.
        smoothing: of the supports' labels.
        memory: whether rows of the embedding memory are supports too.
    """

    def __init__(self, *, temperature: float, smoothing: float, memory: bool) -> None:
        super().__init__()
        self.temperature, self.smoothing = temperature, smoothing
        self.needs = Needs(heads=("projector",), past=True, memory=memory)

    def terms(self, step: Step) -> dict[str, Tensor]:
        """``distillation``: mean cross-entropy of old and new votes over all unlabelled views."""
        past = step.past
        if past is None or step.large is None:
            return {}
        labels, weights, rows_now, rows_then = self._supports(step, past)
        if len(labels) == 0:
            return {}
        now = [part["projector"] for part in (step.large, step.small) if part is not None]
        then = [part["projector"] for part in (past.large, past.small) if part is not None]
        with torch.no_grad():
            targets = soft_nearest_neighbours(
                torch.cat(then), rows_then, labels, temperature=self.temperature, weights=weights
            )
        votes = soft_nearest_neighbours(
            torch.cat(now), rows_now, labels, temperature=self.temperature, weights=weights
        )
        return {"distillation": nearest_neighbour_distillation(votes, targets)}

    def _supports(self, step: Step, past: Past) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Soft labels, weights, and embeddings now and then of all supports."""
        columns = past.num_classes
        device = step.columns.device
        labels, weights = [torch.empty(0, columns, device=device)], [torch.empty(0, device=device)]
        now: list[Tensor] = []
        then: list[Tensor] = []
        if step.labelled is not None and past.labelled is not None:
            views = len(step.labelled) // len(step.labels)
            old = (step.labels < columns).repeat(views)
            known = step.labels.clamp(max=columns - 1)  # rows of new classes weigh nothing
            labels.append(smooth_labels(known, columns, smoothing=self.smoothing).repeat(views, 1))
            weights.append(old.float())
            now.append(step.labelled["projector"])
            then.append(past.labelled["projector"])
        if step.memory is not None:
            labels.append(step.memory.probs[:, :columns])
            weights.append(torch.ones(len(step.memory.probs), device=device))
            now.append(step.memory.embeddings)
            then.append(step.memory.embeddings)
        if not now:
            return labels[0], weights[0], labels[0], labels[0]
        return torch.cat(labels), torch.cat(weights), torch.cat(now), torch.cat(then)
