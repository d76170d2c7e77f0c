"""Methods with a queue of keys against a reference written query by query, in float64.

Batches of one image, without and with nothing but labels, of one class; a queue that is not full,
just full, wraps, or is smaller than a batch; images that come again; rows that are not contiguous.
"""

import math

import pytest
import torch
from torch.nn import functional

from contsemi.compose import files
from contsemi.objectives.objective import Objective

TEMPERATURE, BANK = 0.2, 8
QUIET = {"mochi": {"pairs": 0, "with_query": 0}, "interclr": {"clusters": 1.0}}
METHODS = [
    ("ascl", {"neighbours": 0}),
    ("ascl", {"neighbours": 1}),
    ("ascl", {"neighbours": 3, "variant": "confident"}),
    ("ascl", {"neighbours": 2, "variant": "hard"}),
    ("mochi", {}),
    ("ifnd", {"variant": "attract"}),
    ("ifnd", {"variant": "eliminate"}),
    ("xmoco", {}),
    ("interclr", {}),
]
CASES = [(*each, both) for each in METHODS for both in (False, True)]
CASES.remove(("interclr", {}, True))  # which has one direction
# Numbers of unlabelled images, and the labels of the others, of a few steps.
STREAMS = {
    "without labels, the queue wraps": [(3, []), (5, []), (4, []), (1, [])],
    "labels alone": [(0, [0, 1, 0]), (0, [2]), (0, [0, 0, 0, 1, 1])],
    "one class": [(2, [0]), (1, [0, 0]), (3, [0])],
    "one image at a time": [(1, []), (0, [1]), (1, []), (0, [1])],
    "more than the queue holds": [(7, [0, 1, 2, 0, 1]), (2, [2, 2]), (11, [])],
}


def built(name, change, both_ways):
    values = files.declared("objective", name)[0]
    values |= {"temperature": TEMPERATURE, "bank": BANK, **QUIET.get(name, {}), **change}
    if "both_ways" in values:
        values |= {"both_ways": both_ways, "labelled_views": 2 if both_ways else 1}
    return Objective.named(values)


class Reference:
    """MoCo's queue as a list, and what each method makes of it, one query after the other."""

    def __init__(self, name, change):
        self.name, self.change, self.queue = name, change, []

    def relation(self, key, rows):
        """ASCL: how much each row is a positive, by the teacher alone."""
        n, variant = self.change.get("neighbours", 0), self.change.get("variant", "soft")
        if self.name != "ascl" or not rows:
            return [0.0] * len(rows)
        scores = [float(key @ row) for row, _, _ in rows]
        powers = [math.exp((s - max(scores)) / 0.05) for s in scores]
        probs = [p / sum(powers) for p in powers]
        entropy = -sum(p * math.log(p) for p in probs if p > 0)
        sure = 1 - entropy / math.log(len(rows)) if len(rows) > 1 else 0.0
        nearest = sorted(range(len(rows)), key=lambda j: -scores[j])[:n]
        if variant == "soft":
            return [min(1.0, n * sure * p) for p in probs]
        return [(1.0 if variant == "hard" else sure) * (j in nearest) for j in range(len(rows))]

    def loss(self, query, key, label, image):
        rows = [each for each in self.queue if each[2] != image]
        if self.name == "mochi" or self.change.get("variant") == "eliminate":
            rows = [each for each in rows if label < 0 or each[1] != label]
        weights = self.relation(key, rows)
        for j, (_, other, _) in enumerate(rows):
            if label >= 0 and other >= 0:
                weights[j] = float(other == label)
        logits = torch.stack([query @ key, *[query @ row for row, _, _ in rows]]) / TEMPERATURE
        logs = logits - logits.logsumexp(0)
        every = [1.0, *weights]
        return -sum(w * log for w, log in zip(every, logs, strict=True)) / sum(every)

    def push(self, keys):
        self.queue = (self.queue + keys)[-BANK:]


def unit(number, seed):
    """Rows that are every second one of a larger array, column-major."""
    draw = torch.Generator().manual_seed(seed)
    wide = torch.randn(5, 2 * number, generator=draw, dtype=torch.float64).T
    return wide[::2]


