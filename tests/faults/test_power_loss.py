"""The power fails: states of the disk made up from the log of a real run, all of which load."""

import json
import random
import sys
from pathlib import Path

import pytest

from contsemi.errors import StateDamaged
from contsemi.records.records import Records
from contsemi.storage.checkpoint import Checkpoints
from contsemi.storage.ledger import Mark

sys.path.append(str(Path(__file__).parent))  # last: other folders have a conftest, too
from disk import Disk


def logged(warm, *plants):
    """The calls of a whole run and the bytes of its writes."""
    folder = warm.folder()
    folder.parent.mkdir(parents=True)
    log, contents = folder.parent / "log", folder.parent / "contents"
    # With the folder above, whose own sync decides whether there is an output folder at all.
    where = {"folder": str(folder.parent), "path": str(log), "contents": str(contents)}
    answer = warm.run(folder, plants=[*plants, ["log_calls", where]])
    assert answer["code"] == 0, answer["said"]
    calls = [json.loads(line) for line in log.read_text().splitlines()]
    return folder, [call for call in calls if call[0] != "list"], contents


def states(folder, calls, contents, count, draw):
    """States after power cuts at places spread over the run, each with what was committed then.

    Yields:
        The files, and the bytes of the newest manifest whose name was on the disk for sure.
    """
    manifest = str(folder / "checkpoints" / "MANIFEST.json")
    cuts = sorted(draw.randrange(1, len(calls) + 1) for _ in range(count))
    with contents.open("rb") as file:
        disk, done = Disk(file), 0
        disk.names[str(folder.parent)] = disk.durable[str(folder.parent)] = None
        for cut in cuts:
            for call in calls[done:cut]:
                disk.apply(*call)
            done = cut
            committed = disk.durable.get(manifest)
            yield disk.left(draw), committed.now if committed else None


def laid_out(found, place, folder):
    """The files of a state, in another folder."""
    for path, content in sorted(found.items()):
        target = place / Path(path).relative_to(folder.parent)
        if content is None:
            target.mkdir(parents=True, exist_ok=True)
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
    return place / folder.name


def number_in(manifest):
    return json.loads(manifest)["body"]["generations"][0]


def check(warm, tmp_path, count, draw, *plants):
    """How many states lost what was committed; 0 unless a bug is planted."""
    folder, calls, contents = logged(warm, *plants)
    run = json.loads((folder / "checkpoints" / "MANIFEST.json").read_bytes())["body"]["run"]
    lost, loaded = 0, 0
    for i, (found, committed) in enumerate(states(folder, calls, contents, count, draw)):
        out = laid_out(found, tmp_path / str(i), folder)
        if not out.is_dir():
            lost += committed is not None
            continue
        with Records(out) as records:
            good = whole_state(out, run, records, committed)
        lost += not good
        loaded += committed is not None
        for path in sorted((tmp_path / str(i)).rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
    warm.forget(folder)
    print(f"{count} states, {loaded} of them with a committed state; {lost} lost it")
    return lost


def whole_state(out, run, records, committed):
    """Whether the newest committed state is there, or a later one."""
    checkpoints = Checkpoints(out / "checkpoints", run)

    def lacks(record):
        return records.lacks(Mark(record["metrics_bytes"], record["metrics_sha256"]))

    try:
        found = checkpoints.load(lacks)
    except StateDamaged:
        return False
    if found is None:
        return committed is None
    if committed is None:
        return True
    then = number_in(committed)
    now = number_in(checkpoints.manifest.read_bytes())
    return not checkpoints.passed_over and now["number"] >= then["number"]


@pytest.mark.thorough
@pytest.mark.parametrize("count", [5, 50])
def test_states_after_a_loss_of_power(count, warm, tmp_path, draw):
    assert check(warm, tmp_path, count, draw) == 0


@pytest.mark.slow
def test_a_thousand_states(warm, tmp_path, draw):
    assert check(warm, tmp_path, 1000, draw) == 0


@pytest.mark.slow
@pytest.mark.parametrize("name", ["no folder sync", "no file sync", "manifest first"])
def test_the_model_finds_a_missing_sync(name, warm, tmp_path):
    assert check(warm, tmp_path, 300, random.Random(1), ["bug", {"name": name}]) > 0
