"""Whether steps take longer than they should, and what is left of a run at this pace."""

import shlex
from collections import deque

from contsemi.config import Config

_STEPS = 10
_SLOWER = 3.0
_SECONDS = 2.0  # of so many steps, below which nobody waits for them
DAY = 86_400.0


class Pace:
    """Notices, once, that steps take several times longer than the first ones of their task did."""

    def __init__(self) -> None:
        self.said = False
        self.begin()

    def begin(self) -> None:
        """A task begins, whose steps have their own length."""
        self._first: list[float] = []
        self._last: deque[float] = deque(maxlen=_STEPS)

    def step(self, seconds: float) -> float | None:
        """A step is over.

        Args:
            seconds: that it took.

        Returns:
            How many times longer the last steps took; ``None`` for nothing to say.
        """
        if self.said:
            return None
        if len(self._first) <= _STEPS:  # the very first one warms up
            self._first.append(seconds)
            return None
        self._last.append(seconds)
        taken = sum(self._last)
        if len(self._last) < _STEPS or taken < _SECONDS:
            return None
        ratio = taken / max(sum(self._first[1:]), 1e-9)
        if ratio < _SLOWER:
            return None
        self.said = True
        return ratio


def smaller(config: Config) -> str:
    """Words of a run of the same method that a CPU finishes within the hour or so."""
    words, root = [f"method={config.method}"], config.data.root
    if config.scenario.dataset == "cifar100":
        words.insert(0, "experiment=cifar100_laptop")
    elif config.scenario.dataset == "folder":
        words += ["scenario=image_folder", "data.size=32", "optim.epochs=5"]
    else:
        words += [f"scenario={config.scenario.name}", "optim.epochs=5"]
    return shlex.join(words if root is None else [*words, f"data.root={root}"])
