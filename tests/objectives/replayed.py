"""Arrays of other people's code, played through an objective step by step.

Everything that a file may vary is read from it, so that another file of the same kind only has to
be laid beside the others.
"""

from pathlib import Path

import numpy as np
import pytest
import torch

from contsemi.types import Experience, Outputs, Seen, Step

REFERENCE = Path(__file__).parents[1] / "reference" / "parts"


class Data(dict):
    """The arrays of one file as tensors, its constants as numbers."""

    def __init__(self, path):
        with np.load(path, allow_pickle=False) as file:
            for key, value in file.items():
                self[key] = torch.from_numpy(np.asarray(value)) if value.ndim else value.item()

    def leaf(self, name):
        return self[name].clone().requires_grad_()


def files(pattern, key):
    """Those of the files that have a key."""
    found = sorted(REFERENCE.glob(f"{pattern}.npz"))
    return [path for path in found if key in np.load(path, allow_pickle=False)]


def settings(name):
    """The numbers of the settings that a file of reference/objectives/ has."""
    with np.load(REFERENCE.parent / "objectives" / f"{name}.npz", allow_pickle=False) as file:
        return sorted({key.partition("_")[0] for key in file.files})


def over(pattern, key, least):
    """A test of each of those files, of which there are at least so many."""
    found = files(pattern, key)
    assert len(found) >= least, f"{len(found)} of {least} files {pattern} with {key}"
    return pytest.mark.parametrize("path", found, ids=lambda path: path.stem)


def close(found, expected, largest=None):
    """``largest`` is what rounding is measured by; ``None`` for the largest that is expected."""
    found = torch.as_tensor(found).detach()
    exact = found.dtype == torch.float64
    expected = torch.as_tensor(expected, dtype=torch.float64)
    rtol, floor = (1e-9, 1e-11) if exact else (1e-4, 1e-5)
    if largest is None:
        largest = float(expected.abs().max()) if expected.numel() else 0.0
    torch.testing.assert_close(
        found.double(), expected, rtol=rtol, atol=max(floor * largest, 1e-11), check_stride=False
    )


def gradients_close(named, expected_of):
    """Gradients of one network.

    A bias before a batch normalisation has none but rounding, which is another on each processor:
    in float32, what lies a million times below the largest is measured by that one.
    """
    expected = {name: expected_of(name) for name, _ in named}
    largest = {name: float(each.abs().max()) for name, each in expected.items()}
    whole = max(largest.values())
    for name, parameter in named:
        noise = parameter.dtype == torch.float32 and largest[name] < 1e-6 * whole
        close(parameter.grad, expected[name], whole if noise else None)


def a_step(seen, batch, classes, **given):
    """A step of a task of which all classes are new; only what matters is given."""
    labels = given.get("labels", torch.empty(0, dtype=torch.int64))
    return Step(
        seen=seen,
        **{
            "labels": labels,
            "labelled_ids": torch.arange(len(labels)),
            "unlabelled_ids": torch.arange(batch),
            "places": torch.arange(batch),
            "columns": torch.arange(classes),
            "num_old": 0,
            "num_seen": classes,
            "progress": 0.5,
            "draw": lambda purpose: torch.Generator(),
        }
        | given,
    )


def said(**heads):
    rows = next(iter(heads.values()))
    return Outputs(heads.pop("features", rows[:, :0]), heads)


def of(outputs, number=1, **given):
    return Seen(student=outputs, number=number, **given)


def experience(classes, images=0):
    empty = torch.empty(0, dtype=torch.int64)
    return Experience(0, tuple(range(classes)), 0, classes, empty, empty, torch.arange(images))


VIEWS = {"labelled_views": 1, "supports_per_class": 0}


def mixed_rows(rows, data, level=None):
    """Rows of everything, each with its partner, and what was drawn for that."""
    lam, partners = data["lam_drawn"], data["permutation"]
    if level is not None:
        lam, partners = float(lam[min(level, len(lam) - 1)]), partners[min(level, len(lam) - 1)]
    lam, rows = max(lam, 1 - lam), torch.cat(rows)
    return lam * rows + (1 - lam) * rows[partners], {"share": lam, "partners": partners}