@pytest.mark.parametrize("stream", STREAMS.values(), ids=STREAMS)
@pytest.mark.parametrize(("name", "change", "both_ways"), CASES, ids=str)
@pytest.mark.quick(76)
def test_it_is_the_reference_query_by_query(name, change, stream, both_ways, seen, step_of):
    objective, reference = built(name, change, both_ways), Reference(name, change)
    views, term = 2 if both_ways else 1, "intra" if name == "interclr" else "contrast"
    first = 0
    for at, (unlabelled, labels) in enumerate(stream):
        ids = torch.arange(unlabelled) + max(0, first - 1)  # the last image comes again
        first += unlabelled
        groups, given = [], {}
        kinds = (("query", "key", [-1] * unlabelled, ids.tolist()),)
        kinds += (("labelled", "labelled_key", labels, [1000 + i for i in range(len(labels))]),)
        for k, (query, key, of_rows, images) in enumerate(kinds):
            if not of_rows:
                continue
            own = unit(views * len(of_rows), 10 * at + k).requires_grad_()
            slow = unit(views * len(of_rows), 10 * at + k + 5)
            if both_ways:
                given[query] = seen(own, slow, number=2)
            else:
                given |= {query: seen(own), key: seen(teacher=slow)}
            groups.append((own, slow, of_rows, images))
        found = objective.terms(step_of(given, unlabelled, labels, ids=ids))[term]
        losses, pushed = [], []
        for own, slow, of_rows, images in groups:
            queries, keys = (functional.normalize(x, dim=1) for x in (own, slow))
            keys = keys.view(views, -1, 5).flip(0).flatten(0, 1)
            for row, (query, key) in enumerate(zip(queries, keys, strict=True)):
                label, image = of_rows[row % len(of_rows)], images[row % len(of_rows)]
                losses.append(reference.loss(query, key, label, image))
                pushed.append((key, label, image))
        expected = torch.stack(losses).mean()
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-11)
        leaves = [group[0] for group in groups]
        ours, theirs = (
            torch.autograd.grad(x, leaves, retain_graph=True) for x in (found, expected)
        )
        for one, other in zip(ours, theirs, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-8, atol=1e-10)
        objective.after_step()
        reference.push(pushed)


SUPCON = [
    ("ascl", {"neighbours": 0}),
    ("ascl", {"neighbours": 3, "variant": "hard"}),
    ("ifnd", {"variant": "attract", "rate": [1.0, 1.0]}),
    ("xmoco", {}),
    ("interclr", {}),
]


@pytest.mark.parametrize(("name", "change"), SUPCON, ids=str)
def test_with_all_labels_known_it_is_supcon(name, change, seen, step_of):
    """Khosla et al. 2020, eq. 2, with the own key and the queue as the candidates."""
    objective = built(name, change, both_ways=False)
    classes, found = [torch.tensor([0, 1, 2, 0, 1, 1]), torch.tensor([2, 0, 0, 3])], None
    rows = [[unit(len(labels), 3 * i + k) for k in (0, 1)] for i, labels in enumerate(classes)]
    for i, labels in enumerate(classes):
        shown = {"labelled": seen(rows[i][0]), "labelled_key": seen(teacher=rows[i][1])}
        step = step_of(shown, 0, labels, labelled_ids=100 * i + torch.arange(len(labels)))
        found = objective.terms(step)["intra" if name == "interclr" else "contrast"]
        objective.after_step()
    query, key, queue = (functional.normalize(x, dim=1) for x in (*rows[1], rows[0][1]))
    own, others = (query * key).sum(dim=1, keepdim=True), query @ queue.T
    log_p = (torch.cat([own, others], dim=1) / TEMPERATURE).log_softmax(dim=1)
    same = torch.cat([torch.ones(4, 1), (classes[1][:, None] == classes[0]).double()], dim=1)
    expected = -((same * log_p).sum(dim=1) / same.sum(dim=1)).mean()
    torch.testing.assert_close(found, expected)
