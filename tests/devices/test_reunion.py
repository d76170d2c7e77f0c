"""One of two processes has no memory for a step: both go on in smaller pieces, as one would."""

import os
import socket
import time

import pytest
import torch
import torch.distributed as dist

from contsemi import pipeline
from contsemi.errors import OutOfDeviceMemory, RankLost
from contsemi.learner.learner import Learner
from contsemi.records.results import without_timings

RUN = (
    *("scenario.classes=4", "scenario.tasks=2", "optim.epochs=1", "batch.unlabelled=90"),
    *("model.blocks=[1,1]", "model.width=4"),
)


@pytest.fixture
def start(small, in_ranks, tmp_path, monkeypatch):
    """Runs in two processes that meet as torchrun's do; what each says, and how long it took."""
    monkeypatch.setattr("contsemi.report.pages.draw.draw", lambda run: [])

    def run(name, *words, fails=lambda ranks, call: None):
        config = small(*RUN, *words, "precision=fp32", f"output={tmp_path / name}")
        with socket.create_server(("localhost", 0)) as free:
            port = free.getsockname()[1]

        def job(ranks):
            dist.destroy_process_group()
            numbers = {"RANK": ranks.rank, "WORLD_SIZE": 2, "LOCAL_RANK": 0, "LOCAL_WORLD_SIZE": 1}
            os.environ |= {name: str(number) for name, number in numbers.items()}
            os.environ |= {"MASTER_ADDR": "localhost", "MASTER_PORT": str(port)}
            plant(ranks, fails)
            began = time.monotonic()
            try:
                return without_timings(pipeline.run(config)), time.monotonic() - began
            except (OutOfDeviceMemory, RankLost) as error:
                return f"{error.exit_code} {error}", time.monotonic() - began

        return in_ranks(job)

    return run


def plant(ranks, fails):
    """Lets calls of an update fail: ``fails`` names the error."""
    real, calls = Learner.backward, [0]

    def planted(self, loss):
        calls[0] += 1
        real(self, loss)  # whatever it changes stays changed
        if (error := fails(ranks, calls[0])) is not None:
            raise error

    Learner.backward = planted  # of this process, which ends


def no_room(ranks, call):
    if ranks.rank == 1 and call == 3:
        return torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")
    return None


@pytest.mark.thorough
def test_both_go_on_in_two_pieces(start):
    expected = start("two", "batch.pieces=2")
    found = start("halved", fails=no_room)
    assert [each[0]["pieces"] for each in found] == [2, 2]
    assert found[0][0] == found[1][0] == expected[0][0]


@pytest.mark.slow
def test_the_same_pieces_are_tried_again_where_a_library_had_no_room(start):
    def cublas(ranks, call):
        failed = ranks.rank == 0 and call == 2
        return RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED") if failed else None

    found = start("again", fails=cublas)
    assert [each[0]["pieces"] for each in found] == [1, 1]


@pytest.mark.slow
def test_a_process_that_never_has_room_ends_all(start):
    def never(ranks, call):
        return torch.OutOfMemoryError("CUDA out of memory.") if ranks.rank else None

    for said, _ in start("never", fails=never):
        assert said.startswith("6 ") and "even in 32 pieces, after 5 halvings" in said


@pytest.mark.slow
def test_another_error_is_no_reason_to_meet_again(start):
    def gone(ranks, call):
        if ranks.rank == 1 and call == 3:
            dist.destroy_process_group()
            return RankLost("ranks: gone")
        return None

    assert all(said.startswith("7 ranks:") for said, _ in start("gone", fails=gone))
