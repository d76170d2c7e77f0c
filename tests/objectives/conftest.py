"""Steps by hand for objectives that have a slow network."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from contsemi.types import Outputs

sys.path.append(str(Path(__file__).parent))  # last: other folders have a conftest, too


@pytest.fixture(scope="session")
def arrays():
    """The arrays of one file of reference/, those of one setting of it without its number."""

    def load(name, setting=None):
        path = Path(__file__).parents[1] / "reference" / "objectives" / f"{name}.npz"
        with np.load(path, allow_pickle=False) as file:
            start = "" if setting is None else f"{setting}_"
            return {key[len(start) :]: file[key] for key in file.files if key.startswith(start)}

    return load


@pytest.fixture(scope="session")
def outputs():
    """Outputs with heads given as arrays; the features are none of a method's business."""

    def make(**heads):
        heads = {name: torch.as_tensor(value) for name, value in heads.items()}
        rows = len(next(iter(heads.values())))
        return Outputs(torch.full((rows, 1), torch.nan), heads)

    return make


@pytest.fixture(scope="session")
def random():
    """Random rows in float32, the same for the same seed."""

    def make(*shape, seed=0):
        return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))

    return make


@pytest.fixture(scope="session")
def whole_step(make_step, outputs, random):
    """A step of random outputs with all heads, for any numbers of images and views."""

    def make(
        unlabelled=6,
        labelled=0,
        *,
        large=2,
        small=0,
        views=2,
        classes=4,
        labels=None,
        columns=None,
        seed=0,
    ):
        def group(rows, seed):
            names = ("projector", "predictor", "auxiliary", "classifier")
            sizes = (5, 5, 5, classes)
            heads = {
                name: random(rows, size, seed=seed + i)
                for i, (name, size) in enumerate(zip(names, sizes, strict=True))
            }
            return outputs(**heads)

        if labels is None:
            labels = torch.arange(labelled) % classes
        columns = torch.arange(classes) if columns is None else torch.as_tensor(columns)
        given = {"num_seen": classes, "batch_size": unlabelled, "labels": labels}
        given["columns"] = columns
        given["labelled_ids"] = 1000 + torch.arange(len(labels))
        if unlabelled:
            given |= {
                "large": group(large * unlabelled, seed),
                "teacher": group(large * unlabelled, seed + 10),
            }
        if unlabelled and small:
            given["small"] = group(small * unlabelled, seed + 20)
        if len(labels):
            given |= {
                "labelled": group(views * len(labels), seed + 30),
                "teacher_labelled": group(views * len(labels), seed + 40),
            }
        return make_step(**given)

    return make


@pytest.fixture(scope="session")
def seen(outputs):
    """What the networks said of one kind of views, with one head each."""
    from contsemi.types import Seen

    def make(student=None, teacher=None, *, number=1, classes=4):
        def heads(rows):
            if rows is None:
                return None
            rows = torch.as_tensor(rows)
            scores = rows.new_zeros(len(rows), classes)
            return outputs(projector=rows, predictor=rows, classifier=scores)

        return Seen(student=heads(student), teacher=heads(teacher), number=number)

    return make


@pytest.fixture(scope="session")
def step_of():
    """A step of named views; ids and places count from 0 unless they are given."""
    from contsemi.types import Step

    def make(seen, batch_size=0, labels=(), *, classes=4, **given):
        labels = torch.as_tensor(labels, dtype=torch.int64)
        ids = given.pop("ids", torch.arange(batch_size))

        def draw(purpose):
            return torch.Generator().manual_seed(len(purpose))

        return Step(
            **{
                "seen": seen,
                "labels": labels,
                "labelled_ids": 1000 + torch.arange(len(labels)),
                "unlabelled_ids": ids,
                "places": given.pop("places", ids),
                "columns": torch.arange(classes),
                "num_old": 0,
                "num_seen": classes,
                "progress": 0.0,
                "epoch": 0,
                "draw": draw,
            }
            | given
        )

    return make


@pytest.fixture(scope="session")
def pairs_step(seen, step_of, random):
    """A step of random queries and keys, in float64."""

    def make(unlabelled=6, labels=(), *, both_ways=False, size=5, seed=0, **given):
        number = 2 if both_ways else 1
        views = {}
        kinds = (("query", "key", unlabelled), ("labelled", "labelled_key", len(labels)))
        for i, (query, key, rows) in enumerate(kinds):
            if not rows:
                continue
            student = random(number * rows, size, seed=10 * seed + i).double().requires_grad_()
            teacher = random(number * rows, size, seed=10 * seed + i + 5).double()
            if both_ways:
                views[query] = seen(student, teacher, number=2)
            else:
                views |= {query: seen(student), key: seen(teacher=teacher)}
        return step_of(views, unlabelled, labels, **given)

    return make
