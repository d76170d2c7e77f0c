"""Images a second from shards: the store of a run against PyTorch's DataLoader, in turn.

Both give batches of random resized crops as uint8, read from the same shards by as many workers:
the store by threads one batch ahead, the loader by processes, once with torchvision's decoder and
once with Pillow's, as torchvision's ImageFolder has it. Memory is what is private to the processes.

    python scripts/bench_store.py FOLDER --make 200000        # makes up the images first
    python scripts/bench_store.py FOLDER --workers 2 --batches 40
"""

import argparse
import hashlib
import io
import json
import os
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision.io import ImageReadMode, decode_jpeg
from torchvision.transforms import v2

from contsemi.data.shards.index import Index, index_of
from contsemi.data.shards.layout import layout_of
from contsemi.data.shards.reading import Shards
from contsemi.data.shards.writing import Sample, Split, write_shards
from contsemi.seeding import generator
from contsemi.stores.store import Cut
from contsemi.views.cuts import draw_cuts
from contsemi.views.draws import Draws

SCALE, RATIO = (0.08, 1.0), (3 / 4, 4 / 3)
DISTINCT, CLASSES = 400, 100


def make(folder: Path, images: int, side: int, workers: int) -> None:
    """Writes made-up images: a few hundred distinct ones, again and again."""
    draw = np.random.default_rng(0)
    encoded = []
    for _ in range(DISTINCT):
        coarse = draw.integers(0, 256, (14, 14, 3), dtype=np.uint8)
        picture = np.asarray(Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC))
        noisy = picture.astype(int) + draw.integers(-9, 10, picture.shape)
        stream = io.BytesIO()
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(stream, "JPEG", quality=75)
        encoded.append(stream.getvalue())

    def samples(count: int) -> Iterator[Sample]:
        for number in range(count):
            yield Sample(str(number), encoded[number % DISTINCT], number % CLASSES)

    tests = max(CLASSES, images // 50)
    splits = {"train": Split(images, samples(images)), "test": Split(tests, samples(tests))}
    of = hashlib.sha256(f"{images} {side}".encode()).hexdigest()
    names = [f"class_{number}" for number in range(CLASSES)]
    write_shards(folder, splits, names, of=of, images=2000, workers=workers)
    mean = statistics.mean(map(len, encoded)) / 1024
    print(f"{images} images of {side} px, {DISTINCT} distinct ones, {mean:.1f} KiB each")


class FromShards(Dataset[Tensor]):
    """Single images for a loader.

    Args:
        index: where they lie.
        size: side of the crops.
        pillow: whether Pillow decodes, as in torchvision's ImageFolder.
    """

    def __init__(self, index: Index, size: int, *, pillow: bool) -> None:
        self.index, self.pillow = index, pillow
        crop = v2.RandomResizedCrop(size, SCALE, RATIO, antialias=True)
        self.transform = v2.Compose([crop, v2.PILToTensor()]) if pillow else crop

    def __len__(self) -> int:
        return len(self.index.rows)

    def __getitem__(self, row: int) -> Tensor:
        where = self.index.rows[row]
        with self.index.shards[where["shard"]].open("rb") as stream:
            stream.seek(int(where["offset"]))
            content = stream.read(int(where["length"]))
        if self.pillow:
            return self.transform(Image.open(io.BytesIO(content)).convert("RGB"))
        encoded = torch.frombuffer(bytearray(content), dtype=torch.uint8)
        return self.transform(decode_jpeg(encoded, ImageReadMode.RGB))


def from_store(index: Index, size: int, batch: int, batches: int, workers: int) -> Iterator[int]:
    """Batches of the store as a run asks for them."""
    store = Shards(index, 256, originals=True, workers=workers)
    order = torch.randperm(len(store), generator=generator(0, "order"))

    def asked(step: int) -> tuple[Tensor, list[Cut]]:
        ids = order[step * batch : (step + 1) * batch]
        draws = Draws(generator(0, "cuts", step), rows=batch)
        boxes = draw_cuts(draws, store.sides(ids), scale=SCALE, ratio=RATIO)
        return ids, [Cut(boxes[None], size)]

    for step in range(batches):
        (found,) = store.cut(*asked(step))
        store.expect(*asked(step + 1))
        yield len(found)


def from_loader(
    index: Index, size: int, batch: int, batches: int, workers: int, *, pillow: bool
) -> Iterator[int]:
    """Batches of PyTorch's loader."""
    sampler = torch.utils.data.RandomSampler(range(len(index.rows)), num_samples=batch * batches)
    data = FromShards(index, size, pillow=pillow)
    for found in DataLoader(data, batch, sampler=sampler, num_workers=workers):
        yield len(found)


def private_bytes() -> int:
    """RssAnon of this process and of those that it has started."""
    family, total = {os.getpid()}, 0
    for _ in range(3):
        for path in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = path.read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[1]) in family:
                family.add(int(path.parent.name))
    for process in family:
        try:
            status = Path(f"/proc/{process}/status").read_text()
        except OSError:
            continue
        lines = [line for line in status.splitlines() if line.startswith("RssAnon")]
        total += 1024 * sum(int(line.split()[1]) for line in lines)
    return total


def measured(batches: Callable[[], Iterator[int]]) -> dict[str, float]:
    """Images a second after the first batch, and MiB of memory early and late."""
    images, memory, start = 0, [], 0.0
    for number, count in enumerate(batches()):
        if number == 0:
            start = time.perf_counter()
            continue
        images += count
        memory.append(private_bytes() / 2**20)
    seconds = time.perf_counter() - start
    return {"images/s": images / seconds, "MiB early": memory[1], "MiB late": memory[-1]}


def main() -> None:
    """Makes the images, or measures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--make", type=int, help="make up so many images first")
    parser.add_argument("--side", type=int, default=224)
    parser.add_argument("--size", type=int, default=224, help="of the crops")
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--batches", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--cache", help="folder of the index")
    given = parser.parse_args()
    if given.make is not None:
        make(given.folder, given.make, given.side, given.workers)
        return
    torch.set_num_threads(1)
    start = time.perf_counter()
    index = index_of(layout_of(given.folder), given.cache, given.workers).splits["train"]
    print(f"index of {len(index.rows)} images: {time.perf_counter() - start:.1f} s")
    sizes = (index, given.size, given.batch, given.batches, given.workers)
    ways: dict[str, Callable[[], Iterator[int]]] = {
        "store": lambda: from_store(*sizes),
        "DataLoader, torchvision": lambda: from_loader(*sizes, pillow=False),
        "DataLoader, Pillow": lambda: from_loader(*sizes, pillow=True),
    }
    found: dict[str, list[dict[str, float]]] = {}
    for _ in range(given.rounds):
        for name, way in ways.items():
            found.setdefault(name, []).append(measured(way))
            print(name, json.dumps({k: round(v, 1) for k, v in found[name][-1].items()}))
    for name, rounds in found.items():
        rates = sorted(each["images/s"] for each in rounds)
        early, late = rounds[-1]["MiB early"], rounds[-1]["MiB late"]
        median = statistics.median(rates)
        print(
            f"| {name} | {median:.0f} [{rates[0]:.0f}..{rates[-1]:.0f}] | "
            f"{early:.0f} → {late:.0f} |"
        )


if __name__ == "__main__":
    main()
