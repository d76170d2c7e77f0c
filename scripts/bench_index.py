"""The forms of the index against each other and against a plain product with top-k, in one run.

The rows are 1000 clusters with 16 directions of their own each. Times are those of the processor,
summed over its threads, so that a busy machine does not count; set OMP_NUM_THREADS=1 to compare.

    OMP_NUM_THREADS=1 python scripts/bench_index.py --rows 10000 100000
"""

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass

import torch
from rich.console import Console
from torch import Tensor
from torch.nn import functional

from contsemi.memory.index import Index

EXACT, APPROXIMATE = ("torch", "flat"), ("ivf", "hnsw", "sq8", "pq")
CLUSTERS, INNER = 1000, 16
REPLACED = 256


@dataclass(frozen=True)
class Row:
    """One line of the table; times in milliseconds, but ``build`` in seconds."""

    rows: int
    kind: str
    build: float
    bytes: float
    near: float
    near_ratio: float
    near_recall: float
    far: float
    far_ratio: float
    far_recall: float
    replace: float


def clustered(count: int, width: int, draw: torch.Generator) -> Tensor:
    """Unit rows [count, width] around centres that depend on the width alone."""
    shape = torch.Generator().manual_seed(0)
    centres = functional.normalize(torch.randn(CLUSTERS, width, generator=shape), dim=1)
    inner = torch.randn(CLUSTERS, INNER, width, generator=shape) * (0.5 / (INNER * width) ** 0.5)
    own = torch.randint(CLUSTERS, (count,), generator=draw)
    rows = torch.empty(count, width)
    for start in range(0, count, 20_000):
        part = own[start : start + 20_000]
        noise = torch.randn(len(part), 1, INNER, generator=draw)
        rows[start : start + 20_000] = centres[part] + (noise @ inner[part]).squeeze(1)
    return functional.normalize(rows, dim=1)


def milliseconds(work: Callable[[], object], rounds: int) -> float:
    """Median processor time of a call, after one that does not count."""
    times = []
    for _ in range(rounds + 1):
        start = time.process_time()
        work()
        times.append(1e3 * (time.process_time() - start))
    return statistics.median(times[1:])


def recall(found: Tensor, truth: Tensor) -> float:
    """The share of true neighbours among those found."""
    hits = [torch.isin(a, b).float().mean() for a, b in zip(truth, found, strict=True)]
    return float(torch.stack(hits).mean())


def measure(rows: Tensor, queries: Tensor, kinds: Sequence[str], rounds: int) -> list[Row]:
    """The plain product with top-k, and each form on the same rows."""
    near, far = 10, min(200, len(rows))
    truth = {k: (queries @ rows.T).topk(k).indices for k in (near, far)}
    plain = {k: milliseconds(lambda k=k: (queries @ rows.T).topk(k), rounds) for k in (near, far)}
    size = 4.0 * rows.shape[1]
    table = [Row(len(rows), "plain", 0, size, plain[near], 1, 1, plain[far], 1, 1, 0)]
    places = torch.randperm(len(rows))[:REPLACED]
    for kind in kinds:
        start = time.process_time()
        index = Index(rows, kind)
        build = time.process_time() - start
        if index.kind != kind:
            raise SystemExit(f"{kind}: {index.reason}")
        times, shares = [], []
        for k in (near, far):
            times.append(milliseconds(lambda k=k, index=index: index.search(queries, k), rounds))
            shares.append(recall(index.search(queries, k)[1], truth[k]))
        replace = milliseconds(lambda index=index: index.replace(places, rows[places]), rounds)
        each = index.memory_bytes / len(rows)
        first = times[0], times[0] / plain[near], shares[0]
        second = times[1], times[1] / plain[far], shares[1]
        table.append(Row(len(rows), kind, build, each, *first, *second, replace))
    return table


def show(rows: Sequence[Row], console: Console) -> None:
    """Prints the table in Markdown."""
    heads = ["rows", "form", "build s", "bytes a row", "k=10 ms", "of plain", "recall"]
    heads += ["k=200 ms", "of plain", "recall", "replace 256 ms"]
    forms = ["{:,}", "{}", "{:.1f}", "{:.0f}", "{:.1f}", "{:.2f}", "{:.3f}", "{:.1f}", "{:.2f}"]
    forms += ["{:.3f}", "{:.2f}"]
    lines = [heads, ["---"] * len(heads)]
    lines += [[f.format(x) for f, x in zip(forms, astuple(row), strict=True)] for row in rows]
    for line in lines:
        console.print("| " + " | ".join(line) + " |", soft_wrap=True, markup=False)


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--queries", type=int, default=256)
    parser.add_argument("--kinds", nargs="+", default=[*EXACT, *APPROXIMATE])
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    draw = torch.Generator().manual_seed(1)
    queries = clustered(given.queries, given.width, draw)
    found = []
    for count in given.rows:
        rows = clustered(count, given.width, draw)
        found += measure(rows, queries, given.kinds, given.rounds)
    show(found, Console())


if __name__ == "__main__":
    main()
