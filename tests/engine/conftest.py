"""Several processes that train together, forked from the tests' own, which has all imported."""

import multiprocessing
import pickle
import traceback

import pytest
import torch
import torch.distributed as dist

from contsemi.engine.distributed import Ranks

SECONDS = 120  # after which processes that wait for each other are given up


def _work(job, rank, size, store, pipe):
    torch.set_num_threads(1)
    try:
        dist.init_process_group("gloo", init_method=store, rank=rank, world_size=size)
        # By value: torch's own way would hand over tensors of a process that is gone.
        pipe.send_bytes(pickle.dumps((job(Ranks(rank, size)), None)))
        dist.destroy_process_group()
    except BaseException:
        pipe.send_bytes(pickle.dumps((None, traceback.format_exc())))


@pytest.fixture(scope="session")
def in_ranks(tmp_path_factory):
    """Calls ``job(ranks)`` in processes that know each other; what each returned, by rank."""
    context = multiprocessing.get_context("fork")

    def call(job, size=2):
        store = f"file://{tmp_path_factory.mktemp('ranks') / 'store'}"
        pipes = [context.Pipe(duplex=False) for _ in range(size)]
        workers = [
            context.Process(target=_work, args=(job, rank, size, store, pipe[1]))
            for rank, pipe in enumerate(pipes)
        ]
        for worker in workers:
            worker.start()
        try:
            found = []
            for receiver, _ in pipes:
                assert receiver.poll(SECONDS), "the processes wait for each other"
                value, error = pickle.loads(receiver.recv_bytes())
                assert error is None, error
                found.append(value)
        finally:
            for worker in workers:
                worker.kill()
                worker.join()
        return found

    return call
