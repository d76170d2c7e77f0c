"""The rules of what is sure enough, against loops over images and classes."""

import math

import pytest
import torch

from contsemi.blocks.pseudo_rules import RULES, Guesses
from contsemi.types import Experience

CLASSES, IMAGES = 5, 12


def made(name, threshold=0.6, momentum=0.8):
    rule = RULES[name](threshold=threshold, momentum=momentum)
    empty = torch.empty(0, dtype=torch.int64)
    rule.begin(Experience(1, (2, 3, 4), 2, CLASSES, empty, empty, torch.arange(100, 100 + IMAGES)))
    return rule


def steps(number=6, rows=6, columns=(2, 3, 4), labelled=4):
    draw = torch.Generator().manual_seed(0)
    for _ in range(number):
        yield Guesses(
            probs=(2 * torch.randn(rows, len(columns), generator=draw)).softmax(1),
            columns=torch.tensor(columns),
            places=torch.randperm(IMAGES, generator=draw)[:rows],
            labelled=torch.randn(labelled, CLASSES, generator=draw).softmax(1)
            if labelled
            else None,
        )


def test_fixed():
    for guesses in steps():
        picked = made("fixed")(guesses)
        assert picked.weights.tolist() == [float(max(row) >= 0.6) for row in guesses.probs.tolist()]
        assert picked.classes.tolist() == [row.index(max(row)) for row in guesses.probs.tolist()]


def test_flexible():
    rule, last = made("flexible"), [-1] * IMAGES
    for guesses in steps():
        counts = [last.count(column) for column in (2, 3, 4)]
        most = max(*counts, last.count(-1), 1)
        shares = [count / most for count in counts]
        picked = rule(guesses)
        again = rule(guesses)  # nothing changes before the optimiser has stepped
        rule.after_step()
        for i, row in enumerate(guesses.probs.tolist()):
            best = row.index(max(row))
            least = 0.6 * shares[best] / (2 - shares[best])
            assert picked.weights[i] == again.weights[i] == (max(row) >= least)
            if max(row) >= 0.6:
                last[int(guesses.places[i])] = best + 2
        assert rule.last.tolist() == last


def test_adaptive():
    rule = made("adaptive")
    overall, mean, share = 1 / CLASSES, [1 / CLASSES] * 3, [1 / CLASSES] * 3
    for guesses in steps():
        rows = guesses.probs.tolist()
        best = [row.index(max(row)) for row in rows]
        overall = 0.8 * overall + 0.2 * sum(map(max, rows)) / len(rows)
        mean = [0.8 * m + 0.2 * sum(row[c] for row in rows) / len(rows) for c, m in enumerate(mean)]
        share = [0.8 * s + 0.2 * best.count(c) / len(rows) for c, s in enumerate(share)]
        picked = rule(guesses)
        found = rule.means(guesses.columns)
        rule.after_step()
        least = [overall * m / max(mean) for m in mean]
        expected = [float(max(row) >= least[b]) for row, b in zip(rows, best, strict=True)]
        assert picked.weights.tolist() == expected
        torch.testing.assert_close(found[0], torch.tensor(mean))
        torch.testing.assert_close(found[1], torch.tensor(share))
        torch.testing.assert_close(rule.mean[2:], torch.tensor(mean))
    assert rule.mean[:2].tolist() == pytest.approx([1 / CLASSES] * 2)  # old classes rest


def test_gaussian():
    rule = made("gaussian")
    mean, centre, variance = torch.full((3,), 1 / CLASSES), 1 / CLASSES, 1.0
    for guesses in steps():
        mean = 0.8 * mean + 0.2 * guesses.probs.mean(0)
        even = guesses.probs * (1 / 3) / mean
        surest = (even / even.sum(1, keepdim=True)).amax(1)
        centre = 0.8 * centre + 0.2 * float(surest.mean())
        variance = 0.8 * variance + 0.2 * float(surest.var())
        expected = [
            math.exp(-(min(p - centre, 0) ** 2) / (2 * variance / 4)) for p in surest.tolist()
        ]
        picked = rule(guesses)
        rule.after_step()
        torch.testing.assert_close(picked.weights, torch.tensor(expected), atol=1e-4, rtol=1e-4)
        assert torch.equal(picked.classes, guesses.probs.argmax(1))  # those are not aligned


def test_relative():
    rule = made("relative")
    mean, target = torch.full((3,), 1 / CLASSES), torch.full((3,), 1 / CLASSES)
    for guesses in steps():
        mean = 0.8 * mean + 0.2 * guesses.probs.mean(0)
        target = 0.8 * target + 0.2 * guesses.labelled[:, 2:].mean(0)
        moved = guesses.probs * target / mean
        moved = moved / moved.sum(1, keepdim=True)
        least = 0.6 * float(guesses.labelled.amax(1).mean())
        picked = rule(guesses)
        rule.after_step()
        assert picked.weights.tolist() == (moved.amax(1) >= least).float().tolist()
        assert torch.equal(picked.classes, moved.argmax(1))


@pytest.mark.parametrize("name", RULES)
def test_one_row_and_no_labels(name):
    rule = made(name)
    for guesses in steps(rows=1, labelled=0):
        picked = rule(guesses)
        rule.after_step()
        assert picked.weights.isfinite().all()
        assert ((picked.weights >= 0) & (picked.weights <= 1)).all()


@pytest.mark.parametrize("name", RULES)
def test_state_comes_back(name):
    rule, again = made(name), made(name)
    first, second = steps(2)
    rule(first)
    rule.after_step()
    again.load_state_dict(rule.state_dict())
    assert torch.equal(rule(second).weights, again(second).weights)
    rule.begin(Experience(2, (5, 6), 5, 7, first.places[:0], first.places[:0], torch.arange(3)))
    assert all(len(b) == 7 for k, b in rule.named_buffers() if k in ("mean", "share", "target"))
