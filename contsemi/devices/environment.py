"""What a process knows of the others of its run before it has met them, and torch is loaded."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from contsemi.errors import ContsemiError, Elsewhere, Interrupted


def ranked() -> bool:
    """Whether torchrun, or what sets the same variables, has started more than one process."""
    return os.environ.get("WORLD_SIZE", "1") != "1"


def speaks() -> bool:
    """Whether this process says what all of its machine have to say."""
    return not ranked() or os.environ.get("LOCAL_RANK", "0") == "0"


@contextmanager
def said_once(*kinds: type[ContsemiError | Interrupted]) -> Iterator[None]:
    """Errors inside the block that all processes have in common are said by one a machine.

    Args:
        kinds: of errors.

    Raises:
        Elsewhere: in the others.
    """
    try:
        yield
    except kinds as error:
        if speaks():
            raise
        raise Elsewhere(error.exit_code) from error
