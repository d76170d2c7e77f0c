"""A bar of photos on a terminal; nothing elsewhere."""

import sys
from collections.abc import Iterator

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from contsemi.living.photos import Photos

__all__ = ["with_a_bar"]


def with_a_bar(chunks: Iterator[Photos], title: str) -> Iterator[Photos]:
    """The same chunks; the bar says how many photos went by, and how fast."""
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed} photos"),
        TimeElapsedColumn(),
    )
    with Progress(
        *columns,
        console=console,
        transient=True,
        disable=not console.is_terminal,
        # Lines go above the bar; those that a file or a pipe is to have must not go with them.
        redirect_stdout=sys.stdout.isatty(),
    ) as bar:
        task = bar.add_task(title, total=None)
        for chunk in chunks:
            yield chunk
            bar.advance(task, len(chunk.listed))
