"""Shards against one index that holds all their rows."""

import pytest
import torch
from torch.nn import functional

from contsemi.search.index import Index
from contsemi.search.index_shards import Shards


def unit(count, seed):
    draw = torch.Generator().manual_seed(seed)
    return functional.normalize(torch.randn(count, 8, generator=draw), dim=1)


def test_shards_answer_like_one_index():
    empty = torch.empty(0, 8)
    ids = torch.empty(0, dtype=torch.int64)
    shards = Shards([Index(empty, kind, ids=ids) for kind in ("torch", "flat", "torch")])
    whole = Index(empty, "torch", ids=ids)
    places = []
    for batch in range(7):
        rows, numbers = unit(11, batch), torch.arange(11 * batch, 11 * (batch + 1))
        places.append(shards.add(rows, ids=numbers))
        whole.add(rows, ids=numbers)
    places = torch.cat(places)
    assert len(set(places.tolist())) == len(shards) == 77
    assert [len(shard) for shard in shards.shards] == [33, 22, 22]

    gone = torch.arange(0, 77, 5)
    shards.remove(places[gone])
    whole.remove(gone)
    changed = torch.arange(1, 77, 5)
    shards.replace(places[changed], unit(len(changed), 50), ids=changed + 1000)
    whole.replace(changed, unit(len(changed), 50), ids=changed + 1000)

    wanted = torch.tensor([2, 3, 4, 1001, 1006, 71, 72])
    for allow in (None, {"ids": wanted}):
        masks = None if allow is None else (shards.where(**allow), whole.where(**allow))
        found = shards.search(unit(9, 99), 12, None if masks is None else masks[0])
        expected = whole.search(unit(9, 99), 12, None if masks is None else masks[1])
        torch.testing.assert_close(found[0], expected[0])
        real = found[1] >= 0
        assert torch.equal(real, expected[1] >= 0)
        numbers = shards.column("ids", found[1][real])
        assert torch.equal(numbers, whole["ids"][expected[1][real]])


def test_no_shard_is_an_error():
    with pytest.raises(ValueError, match="at least one"):
        Shards([])
