"""Images shared out by Sinkhorn-Knopp or by MIRA, with a queue or without."""

import pytest
import torch
from torch.nn import functional

from contsemi.assign.mira import mira
from contsemi.assign.sinkhorn import sinkhorn
from contsemi.blocks.shares import Shares
from contsemi.types import Outputs

OPTIONS = {"epsilon": 0.2, "iterations": 5, "queue": 0, "queue_from": 0}


@pytest.fixture
def said():
    draw = torch.Generator().manual_seed(0)
    rows = torch.randn(12, 4, generator=draw)
    directions = functional.normalize(torch.randn(3, 4, generator=draw), dim=1)
    scores = functional.normalize(rows, dim=1) @ directions.T
    return Outputs(rows, {"projector": rows, "clusters": scores}, {"clusters": directions})


def test_either_way_each_view_is_shared_out_by_itself(said, make_step):
    step = make_step(batch_size=6)
    halves = said["clusters"].split(6)
    found = Shares("clusters", **OPTIONS)(step, said)
    expected = [sinkhorn(half, epsilon=0.2, iterations=5) for half in halves]
    assert torch.equal(found, torch.cat(expected))
    found = Shares("clusters", **OPTIONS, assign="mira", beta=0.75)(step, said)
    expected = [mira(half, temperature=0.2, beta=0.75, iterations=5) for half in halves]
    assert torch.equal(found, torch.cat(expected))


def test_a_full_queue_counts_in_mira_too(said, make_step):
    step = make_step(batch_size=6)
    shares = Shares("clusters", **OPTIONS | {"queue": 6}, assign="mira", beta=0.75)
    shares(step, said)
    shares.after_step()
    other = said.rows(torch.arange(12).flip(0))
    found = shares(step, other)
    stored = said["clusters"].split(6)
    expected = [
        mira(half, temperature=0.2, beta=0.75, iterations=5, queue=rows)
        for half, rows in zip(other["clusters"].split(6), stored, strict=True)
    ]
    torch.testing.assert_close(found, torch.cat(expected))
