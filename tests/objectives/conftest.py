"""Steps by hand for objectives that have a slow network."""

from pathlib import Path

import numpy as np
import pytest
import torch

from contsemi.types import Outputs


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
