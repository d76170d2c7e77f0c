"""The disk is full, read-only or broken at any moment: exit 5, and the last good state stays."""

import pytest

ERRORS = ("ENOSPC", "EDQUOT", "EIO", "EROFS")


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
    """How many calls of a whole run change something."""
    folder = warm.folder()
    folder.parent.mkdir(parents=True)
    log = {"folder": str(folder), "path": str(folder.parent / "log")}
    log["contents"] = str(folder.parent / "contents")
    assert warm.run(folder, plants=[["log_calls", log]])["code"] == 0
    lines = (folder.parent / "log").read_text().splitlines()
    warm.forget(folder)
    ours = [line for line in lines if not line.startswith(('["list"', '["unlink"', '["rmdir"'))]
    return sum(1 + line.startswith('["write"') for line in ours)


@pytest.mark.thorough
def test_some_calls_fail(warm, whole, draw):
    count = changing(warm)
    codes = set()
    for number in draw.sample(range(count - 8), 2):  # the last ones are the pictures'
        folder = warm.folder()
        fault = {"folder": str(folder), "number": number, "name": draw.choice(ERRORS)}
        answer = warm.run(folder, plants=[["fail_at", fault]])
        codes.add(check(warm, whole, folder, answer, fault))
    assert codes & {2, 5}


@pytest.mark.slow
@pytest.mark.parametrize("part", range(4))
def test_every_call_fails(part, warm, whole, draw):
    """In four tests, each of every fourth."""
    count = changing(warm)
    print(f"{count} calls")
    for number in range(part, count, 4):
        folder = warm.folder()
        fault = {"folder": str(folder), "number": number, "name": draw.choice(ERRORS)}
        answer = warm.run(folder, plants=[["fail_at", fault]])
        code = check(warm, whole, folder, answer, fault)
        assert code != 0 or number > count - 8, fault  # the last ones are the pictures'


@pytest.mark.slow
def test_a_quota(warm, whole, draw):
    """Files may not grow beyond a size, from that of our own line on stderr to that of a state."""
    codes = []
    for size in [400, 500, *(int(10 ** draw.uniform(2.7, 5.5)) for _ in range(18))]:
        folder = warm.folder()
        answer = warm.run(folder, plants=[["size_limit", {"size": size}]])
        codes.append(check(warm, whole, folder, answer, size))
    assert codes.count(5) >= 15
