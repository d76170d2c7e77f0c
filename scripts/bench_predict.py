"""Photos a second of ``predict`` against a plain PyTorch loop, and memory by their number.

The plain loop is what most people write: a Dataset that opens photos with PIL, a DataLoader with
worker processes, the same backbone in float32. Each run is a process of its own on the same JPEG
files, which the script writes; rounds go forwards and backwards in turn.

    python scripts/bench_predict.py --cores 1
    python scripts/bench_predict.py --cores 2 --width 4032 --height 3024 --photos 256
    python scripts/bench_predict.py --memory 1000 20000 --width 120 --height 90
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from itertools import cycle, islice
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from measuring import machine, show, spread
from PIL import Image

FILES = 128  # of different content; more photos are further names of the same
BATCH = 128
SIDE = 96


def write(folder: Path, width: int, height: int) -> list[Path]:
    """JPEG files with detail of every size, as photos have it."""
    draw = np.random.default_rng(0)
    files = []
    for number in range(FILES):
        image = Image.new("RGB", (width, height))
        for size in (8, 64, max(width, height) // 4):
            noise = draw.integers(0, 256, (size, size, 3), dtype=np.uint8)
            layer = Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC)
            image = layer if size == 8 else Image.blend(image, layer, 0.3)
        files.append(folder / f"class{number % 2}" / f"{number:03}.jpg")
        files[-1].parent.mkdir(parents=True, exist_ok=True)
        image.save(files[-1], quality=88)
    return files


def named(files: list[Path], folder: Path, photos: int) -> Path:
    """A folder of so many names."""
    folder.mkdir()
    for number, file in enumerate(islice(cycle(files), photos)):
        (folder / f"{number:06}.jpg").hardlink_to(file)
    return folder


def ours(model: Path, folder: Path, photos: int) -> None:
    """What the command does."""
    import contsemi
    from contsemi.living.photos import found
    from contsemi.predict.answers import answers

    paths = islice(found(str(folder)), photos)
    assert sum(1 for _ in answers(contsemi.load(model), paths, top=1, limit=None)) == photos


def plain(model: Path, folder: Path, photos: int) -> None:
    """What most people write."""
    import torch
    from torch.utils.data import DataLoader, Dataset
    from torchvision import transforms

    from contsemi.models.efficientnet_lite0 import build

    to_tensor = transforms.Compose(
        [
            transforms.Resize(SIDE),
            transforms.CenterCrop(SIDE),
            transforms.ToTensor(),
            transforms.Normalize([127 / 255] * 3, [128 / 255] * 3),
        ]
    )

    files = sorted(folder.iterdir())

    class Photos(Dataset):  # type: ignore[type-arg]
        def __len__(self) -> int:
            return photos

        def __getitem__(self, index: int) -> torch.Tensor:
            with Image.open(files[index]) as image:
                tensor: torch.Tensor = to_tensor(image.convert("RGB"))
            return tensor

    network = torch.nn.Sequential(build(pretrained=True, frozen=True), torch.nn.Linear(1280, 2))
    network.eval()
    workers = len(os.sched_getaffinity(0))
    with torch.inference_mode():
        for images in DataLoader(Photos(), BATCH, num_workers=workers):
            network(images).softmax(1)


WORKS = {"contsemi.predict": ours, "plain loop": plain}


def measured(name: str, model: Path, folder: Path, photos: int) -> dict[str, float]:
    """Of a process of its own: photos a second, photos a processor-second, MiB at the most."""
    words = [sys.executable, __file__, "--one", name, str(model), str(folder), str(photos)]
    found: dict[str, float] = json.loads(subprocess.run(words, check=True, stdout=-1).stdout)
    return found


def spent() -> float:
    """Processor-seconds of this process and of those that it has waited for."""
    each = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(used.ru_utime + used.ru_stime for used in each)


def one(name: str, model: str, folder: str, photos: str) -> None:
    """A child: a short run for all that starts up, then the one that counts."""
    WORKS[name](Path(model), Path(folder), BATCH)
    start, before = time.perf_counter(), spent()
    WORKS[name](Path(model), Path(folder), int(photos))
    rate, by_processor = (
        int(photos) / (time.perf_counter() - start),
        int(photos) / (spent() - before),
    )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"rate": rate, "by processor": by_processor, "peak": peak}))


def main() -> None:
    """Runs what the words ask for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cores", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--photos", type=int, default=1024, help="of one run")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--width", type=int, default=640)
    parser.add_argument("--height", type=int, default=480)
    parser.add_argument("--memory", type=int, nargs="+", help="peak memory at these numbers")
    given = parser.parse_args()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: given.cores])
    os.environ["OMP_NUM_THREADS"] = str(given.cores)
    with TemporaryDirectory() as place:
        photos, model = Path(place, "photos"), Path(place, "model")
        files = write(photos, given.width, given.height)
        words = ["-m", "contsemi.learn", str(model), str(photos), f"data.cache={place}/cache"]
        subprocess.run([sys.executable, *words], check=True, stdout=subprocess.DEVNULL)
        print(machine(given.cores))
        title = f"{given.width}x{given.height} JPEG, {given.cores} cores"
        if given.memory:
            rows = []
            for number in given.memory:
                folder = named(files, Path(place, str(number)), number)
                found = measured("contsemi.predict", model, folder, number)
                rows.append([number, f"{found['peak']:.0f}"])
            show(title, ["photos", "MiB at the most"], rows)
            return
        folder = named(files, Path(place, "many"), given.photos)
        runs: dict[str, list[dict[str, float]]] = {name: [] for name in WORKS}
        for turn in range(given.rounds):
            for name in list(WORKS)[:: 1 if turn % 2 == 0 else -1]:
                runs[name].append(measured(name, model, folder, given.photos))
        table = [[name, *_columns(each)] for name, each in runs.items()]
        pairs = list(zip(*runs.values(), strict=True))
        ratios = [
            spread([mine[what] / theirs[what] for mine, theirs in pairs], 2)
            for what in ("rate", "by processor")
        ]
        table.append(["ratio within a round", *ratios])
        show(title, ["", "photos a second", "photos a processor-second"], table)


def _columns(runs: list[dict[str, float]]) -> list[str]:
    return [spread(run[what] for run in runs) for what in ("rate", "by processor")]


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        one(*sys.argv[2:])
    else:
        main()
