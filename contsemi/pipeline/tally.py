"""How far a run has come: steps, images and seconds, those before a resumption included."""

import time


class Tally:
    """The counters of a run.

    Attributes:
        steps: optimiser steps since the run began.
        images: images trained since then.
        seconds_before: wall-clock seconds before this process went on.
        steps_here, images_here: those of this process alone.
    """

    def __init__(self) -> None:
        self.steps = self.images = self.steps_here = self.images_here = 0
        self.seconds_before = 0.0
        self.begin()

    def begin(self) -> None:
        """Training begins now; what came before does not count."""
        self.started = time.monotonic()

    def step(self, images: int) -> None:
        """One step is over."""
        self.steps += 1
        self.steps_here += 1
        self.images += images
        self.images_here += images

    @property
    def seconds_here(self) -> float:
        """Wall-clock seconds of this process since training began in it."""
        return time.monotonic() - self.started

    @property
    def seconds(self) -> float:
        """Wall-clock seconds of the run."""
        return self.seconds_before + self.seconds_here

    @property
    def seconds_a_step(self) -> float:
        """What a step took so far in this process, evaluation included."""
        return self.seconds_here / max(self.steps_here, 1)

    @property
    def images_per_second(self) -> float:
        """Images trained a second in this process, evaluation included."""
        return self.images_here / max(self.seconds_here, 1e-9)
