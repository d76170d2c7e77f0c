"""Past images kept as embeddings with soft labels: many more than fit as pixels.

A row is a unit embedding in half precision, a soft label over the classes known when it was
written, its stream-wide id and its task. Rows live in the embedding space of the network that
wrote them; when the network has moved on, :meth:`Embeddings.translate` carries them over by a
linear map fitted on images that both networks saw.

Invariants: never more rows than the budget; classes within one of each other as far as each has
rows; the same stream gives the same rows.
"""

import torch
from torch import Tensor
from torch.nn import functional

from contsemi.memory.exemplars import balanced_quota
from contsemi.memory.index import Index, Kind
from contsemi.types import MemoryRows

__all__ = ["Embeddings", "fit_drift"]


def fit_drift(old: Tensor, new: Tensor, ridge: float = 1e-2) -> Tensor:
    """The linear map that best carries an old embedding space into a new one.

    Ridge regression towards the identity: with few images the map stays close to "no drift".

    Args:
        old: [n, D] unit embeddings by the old network.
        new: [n, D] unit embeddings of the same images by the new one.
        ridge: weight of the identity, per image.

    Returns:
        [D, D] float32; ``old @ map`` approximates ``new``.
    """
    old, new = old.float(), new.float()
    eye = torch.eye(old.shape[1], device=old.device)
    gram = old.T @ old + ridge * len(old) * eye
    drift: Tensor = torch.linalg.solve(gram, old.T @ new + ridge * len(old) * eye)
    return drift


class Embeddings:
    """A class-balanced memory of embedding rows.

    Args:
        budget: rows kept over all classes.
        index: how rows are searched; see :class:`contsemi.memory.index.Index`.
    """

    def __init__(self, budget: int, index: Kind = "auto") -> None:
        self.budget, self.index = budget, index
        self._view: MemoryRows | None = None
        self.rows = torch.empty(0, 0, dtype=torch.float16)
        self.probs = torch.empty(0, 0, dtype=torch.float16)
        self.ids = torch.empty(0, dtype=torch.int64)
        self.tasks = torch.empty(0, dtype=torch.int64)

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def memory_bytes(self) -> int:
        """Bytes of the rows, their soft labels, ids and tasks."""
        return 2 * (self.rows.numel() + self.probs.numel()) + 16 * len(self)

    def add(self, rows: Tensor, probs: Tensor, ids: Tensor, task: int) -> None:
        """Takes a task's rows in, then drops what the budget has no room for.

        Each class keeps its most confident rows; a row counts for its most probable class.

        Args:
            rows: [n, D] unit embeddings.
            probs: [n, C] soft labels over all seen columns.
            ids: int64 [n], stream-wide ids.
            task: the task they were written in.
        """
        if not self.budget:
            return
        num_classes = probs.shape[1]
        new = [rows.half(), probs.half(), ids, torch.full_like(ids, task)]
        if len(self):
            old_probs = functional.pad(self.probs, (0, num_classes - self.probs.shape[1]))
            old = [self.rows, old_probs, self.ids, self.tasks]
            new = [torch.cat(pair) for pair in zip(old, new, strict=True)]
        confidence, column = new[1].float().max(1)
        counts = torch.bincount(column, minlength=num_classes)
        quota = balanced_quota(counts, self.budget)
        # By class, then by falling confidence; stable, so that ties keep the order of arrival.
        order = torch.argsort(confidence, descending=True, stable=True)
        order = order[torch.argsort(column[order], stable=True)]
        place = torch.arange(len(column), device=column.device)
        rank = place - (counts.cumsum(0) - counts)[column[order]]
        kept = order[rank < quota[column[order]]].sort().values
        self.rows, self.probs, self.ids, self.tasks = (x[kept] for x in new)
        self._view = None

    def translate(self, drift: Tensor) -> None:
        """Carries all rows into a new embedding space.

        Args:
            drift: [D, D], from :func:`fit_drift`.
        """
        if len(self):
            self.rows = functional.normalize(self.rows.float() @ drift, dim=1).half()
            self._view = None

    def view(self) -> MemoryRows | None:
        """The rows as a step sees them, in float32; ``None`` while there are none.

        Made once for all steps between two changes of the rows, and with it the index.
        """
        if self._view is None and len(self):
            rows = self.rows.float()
            index = Index(rows, self.index)
            self._view = MemoryRows(rows, self.probs.float(), self.tasks, index.search)
        return self._view

    def state(self) -> dict[str, Tensor]:
        """All rows, for a checkpoint."""
        return {"rows": self.rows, "probs": self.probs, "ids": self.ids, "tasks": self.tasks}

    def load(self, state: dict[str, Tensor]) -> None:
        """Takes the rows of :meth:`state` back."""
        self.rows, self.probs = state["rows"], state["probs"]
        self.ids, self.tasks = state["ids"], state["tasks"]
        self._view = None
