"""The live region fits its terminal and shows every number it was told."""

import io

import pytest
from rich.console import Console

from contsemi.report.screen.events import Progress
from contsemi.report.screen.live import live_view, speed

EVENT = Progress(
    task=11,
    tasks=20,
    epoch=2,
    epochs=20,
    step=45,
    steps=90,
    losses={"prototypes": 1.25, "neighbours": 0.5},
    accuracies=[0.9 - 0.031 * task for task in range(11)] + [None],
    images_per_second=2345.6,
    seconds_left=754,
)


def lines(event, width):
    console = Console(file=io.StringIO(), width=width)
    console.print(live_view(event))
    return console.file.getvalue().splitlines()


@pytest.mark.parametrize("width", [40, 60, 100])
def test_everything_is_there(width):
    shown = lines(EVENT, width)
    assert max(map(len, shown)) <= width
    text = " ".join(" ".join(shown).split())
    wanted = ("12/20", "3/20", "45/90", "prototypes 1.25", "neighbours 0.5", "12 min 34 s left")
    assert all(part in text for part in wanted)
    assert all(f"{t + 1} {90 - 3.1 * t:.1f}" in text for t in range(11))
    assert "12 -" in text


def test_bars_show_the_share_that_is_done():
    for bar, share in zip(lines(EVENT, 112), [(11 + 2.5 / 20) / 20, 2.5 / 20, 0.5], strict=False):
        assert (bar.count("━") + bar.count("╸") / 2) / 100 == pytest.approx(share, abs=0.02)


def test_unknown_length_and_an_empty_epoch():
    event = Progress(task=3, tasks=None, epoch=0, epochs=0, step=0, steps=0)
    shown = lines(event, 60)
    assert shown[0].split()[:2] == ["task", "4"]
    assert speed(event) == ""
