"""SIGKILL at random instants: in steps, saves, evaluations and at switches of tasks."""

import collections

import pytest

# What a kill is to fall into, and how long such a stage takes at most, in seconds.
STAGES = {"s": 0.06, "w": 0.02, "e": 0.03, "t": 0.05}
NAMES = {"s": "step", "w": "save", "e": "evaluation", "t": "task switch", "o": "other"}
COUNTS = {"s": 9, "w": 15, "e": 3, "t": 6}


def disturbed(warm, draw, stages):
    """A run that is killed up to three times; where it was, and its numbers."""
    folder, found = warm.folder(), []
    for stage in stages:
        # A later life has fewer stages left: what is not met any more ends as it would have.
        kill = {
            "stage": stage,
            "count": draw.randint(1, max(1, COUNTS[stage] // (1 + len(found)))),
            "delay": draw.uniform(0, STAGES[stage]),
        }
        answer = warm.run(folder, kill=kill)
        if answer["code"] == 0:
            break
        assert answer["code"] == -9, answer["said"]
        found.append(NAMES[answer["stage"]])
    numbers = warm.finish(folder)
    warm.forget(folder)
    return found, numbers


def check(warm, whole, draw, plan):
    killed = collections.Counter()
    for stages in plan:
        found, numbers = disturbed(warm, draw, stages)
        assert numbers == whole, found
        killed.update(found)
    print(f"{sum(killed.values())} kills in {len(plan)} runs: {dict(killed)}")
    return killed


@pytest.mark.thorough
def test_a_few_kills(warm, whole, draw):
    assert sum(check(warm, whole, draw, ["sw"]).values()) >= 1


@pytest.mark.slow
@pytest.mark.parametrize("third", range(3))
def test_three_hundred_kills(third, warm, whole, draw):
    """Each goes on until every kind was hit often enough; by far most runs take three kills."""
    wanted = {"save": 17, "evaluation": 10, "task switch": 7, "step": 17}
    killed, runs = collections.Counter(), 0
    letters = {name: letter for letter, name in NAMES.items()}
    while sum(killed.values()) < 100 or runs < 34 or any(killed[k] < n for k, n in wanted.items()):
        missing = [letters[k] for k, n in wanted.items() if killed[k] < n] or list(STAGES)
        plan = ["".join(draw.choice(missing) for _ in range(3))]
        killed += check(warm, whole, draw, plan)
        runs += 1
    print(f"third {third}: {sum(killed.values())} kills in {runs} runs: {dict(killed)}")
