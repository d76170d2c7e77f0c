"""Damage to a saved state: every one is found before anything is used."""

import json
import shutil

import pytest
import torch

from contsemi.errors import StateDamaged
from contsemi.storage.checkpoint import Checkpoints

GENERATIONS = 4  # saved one after another; the last two are there


def state_of(number):
    draw = torch.Generator().manual_seed(number)
    return {
        "network": {"w": torch.randn(64, 33, generator=draw)},
        "exemplars": {"images": torch.randint(0, 256, (9, 3, 8, 8), generator=draw).byte()},
        "count": {"n": torch.tensor(number)},
    }


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A folder with two generations, and copies of its files as they were before each save."""
    folder = tmp_path_factory.mktemp("corrupt") / "checkpoints"
    checkpoints, before = Checkpoints(folder, "run"), []
    for number in range(GENERATIONS):
        checkpoints.save(state_of(number), {"step": number, "rate": 0.1 * number})
        before.append({path.name: path.read_bytes() for path in folder.iterdir()})
    return folder, before


def flip(content, draw):
    changed = bytearray(content)
    changed[draw.randrange(len(changed))] ^= 1 << draw.randrange(8)
    return bytes(changed)


def cut(content, draw):
    return content[: draw.randrange(len(content))]


def zero_page(content, draw):
    start = draw.randrange(0, len(content), 4096)
    return content[:start] + bytes(len(content[start : start + 4096])) + content[start + 4096 :]


def damage(kind, files, before, draw):
    """The files after one damage, and those that were damaged."""
    if kind in KINDS:
        name = draw.choice(sorted(files))
        return files | {name: KINDS[kind](files[name], draw)}, {name}
    names = sorted(name for name in files if name.startswith("state-"))
    if kind == "swapped":
        first, second = names
        return files | {first: files[second], second: files[first]}, set(names)
    if kind == "missing":
        name = draw.choice(sorted(files))
        return {key: value for key, value in files.items() if key != name}, {name}
    if kind == "older state":
        name = draw.choice(names)
        old = draw.choice([each for files in before[:2] for each in files.values()])
        return files | {name: old}, {name}
    stale = draw.choice(before[:-2])["MANIFEST.json"]
    return files | {"MANIFEST.json": stale}, {"MANIFEST.json"}


KINDS = {"flip": flip, "cut": cut, "zero page": zero_page}
PLAN = {"flip": 400, "cut": 200, "zero page": 200, "swapped": 50, "missing": 50, "older state": 50}
PLAN["stale manifest"] = 50


def check(saved, draw, tmp_path, plan):
    _folder, before = saved
    files = before[-1]
    newest = max(name for name in files if name.startswith("state-"))
    for kind, count in plan.items():
        for _ in range(count):
            spoiled, where = damage(kind, files, before, draw)
            shutil.rmtree(tmp_path)
            tmp_path.mkdir()
            for name, content in spoiled.items():
                (tmp_path / name).write_bytes(content)
            if spoiled == files:  # a page that was zero before
                continue
            one(tmp_path, where, newest, spoiled)


def one(folder, where, newest, spoiled):
    """What is damaged is never used, what is not is found, and nothing is removed."""
    checkpoints = Checkpoints(folder, "run")
    try:
        state, record = checkpoints.load()
    except StateDamaged as error:
        assert error.exit_code == 4
        assert "MANIFEST.json" in where or len(where) == 2
    else:
        assert "MANIFEST.json" not in where
        number = record["step"]
        assert number == GENERATIONS - 1 - (newest in where)
        assert bool(checkpoints.passed_over) == (newest in where)
        expected = state_of(number)
        assert all(torch.equal(state[a][b], expected[a][b]) for a in expected for b in expected[a])
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == spoiled


def test_a_hundred_damages(saved, draw, tmp_path):
    check(saved, draw, tmp_path, {kind: count // 10 for kind, count in PLAN.items()})


@pytest.mark.slow
def test_a_thousand_damages(saved, draw, tmp_path):
    assert sum(PLAN.values()) == 1000
    check(saved, draw, tmp_path, PLAN)


def test_the_undamaged_files_load(saved):
    assert json.loads((saved[0] / "MANIFEST.json").read_bytes())
    checkpoints = Checkpoints(saved[0], "run")
    assert checkpoints.load()[1]["step"] == GENERATIONS - 1
    assert not checkpoints.passed_over
