"""FNC and t-ReX against references written row by row, in float64, over several steps."""

import math

import pytest
import torch
from torch.nn import functional

from contsemi.compose import files
from contsemi.objectives.objective import Objective
from contsemi.types import Experience, Outputs, Seen

STREAMS = {
    "without labels": [(3, []), (2, []), (4, [])],
    "labels alone": [(0, [0, 1, 0]), (0, [2]), (0, [1, 1])],
    "one image at a time": [(1, []), (0, [1]), (1, [])],
    "one class": [(1, [0, 0]), (2, [0]), (0, [0])],
}


def named(name, **change):
    return Objective.named(files.declared("objective", name)[0] | change)


def random(number, seed, size=4):
    draw = torch.Generator().manual_seed(seed)
    return torch.randn(size, 2 * number, generator=draw, dtype=torch.float64).T[::2]


def fnc_by_hand(views, slow, labels, older, variant, most, threshold):
    """[V, N, D] unit rows, those of the support, int64 [N], rows and labels of earlier batches."""
    number, images = views.shape[:2]
    candidates = [(slow[v, i], int(labels[i]), i, v) for v in range(number) for i in range(images)]
    candidates += [(row, label, -1, -1) for row, label in older]
    total = 0.0
    for i in range(images):
        support = [
            max(float(slow[v, i].detach() @ row.detach()) for v in range(number))
            if owner != i
            else -math.inf
            for row, _, owner, _ in candidates
        ]
        best = sorted(range(len(candidates)), key=lambda j: -support[j])[:most]
        false = {j for j in best if support[j] > threshold and candidates[j][2] != i}
        for j, (_, label, owner, _) in enumerate(candidates):
            if owner != i and label >= 0 and labels[i] >= 0:
                false = false | {j} if label == labels[i] else false - {j}
        for a in range(number):
            kept = [j for j, c in enumerate(candidates) if (c[2], c[3]) != (i, a)]
            positive = [j for j in kept if candidates[j][2] == i]
            if variant == "attract":
                positive += sorted(false)
            else:
                kept = [j for j in kept if j not in false]
            logit = {j: views[a, i] @ candidates[j][0] / 0.2 for j in kept}
            if positive:
                whole = torch.stack(list(logit.values())).logsumexp(0)
                total = total + (whole - sum(logit[j] for j in positive) / len(positive))
    return 2 * total / (number * images)


@pytest.mark.parametrize("stream", STREAMS.values(), ids=STREAMS)
@pytest.mark.parametrize("variant", ["attract", "eliminate"])
@pytest.mark.parametrize(("queue", "views"), [(0, 2), (0, 3), (20, 2), (100, 3)])
def test_fnc(queue, views, variant, stream, seen, step_of):
    given = {"queue": queue, "variant": variant, "most": 2, "threshold": 0.3, "temperature": 0.2}
    objective = named("fnc", large_views=views, labelled_views=views, **given)
    older = []
    for at, (unlabelled, labels) in enumerate(stream):
        parts, shown = [], {}
        for k, (name, rows) in enumerate((("large", unlabelled), ("labelled", len(labels)))):
            if rows:
                own = random(views * rows, 10 * at + k).requires_grad_()
                slow = random(views * rows, 10 * at + k + 5) if queue else own.detach()
                shown[name] = seen(own, slow if queue else None, number=views)
                parts.append((own, slow))
        found = objective.terms(step_of(shown, unlabelled, labels))["contrast"]
        whole = [
            functional.normalize(torch.cat([p[k].view(views, -1, 4) for p in parts], dim=1), dim=2)
            for k in (0, 1)
        ]
        if not queue:  # the candidates learn, too
            whole[1] = whole[0]
        kinds = torch.tensor([-1] * unlabelled + list(labels))
        rows = views * len(kinds)
        options = (variant, given["most"], given["threshold"])
        earlier = older[-(queue - rows) :] if queue > rows else []
        expected = fnc_by_hand(*whole, kinds, earlier, *options)
        torch.testing.assert_close(
            found, torch.as_tensor(expected).to(found), rtol=1e-9, atol=1e-11
        )
        leaves = [own for own, _ in parts]
        if expected.requires_grad:
            grads = (torch.autograd.grad(x, leaves, retain_graph=True) for x in (found, expected))
            for one, other in zip(*grads, strict=True):
                torch.testing.assert_close(one, other, rtol=1e-8, atol=1e-10)
        objective.after_step()
        if queue:
            older += list(zip(whole[1].flatten(0, 1), kinds.repeat(views).tolist(), strict=True))


@pytest.mark.parametrize("crops", [0, 2])
@pytest.mark.parametrize("memory", [1, 3])
def test_trex(memory, crops, step_of):
    """Rings that are empty, not full, full and written over; a class that never comes."""
    objective = named("trex", memory=memory, small_views=crops, labelled_views=1, size=4)
    none = torch.empty(0, dtype=torch.int64)
    objective.begin(Experience(0, (0, 1, 2, 3), 0, 4, none, none, none))
    rings = {}
    for at, labels in enumerate([[0, 1, 0], [2], [0, 0, 0, 0, 1], [1, 2]]):
        number = len(labels)
        first, slow = random(number, at), random(number, at + 50)
        rest = random(crops * number, at + 90)
        for each in (first, rest):
            each.requires_grad_()
        shown = {
            "labelled": Seen(
                student=Outputs(first, {"expendable": first}),
                teacher=Outputs(slow, {"expendable": slow}),
            )
        }
        if crops:
            shown["crops"] = Seen(student=Outputs(rest, {"expendable": rest}), number=crops)
        found = objective.terms(step_of(shown, 0, labels))["labels"]
        centres = {c: functional.normalize(sum(rows), dim=0) for c, rows in rings.items()}
        losses = []
        for row, crop in enumerate(torch.cat([first, rest])):
            label = labels[row % number]
            if label in centres:
                unit = functional.normalize(crop, dim=0)
                logits = {c: unit @ centre / 0.1 for c, centre in centres.items()}
                losses.append(torch.stack(list(logits.values())).logsumexp(0) - logits[label])
        expected = torch.stack(losses).mean() if losses else torch.zeros((), dtype=torch.float64)
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-11)
        if losses:
            for one, other in zip(
                *(torch.autograd.grad(x, [first], retain_graph=True) for x in (found, expected)),
                strict=True,
            ):
                torch.testing.assert_close(one, other, rtol=1e-8, atol=1e-10)
        objective.after_step()
        for label, row in zip(labels, slow, strict=True):
            rings[label] = [*rings.get(label, []), row][-memory:]
