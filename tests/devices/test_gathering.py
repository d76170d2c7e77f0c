"""What the ranks gather of a step: as of one process, without a wait and without what nobody reads.

The losses of whole methods are compared in ``test_ranks.py``.
"""

import warnings

import pytest
import torch

from contsemi.devices import gathering
from contsemi.devices import ranks as ranks_module
from contsemi.devices.gathering import gather_outputs
from contsemi.devices.ranks import Ranks
from contsemi.types import Outputs

BLOCKS = [((5, 2),), ((3, 1),)]  # two views of five rows; one of three


def whole():
    draw = torch.Generator().manual_seed(0)
    return [
        Outputs(
            torch.randn(rows, 7, generator=draw, dtype=torch.float64).requires_grad_(),
            {"projector": torch.randn(rows, 2, generator=draw, dtype=torch.float64)},
        )
        for rows in (10, 3)
    ]


def own_rows(ranks, groups):
    """This rank's share of each view of each group."""
    found = []
    for outputs, ((count, views),) in zip(groups, BLOCKS, strict=True):
        share = ranks.share(count)
        found.append(outputs.rows((torch.arange(views)[:, None] * count + share).flatten()))
    return found


def test_everything_is_gathered_as_of_one_process(in_ranks):
    def job(ranks):
        groups = whole()
        sent = []
        real = Ranks.gather
        Ranks.gather = lambda self, own: sent.append(own.shape[1]) or real(self, own)
        found = gather_outputs(ranks, own_rows(ranks, groups), BLOCKS)
        before = list(sent)
        lengths = [len(each) for each in found]
        part = found[0].rows(slice(2, 6))
        wide = part.float().features.sum() + found[1].features.sum()
        wide.backward()
        chosen = found[0].rows(torch.tensor([9, 0]))
        return (
            before,
            sent,
            lengths,
            [each["projector"] for each in found],
            [each.features.detach() for each in (*found, part, chosen)],
            groups[0].features.grad,
        )

    expected = whole()
    grads = []
    for before, sent, lengths, heads, features, grad in in_ranks(job):
        assert before == [2]  # the heads; no features
        assert sent == [2, 7]  # all of them once, when they were read
        assert lengths == [10, 3]
        assert all(torch.equal(a, b["projector"]) for a, b in zip(heads, expected, strict=True))
        wanted = [*expected, expected[0].rows(slice(2, 6)), expected[0].rows(torch.tensor([9, 0]))]
        assert all(torch.equal(a, b.features) for a, b in zip(features, wanted, strict=True))
        grads.append(grad)
    read = torch.zeros(10, 1, dtype=torch.float64)
    read[2:6] = 1
    assert torch.equal(sum(grads), read.expand(10, 7))  # each row's to the rank that made it


@pytest.mark.parametrize("times", [1, 3])
def test_places_are_brought_to_the_device_once(times, monkeypatch):
    """Numbers that the host makes anew in every step would be waited for in every step."""
    made = []
    real = ranks_module.share_of_rank
    for module in (ranks_module, gathering):
        monkeypatch.setattr(module, "share_of_rank", lambda *a: made.append(a) or real(*a))
    ranks_module._share_on.cache_clear()
    gathering._Layout.of.cache_clear()
    ranks = Ranks(1, 2)
    for _ in range(times):
        assert ranks.own(torch.arange(1001)).tolist() == real(1001, 1, 2).tolist()
        layout = gathering._Layout.of(1, 2, ((1001, 1),))
        assert layout.on(torch.device("cpu"))[0] is layout.on(torch.device("cpu"))[0]
    assert len(made) == 3


def test_no_process_is_warned(in_ranks):
    """What torch says of a call would be said to users, once by every process."""

    def job(ranks):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            gathered = ranks.gather(torch.tensor([ranks.rank + 1.0]))
            linear = torch.nn.Linear(1, 1)
            linear(gathered[:, None]).sum().backward()
            ranks.sum_gradients([linear], [])
            return gathered.tolist(), ranks.agree(ranks.rank), ranks.sum(gathered).tolist()

    assert in_ranks(job) == [([1.0, 2.0], 1, [2.0, 4.0])] * 2
