"""Draws ``docs/switches.png``: what each switch of a stream does by itself, on the digits.

Each panel is read off the records of a run of the command above it; a minute or two on a CPU.

    python scripts/stream_pictures.py
"""

import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from matplotlib.axes import Axes

from contsemi.data.sources import digits
from contsemi.records.finished import load_run
from contsemi.report.figures import stream
from contsemi.report.figures.drawing import Drawing, Panel, pictures
from contsemi.report.material import Material

DOCS = Path(__file__).resolve().parents[1] / "docs"
SHORT = ("method=finetune", "optim.epochs=1", "model.width=8")
CLASSES, KINDS = 0, 1  # places of the panels of a run's own figure
LISTS = "0,1\n2,3,4\n0,5,6\n1,7,8,9\n"
WIDTH = 36  # characters of a title
ACROSS = 4  # in a square of images of the first task that were chosen
SWITCHES = (
    (CLASSES, ("scenario.recurrence=0.3",)),
    (CLASSES, ("scenario.recurrence=[[],[0],[0,2],[],[1]]",)),
    (CLASSES, ("scenario.novel=0.2",)),
    (CLASSES, ("scenario.blur=0.1",)),
    (KINDS, ("scenario.unlabelled={current:0.6,past:0.2,future:0.2}",)),
    (
        KINDS,
        (
            "scenario.unlabelled={current:0.9,foreign:0.1}",
            "scenario.classes=8",
            "scenario.tasks=4",
        ),
    ),
    (CLASSES, ("label_ratio=[10%,5%,0%,5%,2%]",)),
    (CLASSES, ("scenario.tasks=null", "scenario.lists=lists", "label_ratio=4/class")),
)


def run(folder: Path, words: tuple[str, ...]) -> Path:
    """The output folder of a short run of these words."""
    output = folder / re.sub(r"\W+", "_", "".join(words))
    command = [sys.executable, "-m", "contsemi.run", *SHORT, *words, f"output={output}"]
    subprocess.run(command, check=True, cwd=folder, stdout=subprocess.DEVNULL)
    return output


def panel(output: Path, place: int, words: tuple[str, ...]) -> Panel:
    """One side of the stream's figure, under the words that made it so."""
    drawn = stream.drawing(Material.of(load_run(output)))
    assert drawn is not None, words
    return titled(drawn.panels[place], words)


def titled(draw: Callable[[Axes], None], words: tuple[str, ...]) -> Panel:
    """A panel with its command as its title."""

    def drawn(axes: Axes) -> None:
        draw(axes)
        lines = (word.replace("=", "=\n", 1) if len(word) > WIDTH else word for word in words)
        axes.set_title("\n".join(lines), family="monospace", fontsize=6.5)

    return drawn


def chosen(output: Path) -> Panel:
    """The images of the first task that a choice has labelled."""
    rows = [int(row) for row in (output / "labels.txt").read_text().split()]
    train = digits.load(None)[0]
    first = [row for row in rows if int(train.targets[row]) < 2][: ACROSS**2]
    images = torch.as_tensor(np.asarray(train.images[first]))[:, 0]
    side = images.shape[-1] + 2
    sheet = torch.zeros(ACROSS * side, ACROSS * side, dtype=torch.uint8)
    for place, image in enumerate(images):
        top, left = place // ACROSS * side, place % ACROSS * side
        sheet[top : top + side - 2, left : left + side - 2] = image

    def draw(axes: Axes) -> None:
        axes.imshow(sheet.numpy(), cmap="gray_r", interpolation="none")
        axes.set_axis_off()

    return titled(draw, ("labels=usl", "(what it labels of task 1)"))


def main() -> None:
    """Train, and draw what the runs recorded."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        (place / "lists").mkdir()
        (place / "lists" / "classes.txt").write_text(LISTS)
        panels = [panel(run(place, words), side, words) for side, words in SWITCHES]
        panels.append(chosen(run(place, ("labels=usl",))))
        drawn = Drawing("switches", "Switches", "", tuple(panels), height=2.3)
        (DOCS / "switches.png").write_bytes(pictures(drawn)["switches.png"])


if __name__ == "__main__":
    main()
