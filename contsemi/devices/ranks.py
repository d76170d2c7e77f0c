"""The processes that train one network together, and what they tell each other.

Every rank holds the whole learner and draws the same global batch. It runs the networks over its
own share of the rows only; the outputs of all ranks are then gathered, so that every rank sees the
step that one process would see and has the same loss. That loss is differentiated with respect to
the rank's own rows, so the gradients of the network are summed over ranks, not averaged.
Queues, centres, banks and the memory follow from outputs and labels that all ranks share, and stay
equal without a word. With one process nothing here does anything.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from contsemi.devices.room import out_of_memory
from contsemi.errors import RankLost

# Its name since torch 2.14, which warns of the old one; ours goes back to 2.11.
_gather_into = getattr(dist, "all_gather_single", None) or dist.all_gather_into_tensor


@dataclass(frozen=True)
class Ranks:
    """One process among those of a run.

    Attributes:
        rank: of this process, from 0; 0 alone writes files.
        size: processes of the run.
        local_rank, local_size: the same on this machine.
        group: of ``torch.distributed``, on the training's device; ``None`` for the default one.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    local_size: int = 1
    group: Any = None

    def __deepcopy__(self, memo: dict[int, Any]) -> "Ranks":
        """Copies of a network belong to the same run."""
        return self

    @property
    def first(self) -> bool:
        """Whether this process writes the files."""
        return self.rank == 0

    @property
    def alone(self) -> bool:
        """Whether there is no other process."""
        return self.size == 1

    def share(self, count: int) -> Tensor:
        """This rank's positions, int64 [n], in a batch of ``count`` rows."""
        return share_of_rank(count, self.rank, self.size)

    def own(self, rows: Tensor) -> Tensor:
        """This rank's rows of a batch [N, ...]."""
        if self.alone:
            return rows
        return rows.index_select(0, _share_on(len(rows), self.rank, self.size, rows.device))

    def gather(self, own: Tensor) -> Tensor:
        """Rows [size * n, ...] of all ranks in order, where every rank has n; no gradient."""
        if self.alone:
            return own
        everyone = own.new_empty((self.size * len(own), *own.shape[1:]))
        with alive():
            _gather_into(everyone, own.contiguous(), group=self.group)
        return everyone

    def sum(self, tensor: Tensor) -> Tensor:
        """The sum over ranks, in place; no gradient."""
        if not self.alone:
            with alive():
                dist.all_reduce(tensor, group=self.group)
        return tensor

    def agree(self, number: int, device: torch.device | str = "cpu") -> int:
        """The greatest number of all ranks; each of them waits for it."""
        if self.alone:
            return number
        greatest = torch.tensor(number, device=device)
        with alive():
            dist.all_reduce(greatest, dist.ReduceOp.MAX, group=self.group)
        return int(greatest)

    def sum_gradients(self, split: Iterable[nn.Module], whole: Iterable[nn.Module]) -> None:
        """Completes the gradients, in place, by one reduction for all of them.

        Args:
            split: modules that each rank ran over its own rows: their gradients are parts of a sum.
            whole: modules that each rank ran over all rows: every rank has the whole gradient, and
                the mean keeps their last bits equal.
        """
        if self.alone:
            return
        parts, wholes = _gradients(split), _gradients(whole)
        if wholes:
            torch._foreach_div_(wholes, self.size)
        grads = [*parts, *wholes]
        if not grads:
            return
        flat = self.sum(torch.cat([grad.flatten() for grad in grads]))
        sizes = [grad.numel() for grad in grads]
        for grad, total in zip(grads, torch.split(flat, sizes), strict=True):
            grad.copy_(total.view(grad.shape))


ALONE = Ranks()


def _gradients(modules: Iterable[nn.Module]) -> list[Tensor]:
    return [p.grad for module in modules for p in module.parameters() if p.grad is not None]


@contextmanager
def alive() -> Iterator[None]:
    """Names what it means that a collective operation fails.

    Raises:
        RankLost: another rank has died or does not answer.
    """
    try:
        yield
    except RuntimeError as error:
        if out_of_memory(error):  # of this process: NCCL takes memory of its own when it connects
            raise
        first = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise RankLost(
            f"ranks: another rank is gone or did not answer in time ({first}); "
            "see its own message; the same command goes on from the last checkpoint"
        ) from error


@lru_cache(maxsize=64)
def _share_on(count: int, rank: int, size: int, device: torch.device) -> Tensor:
    """:func:`share_of_rank` on a device, brought there once: each time the host would wait."""
    return share_of_rank(count, rank, size).to(device)


def share_of_rank(count: int, rank: int, size: int) -> Tensor:
    """The positions in a batch whose rows one of several processes works on.

    A row and the one as far from the other end are with the same rank, so that rows can be mixed
    with their partners. Ranks differ by at most two rows.

    Args:
        count: rows of the whole batch.
        rank: of the process, from 0.
        size: number of processes.

    Returns:
        int64 [n], ascending; over all ranks every position once.
    """
    pairs = (count + 1) // 2
    first = torch.arange(pairs * rank // size, pairs * (rank + 1) // size)
    last = count - 1 - first.flip(0)
    return torch.cat([first, last[last >= pairs]])
