"""Two arrays as one: the same images, and no memory of a process's own."""

from pathlib import Path

import numpy as np
import pytest
import torch

from contsemi.data import concatenated as module
from contsemi.data.concatenated import concatenated


def mapped(folder, name, count, side):
    draw = np.random.default_rng(count)
    path = folder / f"{name}.npy"
    np.save(path, draw.integers(0, 256, (count, 3, side, side), dtype=np.uint8))
    return torch.from_numpy(np.load(path, mmap_mode="c"))


def private_bytes():
    """Memory that this process shares with nobody."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("RssAnon"))


@pytest.mark.parametrize("most", [0, 1 << 30])
def test_the_images_of_both(most, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_COPIED_UP_TO", most)
    monkeypatch.setattr(module, "_PIECE", 7)
    first, second = mapped(tmp_path, "a", 20, 4), mapped(tmp_path, "b", 11, 4)
    for _ in range(2):  # the second time it is there
        assert torch.equal(
            concatenated(first, second, str(tmp_path / "c")), torch.cat([first, second])
        )
    assert len(list(tmp_path.glob("c/*"))) == (0 if most else 1)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no such system here")
def test_a_process_has_no_copy_of_its_own(tmp_path, monkeypatch):
    first, second = mapped(tmp_path, "a", 3000, 64), mapped(tmp_path, "b", 2000, 64)
    grown = []
    for most in (1 << 30, 0):
        monkeypatch.setattr(module, "_COPIED_UP_TO", most)
        concatenated(first, second, str(tmp_path / "c"))  # made, or nothing
        before = private_bytes()
        images = concatenated(first, second, str(tmp_path / "c"))
        assert int(images[:, 0, 0, 0].sum()) > 0  # every page of it is read
        grown.append(private_bytes() - before)
        del images
    assert grown[0] > 0.8 * (first.nbytes + second.nbytes)
    assert grown[1] < 0.1 * (first.nbytes + second.nbytes)
