"""A step that one process has no memory for: all of them hear of it, part, and meet anew.

The one that fails stands in the middle of a step, and the others wait for it or soon will. It
leaves a note where all find it and closes its connections, at which the waiting of the others ends
with an error; they read the note, and take it for a step that was too large for them, too.
"""

import json
from contextlib import suppress

import torch.distributed as dist
from torch.distributed.distributed_c10d import Store

from contsemi.devices.ranks import Ranks
from contsemi.errors import ContsemiError, RankLost, StepTooLarge

_KEY = "contsemi step too large"


class Meeting:
    """One time that the processes are connected.

    Args:
        store: that all reach, under a name that belongs to this meeting alone.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def part(self, error: ContsemiError, ranks: Ranks) -> StepTooLarge | None:
        """Ends the connections where this process, or another, had no memory for a step.

        Args:
            error: that ended the attempt here.
            ranks: the processes.

        Returns:
            What all of them go on with; ``None`` where the error is another one.
        """
        if isinstance(error, StepTooLarge):
            self._store.set(_KEY, json.dumps([error.device, error.pieces, error.again]))
            _disconnect()
            return error
        if not isinstance(error, RankLost):
            return None
        with suppress(RuntimeError):  # the store may be gone with whom we lost
            if self._store.check([_KEY]):
                device, pieces, again = json.loads(self._store.get(_KEY))
                _disconnect()
                return StepTooLarge(device, pieces, ranks.size, again=again)
        return None


def _disconnect() -> None:
    """Closes all connections, whatever is under way in them."""
    with suppress(RuntimeError):
        dist.distributed_c10d._abort_process_group()
    if dist.is_initialized():
        dist.destroy_process_group()
