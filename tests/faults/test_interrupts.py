"""SIGINT and SIGTERM at random instants: saved, 130 or 143, in time; a second one at once."""

import signal

import pytest

STAGES = {"s": 9, "w": 15, "e": 3, "t": 6}
SECONDS = 10.0


def check(warm, whole, draw, count):
    ends = {}
    for _ in range(count):
        folder, number = warm.folder(), draw.choice([signal.SIGINT, signal.SIGTERM])
        stage = draw.choice(list(STAGES))
        sent = [[number, stage, draw.randint(1, STAGES[stage]), draw.uniform(0, 0.04)]]
        twice = draw.random() < 0.3
        if twice:
            sent.append([number, "", 0, draw.choice([0.0, 0.001, 0.01])])
        answer = warm.run(folder, signals=sent)
        allowed = {128 + number, 0} | ({-number} if twice else set())
        assert answer["code"] in allowed, (sent, answer["code"], answer["said"])
        assert answer["seconds"] is None or answer["seconds"] < SECONDS
        if answer["code"] == 128 + number:
            assert "error: stopped by signal" in answer["said"]
        assert "Traceback" not in answer["said"]
        ends[answer["code"]] = ends.get(answer["code"], 0) + 1
        assert warm.finish(folder) == whole, sent
        warm.forget(folder)
    print(f"{count} runs, exit codes {ends}")
    return ends


@pytest.mark.thorough
def test_one_signal_or_two(warm, whole, draw):
    check(warm, whole, draw, 1)


@pytest.mark.slow
def test_a_hundred_signals(warm, whole, draw):
    ends = check(warm, whole, draw, 100)
    assert ends[143] >= 10
    assert ends[130] >= 10


@pytest.mark.thorough
def test_a_signal_in_a_long_evaluation_does_not_wait_for_it(warm, whole):
    folder = warm.folder()
    sent = [[signal.SIGTERM, "e", 1, 0.2]]
    answer = warm.run(folder, signals=sent, plants=[["slow_evaluation", {"seconds": 30}]])
    assert answer["code"] == 143
    assert answer["seconds"] < SECONDS
    again = warm.run(folder)
    assert again["stages"].count("s") == 2 * 6  # what was learned is not learned again
    assert warm.numbers(folder) == whole
    warm.forget(folder)
