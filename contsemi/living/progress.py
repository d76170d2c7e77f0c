"""A bar of photos on a terminal; nothing elsewhere."""

from collections.abc import Iterator

from rich.progress import TextColumn, TimeElapsedColumn

from contsemi.data.sources.decoding import progress
from contsemi.living.photos import Photos


def with_a_bar(chunks: Iterator[Photos], title: str) -> Iterator[Photos]:
    """The same chunks; the bar says how many photos went by, and how fast."""
    behind = TextColumn("{task.completed} photos"), TimeElapsedColumn()
    with progress(title, None, *behind) as advance:
        for chunk in chunks:
            yield chunk
            advance(len(chunk.listed))
