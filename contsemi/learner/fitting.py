"""A saved state that was read whole, and yet is not one of the learner that is to take it."""

from collections.abc import Iterator
from contextlib import contextmanager

from contsemi.devices.room import out_of_memory
from contsemi.errors import StateDamaged
from contsemi.storage.host import host_bytes


@contextmanager
def fitting(where: object, remedy: str) -> Iterator[None]:
    """Names what it means that a learner cannot take a state back.

    A lack of memory, of the device or of the machine, says nothing about the state.

    Args:
        where: what was read, for the user.
        remedy: what to do.

    Raises:
        StateDamaged: the state does not fit the learner's network, memory or optimiser.
    """
    try:
        yield
    except (AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError) as error:
        if out_of_memory(error) or host_bytes(error) is not None:
            raise
        problem = f"the saved state does not fit ({str(error)[:200]})"
        raise StateDamaged(f"{where}: {problem}; {remedy}") from error
