"""How many threads of the CPU a run takes, by a fixed rule: the same command, the same bits.

OpenMP's threads wait for each other after every operation. Where other work shares the cores, one
of them is always late, by about the slice of time that the system gives: a step of many small
operations takes several times longer, one of large operations a little or not at all. On an idle
machine a second thread gains up to nearly half of a step; see docs/performance.md.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass

import torch

LARGE_STEP = 5e10
"""Multiply-adds of a step above which its operations are large: seconds on one core."""


@dataclass(frozen=True, slots=True)
class Threads:
    """A number of threads, and why it is that one."""

    number: int
    reason: str


def choose_threads(
    asked: int,
    *,
    work: float,
    device: torch.device,
    processes: int = 1,
    environment: Mapping[str, str] = os.environ,
) -> Threads:
    """The threads of a run.

    Args:
        asked: the key ``threads``; 0 leaves the choice to the rule.
        work: multiply-adds of a training step, forwards and backwards.
        device: where the network runs; beside an accelerator the CPU takes all its cores.
        processes: of this run on this machine, among which the cores are shared out.
        environment: whose ``OMP_NUM_THREADS`` counts, but for torchrun's own 1.
    """
    if asked:
        return Threads(asked, f"threads={asked}")
    said = environment.get("OMP_NUM_THREADS", "").partition(",")[0].strip()  # one for each level
    if said.isdigit() and int(said) and not (processes > 1 and said == "1"):
        return Threads(int(said), f"OMP_NUM_THREADS={said}")
    cores = max(1, len(os.sched_getaffinity(0)) // processes)
    if device.type != "cpu":
        return Threads(cores, "the accelerator computes")
    if cores == 1:
        return Threads(1, "one core for this process")
    size = f"{work / 1e9:,.0f}" if work >= 1e10 else f"{work / 1e9:.2g}"
    if work < LARGE_STEP:
        return Threads(1, f"a step of {size} G multiply-adds is small")
    return Threads(cores, f"a step of {size} G multiply-adds is large")
