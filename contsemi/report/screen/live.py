"""What a terminal shows while a run trains: bars, losses, accuracies, speed."""

from collections.abc import Iterable

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from contsemi.report.screen.events import Progress
from contsemi.report.words import duration, one_line, percent, rate


def live_view(event: Progress) -> RenderableType:
    """The region at the bottom of the terminal, redrawn in place."""
    in_epoch = event.step / max(event.steps, 1)
    in_task = (event.epoch + in_epoch) / max(event.epochs, 1)
    bars = Table.grid(padding=(0, 1), expand=True)
    bars.add_column(no_wrap=True)
    bars.add_column(justify="right", no_wrap=True)
    bars.add_column(ratio=1)
    if event.tasks is None:
        bars.add_row("task", str(event.task + 1), _bar(in_task))
    else:
        share = (event.task + in_task) / max(event.tasks, 1)
        bars.add_row("task", f"{event.task + 1}/{event.tasks}", _bar(share))
    bars.add_row("epoch", f"{event.epoch + 1}/{event.epochs}", _bar(in_task))
    bars.add_row("step", f"{event.step}/{event.steps}", _bar(in_epoch))

    lines: list[RenderableType] = [bars]
    if event.losses:
        lines.append(_Pairs("loss", ((one_line(k), f"{v:.4g}") for k, v in event.losses.items())))
    if event.accuracies:
        measured = enumerate(map(percent, event.accuracies), start=1)
        lines.append(_Pairs("accuracy [%]", ((str(task), text) for task, text in measured)))
    return Group(*lines, Text(speed(event) or "measuring the speed …", style="dim"))


def speed(event: Progress) -> str:
    """Images a second and the time left, as far as they are known."""
    parts = []
    if event.images_per_second is not None:
        parts.append(rate(event.images_per_second))
    if event.seconds_left is not None:
        parts.append(f"{duration(event.seconds_left)} left")
    return " · ".join(parts)


def _bar(share: float) -> ProgressBar:
    return ProgressBar(total=1.0, completed=min(share, 1.0), finished_style="bar.complete")


class _Pairs:
    """Names and numbers that stay together where the line wraps."""

    def __init__(self, title: str, pairs: Iterable[tuple[str, str]]) -> None:
        self.parts = [title, *(f"{name} {number}" for name, number in pairs)]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        line = self.parts[0]
        for part in self.parts[1:]:
            if len(line) + 2 + len(part) > options.max_width:
                yield Text(line, no_wrap=True)
                line = " " + part
            else:
                line += "  " + part
        yield Text(line, no_wrap=True)
