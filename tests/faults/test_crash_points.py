"""SIGKILL before every file-system call of a run, and in the middle of every write."""

import json

import pytest


def calls_of(warm, *words):
    """The calls under the output folder of a whole run, as [op, path, more]."""
    folder = warm.folder()
    log, contents = folder.parent / "log", folder.parent / "contents"
    folder.parent.mkdir(parents=True)
    where = {"folder": str(folder), "path": str(log), "contents": str(contents)}
    answer = warm.run(folder, *words, plants=[["log_calls", where]])
    assert answer["code"] == 0, answer["said"]
    found = [json.loads(line) for line in log.read_text().splitlines()]
    warm.forget(folder)
    return found


def points_of(warm):
    """How many places there are to kill a run at; a write counts twice."""
    return sum(1 + (op == "write") for op, _, _ in calls_of(warm))


def crash(warm, number, *plants):
    """Kills a run at one point and lets it go on; its numbers."""
    folder = warm.folder()
    where = {"folder": str(folder), "number": number}
    killed = warm.run(folder, plants=[*plants, ["kill_at", where]])
    assert killed["code"] == -9, killed["said"]
    found = warm.run(folder, plants=list(plants))
    assert found["code"] == 0, found["said"]
    assert "damaged" not in found["said"]
    return folder


def check(warm, whole, points):
    for number in points:
        folder = crash(warm, number)
        assert warm.numbers(folder) == whole, f"killed before call {number}"
        warm.forget(folder)


@pytest.mark.thorough
def test_some_points(warm, whole, draw):
    count = points_of(warm)
    print(f"{count} points")
    check(warm, whole, sorted(draw.sample(range(count), 4)))


@pytest.mark.slow
@pytest.mark.parametrize("part", range(4))
def test_every_point(part, warm, whole):
    """In four tests, each of every fourth."""
    count = points_of(warm)
    print(f"{count} points")
    assert count >= 90
    check(warm, whole, range(part, count, 4))
