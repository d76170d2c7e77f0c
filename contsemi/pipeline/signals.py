"""Signals that ask a run to stop: it ends where nothing is lost."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from contsemi.errors import Interrupted

# Ctrl-C; a scheduler's end; the terminal is closed; a scheduler's warning before the time is up.
WATCHED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)


class Signals:
    """Ends a run at a signal that asks for it: at once, or after a step that is not to be cut.

    A second signal ends the process on the spot, as if nobody had listened. A hang-up that
    ``nohup`` has switched off stays so.

    Args:
        agree: gives the greatest number of all processes of the run; each of them waits for it.

    Attributes:
        received: the number of the signal that came, ``None`` before.
        then: what the same command will do, for the message.
        tell: says on the screen that the run stops after the step at hand.
    """

    def __init__(self, agree: Callable[[int], int] = int) -> None:
        self.received: int | None = None
        self._agree = agree
        self.then = "goes on from here"
        self.tell: Callable[[str], None] = lambda text: None
        self._patient = False

    @contextmanager
    def caught(self) -> Iterator[None]:
        """Catches them inside the block; in another than the main thread it cannot.

        Raises:
            Interrupted: a signal came outside of :meth:`patient`.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        watched = [
            number
            for number in WATCHED
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN
        ]
        before = {number: signal.signal(number, self._note) for number in watched}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextmanager
    def patient(self) -> Iterator[None]:
        """Inside the block a signal is only remembered; whoever is inside looks after it."""
        self._patient = True
        try:
            yield
        finally:
            self._patient = False

    def asked(self) -> int:
        """The signal that any process of the run has received; 0 for none, and all say the same.

        A signal reaches the processes one after another, between different steps.
        """
        return self._agree(self.received or 0)

    def stop_if_asked(self) -> None:
        """To be called where everything is saved, by all processes of the run.

        Raises:
            Interrupted: a signal has come.
        """
        if number := self.asked():
            raise self.interruption(number)

    def interruption(self, number: int) -> Interrupted:
        """The error that ends the run after a signal."""
        return Interrupted(number, self.then)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.received is not None:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        self.received = number
        if not self._patient:
            raise self.interruption(number)
        with suppress(RuntimeError):  # the signal came in the middle of a write to the screen
            self.tell("stopping after this step; once more ends at once, without saving it")
