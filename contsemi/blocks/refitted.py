"""A classifier that is not trained with the network, but now and then, on stored embeddings."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from contsemi.blocks.block import Block
from contsemi.blocks.fifo import Fifo
from contsemi.types import Experience

BATCH = 256


class Refitted(Block):
    """An MLP D-2D-C on the newest labelled embeddings; no gradient reaches the network.

    Each pass goes over them in an order of its own, drawn as the newest of them came with. The
    weights go on from fit to fit, those of new classes from zero.

    Args:
        rows: stored; the oldest leave first.
        every: optimiser steps between two fits; the end of a task is one, too.
        epochs: passes over the stored rows of a fit.
        current_only: whether every task begins without stored rows.

    Source: Tejankar, Navaneet et al. 2022 (CMSF): SGD with a rate of 0.01, momentum 0.9 and weight
        decay 1e-4, 10 passes twice an epoch.
    """

    def __init__(self, rows: int, *, every: int, epochs: int = 10, current_only: bool) -> None:
        super().__init__()
        self.stored = Fifo(rows, current_only=current_only)
        self.every, self.epochs = every, epochs
        self.steps, self.num_seen, self.written, self.seed = 0, 0, 0, 0
        # In a list, where the optimiser of the network does not find it.
        self._model: list[_Mlp] = []

    def begin(self, experience: Experience) -> None:
        """One output more for each new class."""
        self.stored.begin(experience)
        self.num_seen = experience.num_seen
        if self.stored.current_only:
            self.written = 0
        if self._model:
            self._model[0].grow(self.num_seen)

    @torch.no_grad()
    def push(self, rows: Tensor, labels: Tensor, draw: torch.Generator) -> None:
        """Takes embeddings [N, D] of labelled images, and their columns int64 [N], in.

        Args:
            rows: the embeddings.
            labels: the columns.
            draw: decides the order of the passes of the next fit.
        """
        self.stored.push(rows, labels=labels)
        self.written += len(rows)
        self.seed = draw.initial_seed()

    @torch.no_grad()
    def forward(self, rows: Tensor) -> Tensor:
        """Logits [N, num_seen] of embeddings [N, D]; zero before the first fit."""
        if not self._model:
            return rows.new_zeros(len(rows), self.num_seen)
        logits: Tensor = self._model[0].to(rows.device).eval()(rows)
        return logits

    def after_step(self) -> None:
        """Fits anew, if it is time."""
        self.steps += 1
        if self.steps % self.every == 0:
            self.fit()

    def end(self, experience: Experience) -> None:
        """The classifier that is kept has seen the network as it is now."""
        self.fit()

    @torch.enable_grad()
    def fit(self) -> None:
        """Trains on the stored rows, in batches of nearly equal size."""
        held = min(self.written, self.stored.capacity)
        if held < 2:  # a BatchNorm has no statistics of one row
            return
        rows, labels = self.stored.rows[:held], self.stored["labels"][:held]
        if not self._model:
            self._model = [_Mlp(rows.shape[1], self.num_seen).to(rows.device)]
        model = self._model[0].to(rows.device).train()
        optimiser = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4)
        parts = max(1, held // BATCH)
        draw = torch.Generator(rows.device).manual_seed(self.seed)
        for _ in range(self.epochs):
            order = torch.randperm(held, generator=draw, device=rows.device)
            for some in order.chunk(parts):
                optimiser.zero_grad(set_to_none=True)
                loss = functional.cross_entropy(model(rows[some]), labels[some])
                loss.backward()  # type: ignore[no-untyped-call]
                optimiser.step()

    def get_extra_state(self) -> dict[str, Any]:
        """Counters, and the weights where there are any."""
        state: dict[str, Any] = {
            "steps": torch.tensor(self.steps),
            "written": torch.tensor(self.written),
            "seed": torch.tensor(self.seed),
        }
        return state | (dict(self._model[0].state_dict()) if self._model else {})

    def set_extra_state(self, state: Any) -> None:
        """Takes back what :meth:`get_extra_state` gave."""
        weights = dict(state)
        self.steps, self.written = int(weights.pop("steps")), int(weights.pop("written"))
        self.seed = int(weights.pop("seed"))
        self._model = []
        if weights:
            model = _Mlp(weights["first.weight"].shape[1], len(weights["last.bias"]))
            model.load_state_dict({name: value.clone() for name, value in weights.items()})
            self._model = [model]


class _Mlp(nn.Module):
    """D-2D-C; the last layer starts at zero, the first the same each time."""

    def __init__(self, size: int, classes: int) -> None:
        super().__init__()
        self.first, self.norm = nn.Linear(size, 2 * size), nn.BatchNorm1d(2 * size)
        self.last = nn.Linear(2 * size, classes)
        always = torch.Generator().manual_seed(0)
        for param in self.first.parameters():
            nn.init.uniform_(param, -(size**-0.5), size**-0.5, generator=always)
        for param in self.last.parameters():
            nn.init.zeros_(param)

    def forward(self, rows: Tensor) -> Tensor:
        hidden = functional.relu(self.norm(self.first(rows.to(self.first.weight.dtype))))
        logits: Tensor = self.last(hidden)
        return logits

    def grow(self, classes: int) -> None:
        more = classes - len(self.last.bias)
        weight, bias = self.last.weight.detach(), self.last.bias.detach()
        self.last.weight = nn.Parameter(functional.pad(weight, (0, 0, 0, more)))
        self.last.bias = nn.Parameter(functional.pad(bias, (0, more)))
