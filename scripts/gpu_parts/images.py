"""Images that do not lie on the GPU: read ahead into pinned memory, they are those of the CPU.

An array, and shards of encoded images, as squares and as crops that are cut from the originals.
"""

import io
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from gpu_parts.common import Found
from gpu_parts.functions import no_waits

BATCHES = (96, 12)  # rows of two kinds, that buffers of two sizes are used


def check(device: str, quick: bool) -> Found:
    """Steps that are told to the GPU faster than it does them, so that it copies late."""
    from contsemi.stores.mapped import Mapped

    draw = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (500, 3, 64, 64), generator=draw, dtype=torch.uint8)
    steps = [
        [torch.randint(len(images), (rows,), generator=draw) for rows in BATCHES]
        for _ in range(5 if quick else 60)
    ]
    store, work = Mapped(images, torch.device(device)), Work(device, quick)
    found = []
    with no_waits(device):
        for step, coming in zip(steps, [*steps[1:], []], strict=True):
            work.more()
            found += [store.take(ids) for ids in step]
            for ids in coming:
                store.expect(ids)
    yield same("read ahead", found, [images[ids] for step in steps for ids in step])
    yield from shards(device, steps[: 5 if quick else 20], quick)


class Work:
    """What keeps a GPU busy while the host goes on."""

    def __init__(self, device: str, quick: bool) -> None:
        self.side = 64 if quick else 4096
        self.matrix = torch.ones(self.side, self.side, device=device)

    def more(self) -> None:
        """Some more of it."""
        for _ in range(4):
            self.matrix = self.matrix @ self.matrix / self.side


def same(
    name: str, found: Sequence[Tensor], expected: Sequence[Tensor]
) -> tuple[str, bool, str, dict[str, float]]:
    """Whether batches are those of the CPU, to the bit."""
    pairs = zip(found, expected, strict=True)
    wrong = sum(not torch.equal(rows.cpu(), those) for rows, those in pairs)
    return name, not wrong, "no wait", {"batches": len(found), "wrong": wrong}


def shards(device: str, steps: Sequence[Sequence[Tensor]], quick: bool) -> Found:
    """The same of shards, which threads decode."""
    from contsemi.data.shards.index import index_of
    from contsemi.data.shards.layout import layout_of
    from contsemi.data.shards.reading import Shards
    from contsemi.stores.store import Cut

    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder) / "shards", 60)
        index = index_of(layout_of(Path(folder) / "shards"), f"{folder}/cache", 1)
        home = Shards(index.splits["train"], 32, originals=True, workers=2)
        there, work = home.on(torch.device(device)), Work(device, quick)
        squares, crops, places = [], [], [ids % len(home) for step in steps for ids in step]
        boxes = torch.tensor([[0, 0, 20, 20], [4, 2, 30, 24]])  # of images of 40 by 48 pixels
        cuts = [[Cut(boxes[:, None].expand(-1, len(ids), -1), 16)] for ids in places]
        with no_waits(device):
            for ids, cut in zip(places, cuts, strict=True):
                there.expect(ids, cut)
                work.more()
                squares.append(there.take(ids))
                crops += there.cut(ids, cut)
        yield same("squares of shards", squares, [home.take(ids) for ids in places])
        pairs = zip(places, cuts, strict=True)
        yield same("crops of shards", crops, [x for pair in pairs for x in home.cut(*pair)])


def write(folder: Path, number: int) -> None:
    """Shards of JPEGs of random colours."""
    from PIL import Image

    from contsemi.data.shards.writing import Sample, Split, write_shards

    draw, samples = np.random.default_rng(0), []
    for each in range(number):
        coarse = Image.fromarray(draw.integers(0, 256, (5, 6, 3), dtype=np.uint8))
        stream = io.BytesIO()
        coarse.resize((48, 40), Image.Resampling.BICUBIC).save(stream, "JPEG")
        samples.append(Sample(str(each), stream.getvalue(), each % 2))
    splits = {name: Split(number, iter(samples)) for name in ("train", "test")}
    write_shards(folder, splits, "ab", of="these", images=25, workers=1)
