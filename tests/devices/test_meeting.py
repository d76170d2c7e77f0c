"""The processes of one start agree on a name, whatever earlier starts have left in the store."""

import threading
from datetime import timedelta

import pytest
import torch
from torch.distributed import HashStore

from contsemi.devices.meeting import agreed_name, refuse_apart
from contsemi.errors import RankLost

SHORT = timedelta(seconds=20)


def start(store, size, order=None):
    """Names that each of the processes got; they come in some order."""
    found = {}

    def meet(rank):
        found[rank] = agreed_name(store, rank, size, SHORT)

    workers = [threading.Thread(target=meet, args=(rank,)) for rank in order or range(size)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return [found[rank] for rank in range(size)]


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0)])
def test_every_start_has_a_name_of_its_own(order):
    store, names = HashStore(), []
    for _ in range(3):
        names += start(store, 3, order)
    assert [names[0]] * 3 + [names[3]] * 3 + [names[6]] * 3 == names
    assert len(set(names)) == 3


def test_a_start_that_was_cut_short_does_not_lead_the_next_one_astray():
    """One process had said its number, and the first had answered nobody, when all ended."""
    store, found = HashStore(), {}
    store.set("contsemi says 1", "of a process that is gone")
    first = threading.Thread(target=lambda: found.update({0: agreed_name(store, 0, 2, SHORT)}))
    first.start()
    store.wait(["contsemi answer of a process that is gone"], SHORT)  # in vain
    found[1] = agreed_name(store, 1, 2, SHORT)
    first.join()
    assert found[0] == found[1]


def test_who_does_not_come_is_waited_for_in_vain():
    with pytest.raises(RankLost, match="1 of 2 processes did not come"):
        agreed_name(HashStore(), 0, 2, timedelta(seconds=0.2))
    with pytest.raises(RankLost):
        agreed_name(HashStore(), 1, 2, timedelta(seconds=0.2))


def test_processes_that_have_grown_apart_are_stopped(in_ranks):
    def job(ranks):
        tensors = {"ids": torch.arange(3), "rows": torch.ones(2, 2, dtype=torch.float16)}
        refuse_apart(ranks, 0, {"exemplars": tensors, "weights": {}})
        told = []
        for name in ("ids", "rows"):
            other = {**tensors, name: tensors[name] + ranks.rank}
            try:
                refuse_apart(ranks, 2, {"exemplars": other, "weights": {}})
            except RankLost as error:
                told.append(str(error))
        return told

    first, second = in_ranks(job)
    assert len(first) == len(second) == 2
    assert all("after task 3 another rank has other" in text for text in first)
    assert all("after task 3 rank 1 has other exemplars than rank 0" in text for text in second)
