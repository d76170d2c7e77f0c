"""Bugs that are planted into the saving, each of which the suites must find."""

import pytest

# Where a run is killed, as a share of all its calls; those that find most come first.
PLACES = (0.85, 0.5, 0.6, 0.7, 0.78, 0.92, 0.3, 0.4, 0.2, 0.97)
BUGS = (
    "metrics not truncated",
    "written in place",
    "manifest first",
    "deleted before commit",
    "momentum not restored",
    "exemplars not restored",
    "class moments not restored",
    "step off by one",
    "place off by one",
)
QUICK = ("exemplars not restored",)


def finds(warm, whole, bug):
    """The first call at which a kill shows the bug, ``None`` if none does."""
    plants = [["bug", {"name": bug}]]
    count = calls(warm, plants)
    wide = {round(place * count) for place in PLACES}
    for number in [round(place * count) for place in PLACES] + sorted(set(range(count)) - wide):
        folder = warm.folder()
        kill = ["kill_at", {"folder": str(folder), "number": number}]
        if warm.run(folder, plants=[*plants, kill])["code"] != -9:
            warm.forget(folder)
            continue
        answer = warm.run(folder, plants=plants)
        ended = answer["code"] == 0 and "damaged" not in answer["said"]
        same = ended and warm.same(folder, whole)
        warm.forget(folder)
        if not same:
            return number
    return None


def calls(warm, plants):
    """How many calls a whole run makes; undisturbed, the bug must not show."""
    folder = warm.folder()
    folder.parent.mkdir(parents=True)
    log = {"folder": str(folder), "path": str(folder.parent / "log")}
    log["contents"] = str(folder.parent / "contents")
    assert warm.run(folder, plants=[*plants, ["log_calls", log]])["code"] == 0
    lines = (folder.parent / "log").read_text().splitlines()
    warm.forget(folder)
    return sum(1 + line.startswith('["write"') for line in lines)


@pytest.mark.parametrize(
    "bug",
    [bug if bug in QUICK else pytest.param(bug, marks=pytest.mark.slow) for bug in BUGS],
)
@pytest.mark.thorough
def test_a_planted_bug_is_found(bug, warm, whole):
    number = finds(warm, whole, bug)
    print(f"{bug}: found by the kill before call {number}")
    assert number is not None
