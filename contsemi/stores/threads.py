"""Threads that read while the main thread computes, and that nobody waits for at the end."""

import os
import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue

_Work = tuple["Future[None]", Callable[[], None]]


class Threads:
    """Threads for pieces of work, in the order in which these come.

    Unlike those of ``concurrent.futures`` they end with the process at once, whatever waits still:
    Ctrl-C is not held up by what is being read ahead. They are started by the first piece of work.

    Args:
        number: threads.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        self._waiting: SimpleQueue[_Work] = SimpleQueue()
        self._process = 0

    def do(self, work: Callable[[], None]) -> "Future[None]":
        """Has a piece of work done; ``result()`` of what is returned raises what it raised."""
        if self._process != os.getpid():  # a forked process has none of its parent's threads
            self._process, self._waiting = os.getpid(), SimpleQueue()
            for number in range(self.number):
                name = f"images-{number}"
                threading.Thread(target=self._go, name=name, daemon=True).start()
        future: Future[None] = Future()
        self._waiting.put((future, work))
        return future

    def _go(self) -> None:
        while True:
            future, work = self._waiting.get()
            if not future.set_running_or_notify_cancel():
                continue
            try:
                work()
            except BaseException as error:  # the main thread decides what becomes of it
                future.set_exception(error)
            else:
                future.set_result(None)
            del future, work  # an idle thread keeps no images alive
