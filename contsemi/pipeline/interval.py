"""When a run saves inside a task."""

import time
from typing import Literal

# What checkpoint.seconds=auto means: this many seconds of work are lost at most, unless saving so
# often would take more than this share of the time.
AUTO_SECONDS = 60.0
AUTO_SHARE = 0.01


class Interval:
    """A clock that says when it is time to save.

    Args:
        every: seconds between saves; 0 for none inside a task, ``"auto"`` for 60 or more, so that
            saving takes at most a hundredth of the time.
    """

    def __init__(self, every: float | Literal["auto"]) -> None:
        self.every = every
        self.took = 0.0  # seconds, by the last save
        self.begin()

    def begin(self) -> None:
        """Counts from now."""
        self.at = time.monotonic()

    @property
    def due(self) -> bool:
        """Whether it is time."""
        longer = self.took * (1 / AUTO_SHARE - 1)
        every = max(AUTO_SECONDS, longer) if isinstance(self.every, str) else self.every
        return every > 0 and time.monotonic() - self.at >= every
