"""A pool of embeddings by hand."""

from types import SimpleNamespace

import pytest
import torch


@pytest.fixture(scope="session")
def pool_of():
    """The pool of a task of which the slow network says these embeddings [P, D]."""

    def make(rows, labels=None, seed=0):
        labels = torch.full((len(rows),), -1) if labels is None else torch.as_tensor(labels)

        def outputs(network, *heads):
            assert (network, heads) == ("teacher", ("projector",))
            return {"projector": rows}

        return SimpleNamespace(
            ids=torch.arange(len(rows)),
            labels=labels,
            outputs=outputs,
            draw=lambda purpose: torch.Generator().manual_seed(seed),
        )

    return make


@pytest.fixture(scope="session")
def task():
    """A task of so many images, of which no label is known."""
    from contsemi.types import Experience

    def make(images, columns=(2, 3), num_old=2, num_seen=4):
        none = torch.empty(0, dtype=torch.int64)
        return Experience(0, columns, num_old, num_seen, none, none, 100 + torch.arange(images))

    return make
