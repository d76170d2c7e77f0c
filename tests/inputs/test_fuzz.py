"""Mutated files of every kind that is read, and mutated commands: one line, in little time.

No signal, no hang, no traceback; whatever is said is one line with code 2 or 4. Of what carries a
digest no changed byte is accepted. Every failure names a folder with the file; the same ones are
made again by ``CONTSEMI_FUZZ_SEED=7``, more of them by ``CONTSEMI_FUZZ_FILES=10000``.
"""

import json
import os
import random
import shutil
import tempfile
import time
from collections import Counter, defaultdict
from pathlib import Path

import mutations
import pytest
from seeds import kinds
from warm import GIB

SEED = int(os.environ.get("CONTSEMI_FUZZ_SEED", "0"))
FILES = int(os.environ.get("CONTSEMI_FUZZ_FILES", "2200"))
AT_A_TIME = 20  # files that one child reads
CPU = 3.0  # seconds for one of them
PAGE = 20.0  # where it is accepted and a whole page drawn, which takes a slow core 3


@pytest.fixture(scope="module")
def place():
    """A folder in memory, which spares the disk thousands of small files."""
    memory = Path("/dev/shm")
    path = Path(tempfile.mkdtemp(prefix="contsemi-", dir=memory if memory.is_dir() else None))
    yield path
    if not (path / "bad").exists():
        shutil.rmtree(path)


@pytest.fixture(scope="module")
def seeds(place, finished):
    shutil.copytree(finished, place / "seeds" / "finished")  # links reach within one disk only
    return kinds(place / "seeds", place / "seeds" / "finished")


def read(running, kind, folders, place):
    """Has a child read folders; a dead or hanging one is to blame on the file it had begun."""
    (place / "ends.jsonl").unlink(missing_ok=True)
    ends = {}
    while left := [name for name in folders if name not in ends]:
        job = {"reader": kind.reader, "words": kind.words, "folders": left}
        answer = running("readers:each", job, folder=place, memory=4 * GIB, cpu=60, seconds=400.0)
        name, told = None, (place / "ends.jsonl").read_text().splitlines()
        for line in map(json.loads, told):
            if "begun" in line:
                name = line["begun"]
                ends[name] = {"code": None, "err": str(answer), "seconds": 0.0, "grown": 0}
            else:
                ends[name] = line
        assert name is not None, answer
    return ends


def judged(end, kind):
    """What is wrong with an end; empty for nothing."""
    lines = end["err"].splitlines()
    if end["code"] is None:
        return "signal or hang"
    if "Traceback" in end["err"]:
        return "traceback"
    if end["code"] not in kind.codes:
        return f"exit code {end['code']}"
    if end["code"] and not (len(lines) == 1 and lines[0].startswith("error: ")):
        return "not one line"
    if end["code"] == 0 and lines:
        return "says something, and is well"
    if end["grown"] > GIB:
        return f"{end['grown'] / GIB:.1f} GiB"
    if end["seconds"] > (PAGE if kind.reader == "sketch" else CPU):
        return f"{end['seconds']:.1f} s"
    return ""


def fuzz(files, seeds, running, place):
    """Reads so many mutated files, all kinds in turn, and returns how they ended, by kind."""
    began, made = time.monotonic(), defaultdict(list)
    names = list(seeds)
    for number in range(files):
        draw = random.Random(f"{SEED} {number}")
        made[names[number % len(names)]].append((number, draw))
    found, bad, slowest, most = defaultdict(Counter), [], 0.0, 0
    for name, group in made.items():
        kind = seeds[name]
        for start in range(0, len(group), AT_A_TIME):
            part = group[start : start + AT_A_TIME]
            folders = [str(n) for n, draw in part if kind.copy(place / "now" / str(n), draw)]
            for folder, end in read(running, kind, folders, place / "now").items():
                found[name][end["code"]] += 1
                slowest, most = max(slowest, end["seconds"]), max(most, end["grown"])
                if why := judged(end, kind):
                    kept = place / "bad" / folder
                    shutil.move(place / "now" / folder, kept)
                    bad.append(f"{why}: {name}, {kept}: {end['err'][-1500:]}")
            shutil.rmtree(place / "now")
    total, seconds = sum(found.values(), Counter()), time.monotonic() - began
    print(
        f"\nseed {SEED}: {total.total()} of {files} changed, {seconds:.0f} s; most "
        f"{slowest:.2f} s and {most / 2**20:.0f} MiB; by exit code {dict(total)}; {len(bad)} bad"
    )
    assert not bad, "\n".join([f"seed {SEED}", *bad])
    return found


@pytest.mark.slow
def test_unchanged_files_are_read(seeds, running, place) -> None:
    for name, kind in seeds.items():
        if name in ("CIFAR archive", "CIFAR"):  # too small for the real number of classes
            continue
        shutil.copytree(kind.folder, place / "whole" / "0")
        (end,) = read(running, kind, ["0"], place / "whole").values()
        shutil.rmtree(place / "whole")
        assert (end["code"], end["err"]) == (0, ""), (name, end)


@pytest.mark.thorough
def test_some_mutated_files(seeds, running, place) -> None:
    ends = fuzz(len(seeds), seeds, running, place)
    assert sum(ends.values(), Counter())[0] < 0.7 * len(seeds)  # most changes are noticed


@pytest.mark.slow
def test_thousands_of_mutated_files(seeds, running, place) -> None:
    ends = fuzz(FILES, seeds, running, place)
    total = sum(ends.values(), Counter())
    assert 0.1 < total[0] / total.total() < 0.7  # most changes are noticed, some are harmless


def test_mutations_change_things() -> None:
    draw = random.Random(SEED)
    content = json.dumps({"a": [1, 2, {"b": None}], "c": "text"}).encode()
    for change in (mutations.mutated, mutations.odd_json, mutations.odd_yaml):
        assert len({change(content, draw) for _ in range(100)}) > 30
    assert len({tuple(mutations.odd_words(["seed=3", "-m"], draw)) for _ in range(100)}) > 30
