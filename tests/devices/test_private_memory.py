"""What each process of a run has for itself does not grow with the images.

pytest tests/devices/test_private_memory.py -m slow
"""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
SIDE, BYTES = 128, 3 * 128**2
WORDS = (
    *("scenario=image_folder", "scenario.tasks=2", "label_ratio=4/class", f"data.size={SIDE}"),
    *("views.policies.large.size=16", "views.policies.labelled.size=16", "views.test_size=16"),
    *("model.width=16", "model.blocks=[1,1]", "optim.epochs=1", "batch.unlabelled=32"),
    *("memory.exemplars=8", "device=cpu", "precision=fp32", "display=quiet", "threads=1"),
)
PROGRAM = """
import os, sys
from pathlib import Path
from contsemi import data, run

def private():
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("RssAnon"))

before, load = [], data.load
def loaded(*args, **more):
    before.append(private())
    return load(*args, **more)
data.load = loaded
code = run.main(sys.argv[2:])
Path(sys.argv[1] + os.environ["RANK"]).write_text(str(private() - before[0]))
sys.exit(code)
"""


def photos(folder, images):
    """Four classes, images of random bytes in all, eight of them to test with."""
    draw = np.random.default_rng(0)
    for number in range(images):
        split = "test" if number < 8 else "train"
        place = folder / split / str(number % 4)
        place.mkdir(parents=True, exist_ok=True)
        pixels = draw.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(place / f"{number}.bmp")


def grown(folder, images):
    """MB that each of two processes has more for itself after a run than before its images."""
    folder.mkdir()
    photos(folder / "photos", images)
    (folder / "program.py").write_text(PROGRAM)
    start = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    here = (f"data.root={folder}/photos", f"data.cache={folder}/cache", f"output={folder}/out")
    program = (str(folder / "program.py"), str(folder / "grown"), *WORDS, *here)
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, *start, *program], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return [int(Path(f"{folder}/grown{rank}").read_text()) / 1e6 for rank in range(2)]


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no such system here")
def test_eight_times_the_images_are_no_more_memory_of_a_process_s_own(tmp_path):
    few, many = grown(tmp_path / "few", 250), grown(tmp_path / "many", 2000)
    further = 1750 * BYTES  # 86 MB, which a copy in each process would be
    print(f"\nMB more: {few} and {many} of {further / 1e6:.0f} further ones of images")
    assert all(more - less < 0.25 * further / 1e6 for less, more in zip(few, many, strict=True))
