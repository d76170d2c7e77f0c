"""The processes of one start agree on a name, whatever earlier starts have left in the store."""

import threading
from datetime import timedelta

import pytest
from torch.distributed import HashStore

from contsemi.devices.meeting import agreed_name
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
    store = HashStore()
    store.set("contsemi says 1", "of a process that is gone")
    names = start(store, 2)
    assert names[0] == names[1]
    assert store.get("contsemi answer of a process that is gone")  # in vain


def test_who_does_not_come_is_waited_for_in_vain():
    with pytest.raises(RankLost, match="1 of 2 processes did not come"):
        agreed_name(HashStore(), 0, 2, timedelta(seconds=0.2))
    with pytest.raises(RankLost):
        agreed_name(HashStore(), 1, 2, timedelta(seconds=0.2))
