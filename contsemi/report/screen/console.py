"""What a run shows: a live display on a terminal, quiet lines everywhere else."""

import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Literal, Self, TextIO

from rich.console import Console, RenderableType
from rich.live import Live
from rich.text import Text

from contsemi.records.finished import FinishedRun
from contsemi.report.screen.events import Progress, TaskDone
from contsemi.report.screen.live import live_view, speed
from contsemi.report.screen.outlet import outlet
from contsemi.report.screen.tables import closing
from contsemi.report.words import duration, one_line, percent

Mode = Literal["auto", "live", "plain", "quiet"]

SECONDS_BETWEEN_LINES = 30.0
SECONDS_BETWEEN_FRAMES = 0.1
# A live display needs room for a bar; a narrower terminal gets lines.
LIVE_COLUMNS = 40


class Display:
    """The screen of one run. No thread draws, so nothing is shown that was not told.

    Args:
        mode: ``live`` redraws in place; ``plain`` prints a line a task and at most one every 30 s;
            ``quiet`` prints only notes and the closing tables; ``auto`` is live on a terminal and
            plain elsewhere. Where a terminal cannot redraw, live is plain.
        stream: where to print; ``None`` for the standard output.
        clock: seconds that only grow.
    """

    def __init__(
        self,
        mode: Mode,
        *,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        file = outlet(sys.stdout if stream is None else stream)
        self._console = Console(
            file=file,
            force_terminal=file.isatty(),
            markup=False,
            emoji=False,
            highlight=False,
            # Pipes and logs have no width of their own; a reader's window is seldom narrower.
            width=None if file.isatty() or "COLUMNS" in os.environ else 100,
        )
        able = file.isatty() and not self._console.is_dumb_terminal
        able = able and self._console.width >= LIVE_COLUMNS
        self._mode = mode if mode == "quiet" else "live" if able and mode != "plain" else "plain"
        self._clock = clock
        self._last = clock()
        self._live: Live | None = None
        self._estimated = False

    @property
    def width(self) -> int:
        """Columns of the screen."""
        return self._console.width

    def start(self, header: Mapping[str, object]) -> None:
        """Say what begins.

        Args:
            header: facts by name, for example ``{"method": "contsemi", "labels": "5%"}``.
        """
        if self._mode != "quiet":
            self._line(" · ".join(f"{one_line(k)} {one_line(v)}" for k, v in header.items()))

    def progress(self, event: Progress) -> None:
        """Training goes on; cheap enough for every step."""
        now = self._clock()
        if self._mode == "live":
            if self._live is None:
                self._live = Live(console=self._console, auto_refresh=False, transient=True)
                self._live.start()
            elif now - self._last < SECONDS_BETWEEN_FRAMES:
                return
            self._last = now
            self._live.update(live_view(event), refresh=True)
        elif self._mode == "plain" and (
            now - self._last >= SECONDS_BETWEEN_LINES or self._new(event)
        ):
            losses = "  ".join(f"{one_line(k)} {v:.4g}" for k, v in event.losses.items())
            self._line(
                "  ".join(
                    part
                    for part in (
                        f"task {_of(event.task, event.tasks)}",
                        f"epoch {event.epoch + 1}/{event.epochs}",
                        f"step {event.step}/{event.steps}",
                        losses and f"loss {losses}",
                        speed(event),
                    )
                    if part
                )
            )

    def _new(self, event: Progress) -> bool:
        """Whether it brings the first estimate, and there is time to read it."""
        new = not self._estimated and (event.seconds_left or 0.0) >= SECONDS_BETWEEN_LINES
        self._estimated |= event.seconds_left is not None
        return new

    def task_done(self, event: TaskDone) -> None:
        """Print the line of a task that is learned and measured."""
        if self._mode == "quiet":
            return
        row = [value for value in event.class_incremental if value is not None]
        parts = [f"task {_of(event.task, event.tasks)} done"]
        if row:
            parts.append(f"accuracy {percent(sum(row) / len(row))}%")
        if event.forgetting is not None:
            parts.append(f"forgetting {percent(event.forgetting)}%")
        if event.seconds is not None:
            parts.append(duration(event.seconds))
        if len(row) > 1:
            parts.append("by task " + " ".join(map(percent, event.class_incremental)))
        self._line("  ".join(parts))

    def say(self, text: str) -> None:
        """Print one line about what is done now, unless quiet."""
        if self._mode != "quiet":
            self._line(one_line(text))

    def note(self, text: str) -> None:
        """Print one line that a user should not miss, in every mode."""
        self._line(f"note: {one_line(text)}")

    def finish(self, run: FinishedRun, files: Sequence[str]) -> None:
        """Print the closing tables, and where the files are.

        Args:
            run: what was written, read back.
            files: names of the files in ``run.folder`` that a user opens first.
        """
        self.close()
        for part in closing(run, self.width):
            self.show(part)
        self._line(f"files in {one_line(run.folder)}: {', '.join(files)}")

    def show(self, part: RenderableType) -> None:
        """Print a table or a text as it is, and an empty line, in every mode."""
        self._console.print(part, soft_wrap=isinstance(part, Text))
        self._console.print()

    def close(self) -> None:
        """Give the terminal back; may be called at any time, also twice."""
        live, self._live = self._live, None
        if live is not None:
            live.stop()
        self._flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _line(self, text: str) -> None:
        self._last = self._clock()
        # A log keeps each line whole; a terminal by itself would break it inside a number.
        self._console.print(Text(text), soft_wrap=not self._console.is_terminal)
        self._flush()

    def _flush(self) -> None:
        self._console.file.flush()


def _of(index: int, total: int | None) -> str:
    return str(index + 1) if total is None else f"{index + 1}/{total}"


def shown_by(mode: Mode, first: bool, stack: ExitStack) -> Display:
    """The screen of the first of several processes; the others speak into the void."""
    if first:
        return Display(mode)
    return Display("quiet", stream=stack.enter_context(Path(os.devnull).open("w")))
