"""The number of threads: asked for, said in the environment, or by the work in a step."""

import os

import pytest
import torch

from contsemi.devices.threads import LARGE_STEP, choose_threads

CPU, GPU = torch.device("cpu"), torch.device("cuda")


@pytest.fixture(autouse=True)
def cores(monkeypatch):
    """A machine of eight cores."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)))


@pytest.mark.parametrize(
    ("asked", "said", "work", "device", "processes", "number", "reason"),
    [
        (3, "5", 1e15, CPU, 1, 3, "threads=3"),
        (0, "5", 1.0, CPU, 1, 5, "OMP_NUM_THREADS=5"),
        (0, "1", 1e15, CPU, 1, 1, "OMP_NUM_THREADS=1"),
        (0, "", LARGE_STEP / 2, CPU, 1, 1, "a step of 25 G multiply-adds is small"),
        (0, "", LARGE_STEP * 2, CPU, 1, 8, "a step of 100 G multiply-adds is large"),
        (0, "", 0.0, GPU, 1, 8, "the accelerator computes"),
        (0, "1", LARGE_STEP * 2, CPU, 2, 4, "a step of 100 G multiply-adds is large"),  # torchrun
        (0, "2", LARGE_STEP * 2, CPU, 2, 2, "OMP_NUM_THREADS=2"),
        (0, "", LARGE_STEP * 2, CPU, 16, 1, "one core for this process"),
        (0, "3,2", 1.0, CPU, 1, 3, "OMP_NUM_THREADS=3"),  # a number for each level
        (0, "0", 1.0, CPU, 1, 1, "a step of 1e-09 G multiply-adds is small"),
        (0, "all", 1.0, CPU, 1, 1, "a step of 1e-09 G multiply-adds is small"),
    ],
)
def test_the_number_and_its_reason(asked, said, work, device, processes, number, reason):
    found = choose_threads(
        asked,
        work=work,
        device=device,
        processes=processes,
        environment={"OMP_NUM_THREADS": said},
    )
    assert (found.number, found.reason) == (number, reason)
