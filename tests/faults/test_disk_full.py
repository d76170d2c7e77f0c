"""The disk is full, read-only or broken at any moment: exit 5, and the last good state stays."""

import json

import pytest

ERRORS = ("ENOSPC", "EDQUOT", "EIO", "EROFS")
HINT = "progress.json"  # where a run stands: it goes on where that cannot be said


def check(warm, whole, folder, answer, where):
    """One line that says what; nothing but that; and afterwards the same numbers."""
    said = [line for line in answer["said"].splitlines() if line.startswith("error: ")]
    assert answer["code"] in (0, 2, 5), (where, answer["said"])
    assert "Traceback" not in answer["said"], where
    if answer["code"]:
        assert len(said) == 1, where
        assert str(folder) in said[0], where
        assert answer["code"] == 5 or "read-only" in said[0].lower(), said
    assert warm.finish(folder) == whole, where
    warm.forget(folder)
    return answer["code"]


def changing(warm):
    """The calls of a whole run that change something: whether each is for a hint alone."""
    folder = warm.folder()
    folder.parent.mkdir(parents=True)
    log = {"folder": str(folder), "path": str(folder.parent / "log")}
    log["contents"] = str(folder.parent / "contents")
    assert warm.run(folder, plants=[["log_calls", log]])["code"] == 0
    calls = [json.loads(line) for line in (folder.parent / "log").read_text().splitlines()]
    warm.forget(folder)
    hints, named = [], False
    for op, path, more in calls:
        if op in ("list", "unlink", "rmdir"):
            continue
        # a new name is brought to the disk by its folder
        hint = HINT in (more if op == "replace" else path) or (named and path == str(folder))
        hints += [hint] * (1 + (op == "write"))
        named = hint and op == "replace"
    return hints


def failed(warm, whole, number, name):
    """The exit code of a run of which one call fails."""
    folder = warm.folder()
    fault = {"folder": str(folder), "number": number, "name": name}
    answer = warm.run(folder, plants=[["fail_at", fault]])
    return check(warm, whole, folder, answer, fault)


@pytest.mark.thorough
def test_some_calls_fail(warm, whole, draw):
    matter = [number for number, hint in enumerate(changing(warm)) if not hint]
    for number in draw.sample(matter, 2):
        assert failed(warm, whole, number, draw.choice(ERRORS))


@pytest.mark.thorough
def test_a_hint_that_cannot_be_written_ends_nothing(warm, whole, draw):
    hints = [number for number, hint in enumerate(changing(warm)) if hint]
    assert len(hints) == 6  # the file's: open, both halves, sync; its name, and the folder's sync
    assert not failed(warm, whole, draw.choice(hints), "EIO")


@pytest.mark.slow
@pytest.mark.parametrize("part", range(4))
def test_every_call_fails(part, warm, whole, draw):
    """In four tests, each of every fourth."""
    hints = changing(warm)
    print(f"{len(hints)} calls")
    for number in range(part, len(hints), 4):
        name = draw.choice(ERRORS)
        code = failed(warm, whole, number, name)
        # what else needs room finds none either, but for an error that comes once
        assert bool(code) != (hints[number] and name == "EIO"), (number, name)


@pytest.mark.slow
def test_a_quota(warm, whole, draw):
    """Files may not grow beyond a size, from that of our own line on stderr to that of a state."""
    codes = []
    for size in [400, 500, *(int(10 ** draw.uniform(2.7, 5.5)) for _ in range(18))]:
        folder = warm.folder()
        answer = warm.run(folder, plants=[["size_limit", {"size": size}]])
        codes.append(check(warm, whole, folder, answer, size))
    assert codes.count(5) >= 15
