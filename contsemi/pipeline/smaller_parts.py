"""Goes on with smaller parts of a batch where the device has no memory for a step.

What a step had changed before memory ran out is not taken back piece by piece: the run goes on
from its last saved state, as after a kill, or from its beginning. So the numbers are those of a run
that had the smaller parts from there on, and a run that never meets this pays nothing for it.
"""

from collections.abc import Callable
from typing import TypeVar

from contsemi.devices.room import free
from contsemi.errors import OutOfDeviceMemory, StepTooLarge

MOST_HALVINGS = 5

_T = TypeVar("_T")


def with_smaller_parts(
    attempt: Callable[[int], _T],
    pieces: int,
    note: Callable[[str], None],
) -> _T:
    """Calls ``attempt(pieces)``, with twice as many pieces after each step that was too large.

    Where a library had no room that does not share torch's reserve, the same is tried once more.

    Args:
        attempt: runs, or goes on from what it has saved, in so many pieces or more. Of a failed
            call nothing may stay on the device that this module's caller still refers to.
        pieces: at first.
        note: tells the user.

    Raises:
        OutOfDeviceMemory: five halvings were not enough.
    """
    most, patient = pieces << MOST_HALVINGS, True
    while True:
        try:
            return attempt(pieces)
        except StepTooLarge as error:
            again, patient = patient and error.again, False
            if error.pieces >= most and not again:
                raise OutOfDeviceMemory(
                    f"{error.problem} even in {error.pieces} pieces, after {MOST_HALVINGS} "
                    "halvings; lower batch.unlabelled or batch.labelled, or raise batch.pieces"
                ) from error
            pieces, problem = error.pieces if again else 2 * error.pieces, error.problem
        # Outside of the handler, whose error holds the frames and with them the failed step.
        free()
        note(f"{problem}: goes on from the last saved state, each step in {pieces} pieces")
