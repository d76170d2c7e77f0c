"""What all benchmarks share: alternating pairs, medians with their spread, tables in Markdown."""

import datetime
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from importlib import metadata
from pathlib import Path


def use_threads(count: int) -> int:
    """Fixes torch's threads, 0 for one per core, and says how many they are."""
    import torch

    torch.set_num_threads(count or len(os.sched_getaffinity(0)))
    return torch.get_num_threads()


def seconds(work: Callable[[], object]) -> float:
    """Wall-clock time of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def processor_seconds(work: Callable[[], object]) -> float:
    """Time of the processor, summed over this process's threads: a busy machine hardly counts."""
    start = time.process_time()
    work()
    return time.process_time() - start


def alternate(
    works: Sequence[Callable[[], object]],
    rounds: int,
    clock: Callable[[Callable[[], object]], float] = seconds,
) -> list[list[float]]:
    """Times all works in each round, forwards and backwards in turn, after one call of each.

    Returns:
        The times of each work, one a round: those of the same round belong together.
    """
    for work in works:
        work()
    times: list[list[float]] = [[] for _ in works]
    for turn in range(rounds):
        order = range(len(works)) if turn % 2 == 0 else reversed(range(len(works)))
        for i in order:
            times[i].append(clock(works[i]))
    return times


def spread(values: Iterable[float], digits: int = 1) -> str:
    """Median [lowest..highest]."""
    values = list(values)
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"{middle:,.{digits}f} [{low:,.{digits}f}..{high:,.{digits}f}]"


def machine(threads: int) -> str:
    """Processor, threads, versions and day."""
    found = Path("/proc/cpuinfo")
    lines = found.read_text(encoding="utf-8").splitlines() if found.exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in ("torch", "torchvision"))
    name = names[0] if names else platform.processor()
    cores = f" ({len(names)} cores)" if names else ""
    return f"{name}{cores}, {threads} threads, {versions}, {datetime.date.today()}"


def show(title: str, head: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Prints a table as it may stand in a page."""
    print(f"\n{title}\n")
    print("| " + " | ".join(head) + " |")
    print("|" + "---|" * len(head))
    for row in rows:
        print("| " + " | ".join(str(each) for each in row) + " |")
