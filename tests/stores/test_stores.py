"""Every form of a store against the array: the same rows, whatever is asked in which order."""

import threading

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from contsemi.stores.ahead import Buffers
from contsemi.stores.choosing import Stores, plain, stored
from contsemi.stores.mapped import Mapped
from contsemi.stores.parts import Chain, chained
from contsemi.stores.resident import Resident
from contsemi.stores.store import Some

CPU = torch.device("cpu")
FORMS = ("resident", "mapped", "shards", "some", "chain")


@pytest.fixture(scope="module")
def array():
    draw = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (40, 3, 8, 8), dtype=torch.uint8, generator=draw)


@pytest.fixture(scope="module")
def forms(array, pictures, shards_of):
    """By form: a store, and all of its images as an array."""
    shards = shards_of(pictures)
    squares = shards.take(torch.arange(40))
    mapped = Mapped(array, CPU)
    order = torch.arange(39, -1, -1)
    return {
        "resident": (Resident(array), array),
        "mapped": (mapped, array),
        "shards": (shards, squares),
        "some": (Some(mapped, order), array.flip(0)),
        "chain": (Chain([shards, Resident(squares[:7])]), torch.cat([squares, squares[:7]])),
    }


@pytest.mark.parametrize("form", FORMS)
@settings(deadline=None, max_examples=25)
@given(data=st.data())
def test_rows_are_those_of_the_array(forms, form, data):
    store, array = forms[form]
    ids = torch.tensor(
        data.draw(st.lists(st.integers(0, len(array) - 1), max_size=30)), dtype=torch.int64
    )
    if data.draw(st.booleans()):
        store.expect(ids)
    if data.draw(st.booleans()):
        store.expect(ids.flip(0))
    found = store.take(ids)
    assert found.dtype == torch.uint8 and found.shape == (len(ids), *array.shape[1:])
    assert torch.equal(found, array[ids])
    assert torch.equal(store.some(ids).all(), array[ids])
    assert len(store) == len(array) and store.side == array.shape[-1]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("row", [-1, 47])
def test_a_row_that_is_not_there_is_refused(forms, form, row):
    with pytest.raises((IndexError, RuntimeError)):
        forms[form][0].take(torch.tensor([0, row]))


def test_what_was_taken_is_not_written_again(array):
    store = Mapped(array, CPU)
    first = store.take(torch.tensor([1, 2]))
    for start in range(3, 30, 2):
        store.expect(torch.tensor([start, start + 1]))
        store.take(torch.tensor([start, start + 1]))
    assert torch.equal(first, array[1:3])


def test_a_read_that_was_expected_is_done_once_and_before_it_is_taken(array):
    read, done = [], threading.Event()

    class Counted(Mapped):
        def read(self, asked, rows, rooms):
            super().read(asked, rows, rooms)
            read.append(threading.current_thread() is threading.main_thread())
            done.set()

    store, ids = Counted(array, CPU), torch.tensor([3, 1])
    store.expect(ids)
    assert done.wait(60)
    assert torch.equal(store.take(ids), array[ids])
    assert read == [False]
    store.take(ids)
    assert read == [False, False]  # nothing is kept for a second time


def test_an_error_of_a_thread_reaches_who_asks_and_the_store_goes_on(array):
    class Broken(Mapped):
        def read(self, asked, rows, rooms):
            if 7 in asked.ids:
                raise ValueError("no row 7")
            super().read(asked, rows, rooms)

    store = Broken(array, CPU)
    store.expect(torch.tensor([7]))
    with pytest.raises(ValueError, match="no row 7"):
        store.take(torch.tensor([7]))
    assert torch.equal(store.take(torch.tensor([6])), array[6:7])


def test_buffers_are_used_again_only_when_the_device_has_copied_them():
    made, events = [], []

    class Event:
        over = False

        def query(self):
            return self.over

        def synchronize(self):
            self.over = True

    def make(count):
        made.append(torch.zeros(count, dtype=torch.uint8))
        return made[-1]

    def mark():
        events.append(Event())
        return events[-1]

    buffers = Buffers(make, mark)
    first = buffers.room((2, 3))
    buffers.sent([first])
    second = buffers.room((2, 3))
    assert second.data_ptr() != first.data_ptr() and len(made) == 2
    buffers.sent([second])
    events[0].over = True
    assert buffers.room((3, 2)).data_ptr() == first.data_ptr() and len(made) == 2
    assert not events[1].over
    for _ in range(9):  # a device that is far behind is waited for
        buffers.sent([buffers.room((2, 3))])
    assert len(made) <= 6


def test_a_dropped_read_gives_its_buffer_back(array):
    made = []

    def make(count):
        made.append(count)
        return torch.empty(count, dtype=torch.uint8)

    store = Mapped(array, CPU)
    store._buffers = Buffers(make, lambda: None)
    for row in range(20):
        store.expect(torch.tensor([row]))
    assert len(made) == 4


def test_arrays_stay_arrays_and_parts_of_one_store_stay_a_part(array):
    mapped = Mapped(array, CPU)
    both = chained(mapped.some(torch.tensor([1])), mapped.some(torch.tensor([2])))
    assert isinstance(both, Some) and both.ids.tolist() == [1, 2]
    assert isinstance(chained(Resident(array), Resident(array)), Resident)
    mixed = chained(mapped.some(torch.tensor([1])), Resident(array[5:6]))
    assert torch.equal(mixed.all(), array[[1, 5]])


def test_an_array_stays_where_it_is_on_a_cpu(array, monkeypatch):
    assert stored(array, CPU).images is array and plain(array, CPU).images is array
    stores = Stores(CPU)
    assert stores(array) is stores(array)
    monkeypatch.setattr("contsemi.stores.choosing._memory", lambda: 2 * array.nbytes - 1)
    assert isinstance(stored(array, CPU), Mapped)  # it can only be a memory map


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_an_array_is_copied_to_a_gpu_once_where_there_is_room(array, monkeypatch):
    gpu = torch.device("cuda", 0)
    stores, ids = Stores(gpu), torch.tensor([5, 5, 0])
    assert stores(array).images.device == gpu and stores(array) is stores(array)
    assert torch.equal(stores(array).take(ids).cpu(), array[ids])
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (10, 10))
    mapped = stored(array, gpu)
    assert isinstance(mapped, Mapped)
    for start in range(0, 30, 3):
        rows = torch.arange(start, start + 3)
        found = mapped.take(rows)
        mapped.expect(rows + 3)
        assert found.device == gpu and torch.equal(found.cpu(), array[rows])


def test_a_memory_map_is_read_as_it_is(array, tmp_path):
    np.save(tmp_path / "images.npy", array.numpy())
    images = torch.from_numpy(np.load(tmp_path / "images.npy", mmap_mode="c"))
    ids = torch.tensor([39, 0, 39])
    assert torch.equal(Mapped(images, CPU).take(ids), array[ids])
