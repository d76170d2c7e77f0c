"""The forms of the index, a plain product with top-k, and plain FAISS calls, on the same rows.

The rows are 1000 clusters with 16 directions of their own each, in half precision, as the memory of
embeddings keeps them, so that ten million fit into the memory. Times are those of the processor,
on one thread. Each form at each size is one entry of ``results.json`` in the folder; what is there
already is not measured again, and the table and the plot are drawn from all entries.

    OMP_NUM_THREADS=1 python scripts/bench_index.py --output FOLDER --rows 10000 100000
    OMP_NUM_THREADS=1 python scripts/bench_index.py --output FOLDER --rows 10000000 --forms sq8
    OMP_NUM_THREADS=1 python scripts/bench_index.py --output FOLDER --width 32 --rows 1000000 \
        --forms ivf sq8 pq "sq8 on disk"

``replace`` is what passes until 256 other rows in the place of old ones are found: an index is made
anew. Of lists on disk the bytes are those of the file.
"""

import argparse
import gc
import json
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast, get_args

import torch
from bench_index_report import picture, table
from torch import Tensor
from torch.nn import functional

from contsemi.search.index import Index, Kind, choose

CLUSTERS, INNER, WIDTH, QUERIES = 1000, 16, 128, 256
BLOCK, PIECE = 1_000_000, 100_000  # rows made at a time, and of one plain product
NEAR, FAR = 10, 200


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


def blocks(count: int, width: int) -> Iterator[Tensor]:
    """All rows, in blocks that are the same each time."""
    for number, start in enumerate(range(0, count, BLOCK)):
        draw = torch.Generator().manual_seed(1000 + number)
        yield clustered(min(BLOCK, count - start), width, draw).half().float()


def milliseconds(work: Callable[[], object], rounds: int) -> float:
    """Median processor time of a call, after one that does not count."""
    times = []
    for _ in range(rounds + 1):
        start = time.process_time()
        work()
        times.append(1e3 * (time.process_time() - start))
    return statistics.median(times[1:])


def plain(queries: Tensor, rows: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Products and ``topk`` in pieces that a laptop can hold."""
    best: tuple[Tensor, Tensor] | None = None
    for start in range(0, len(rows), PIECE):
        scores = queries @ rows[start : start + PIECE].T
        found = scores.topk(min(k, scores.shape[1]), dim=1)
        best = merged(best, (found.values, found.indices + start), k)
    assert best is not None
    return best


def merged(
    best: tuple[Tensor, Tensor] | None, found: tuple[Tensor, Tensor], k: int
) -> tuple[Tensor, Tensor]:
    """The k best of two lists."""
    if best is None:
        return found
    values, order = torch.cat([best[0], found[0]], 1).topk(k, dim=1)
    return values, torch.cat([best[1], found[1]], 1).gather(1, order)


def measure_plain(count: int, queries: Tensor, rounds: int) -> tuple[dict[str, Any], Tensor]:
    """The times of the plain product, and the true neighbours [B, FAR]."""
    near = far = 0.0
    best: tuple[Tensor, Tensor] | None = None
    start = 0
    for rows in blocks(count, queries.shape[1]):
        near += milliseconds(lambda rows=rows: plain(queries, rows, NEAR), rounds)
        far += milliseconds(lambda rows=rows: plain(queries, rows, FAR), rounds)
        values, places = plain(queries, rows, FAR)
        best = merged(best, (values, places + start), FAR)
        start += len(rows)
    assert best is not None
    entry = {"near": near, "near_recall": 1.0, "far": far, "far_recall": 1.0}
    return entry | {"bytes": 4.0 * queries.shape[1], "build": 0.0}, best[1]


def recall(found: Tensor, truth: Tensor) -> float:
    """The share of true neighbours among those found."""
    hits = [torch.isin(a, b).float().mean() for a, b in zip(truth, found, strict=True)]
    return float(torch.stack(hits).mean())


class Ours:
    """A form of the index, in the memory or on disk."""

    def __init__(self, kind: str, *, on_disk: bool = False) -> None:
        self.kind = kind
        self.folder = Path(tempfile.gettempdir()) if on_disk else None
        self.index: Any = None

    def build(self, rows: Tensor) -> None:
        """Takes all rows in: an index is made anew whenever they change."""
        self.index = None  # the one before, whose room is wanted
        self.index = Index(rows, cast(Any, self.kind), folder=self.folder)
        if self.index.kind != self.kind:
            raise SystemExit(f"{self.kind}: {self.index.reason}")

    @property
    def bytes(self) -> int:
        """Of everything that is kept."""
        return int(self.index.memory_bytes)

    def search(self, queries: Tensor, k: int) -> Tensor:
        """The places [B, k] found."""
        return cast(Tensor, self.index.search(queries, k)[1])


class Faiss:
    """FAISS as its documentation calls it: ``index_factory``, ``train``, ``add``, ``search``."""

    def __init__(self, factory: str, probes: int = 0) -> None:
        self.factory, self.probes = factory, probes
        self.index: Any = None

    def build(self, rows: Tensor) -> None:
        """Takes all rows in."""
        import faiss

        faiss.omp_set_num_threads(1)
        kind = faiss.METRIC_INNER_PRODUCT
        self.index = faiss.index_factory(rows.shape[1], self.factory, kind)
        self.index.train(rows[:BLOCK].float().numpy())
        if self.probes:
            self.index.nprobe = self.probes
        for part in rows.split(BLOCK):
            self.index.add(part.float().numpy())

    @property
    def bytes(self) -> int:
        """Of everything that is kept."""
        import faiss

        return len(faiss.serialize_index(self.index))

    def search(self, queries: Tensor, k: int) -> Tensor:
        """The places [B, k] found."""
        return torch.from_numpy(self.index.search(queries.numpy(), k)[1])


FORMS: dict[str, Callable[[], Ours | Faiss]] = {
    **{kind: lambda kind=kind: Ours(kind) for kind in get_args(Kind) if kind != "auto"},
    "sq8 on disk": lambda: Ours("sq8", on_disk=True),
    "faiss Flat": lambda: Faiss("Flat"),
    "faiss IVF4096,Flat": lambda: Faiss("IVF4096,Flat", 16),
    "faiss IVF4096,SQ8": lambda: Faiss("IVF4096,SQ8", 16),
}


def measure(name: str, count: int, queries: Tensor, truth: Tensor, rounds: int) -> dict[str, Any]:
    """One form at one size; times in milliseconds, but ``build`` and ``replace`` in seconds."""
    width = queries.shape[1]
    form, rows = FORMS[name](), torch.empty(count, width, dtype=torch.float16)
    for number, part in enumerate(blocks(count, width)):
        rows[number * BLOCK : number * BLOCK + len(part)] = part
    start = time.process_time()
    form.build(rows)
    entry: dict[str, Any] = {"build": time.process_time() - start}
    for label, k in (("near", NEAR), ("far", FAR)):
        entry[label] = milliseconds(lambda k=k: form.search(queries, k), rounds)
        entry[f"{label}_recall"] = recall(form.search(queries, k), truth[:, :k])
    entry["bytes"] = form.bytes / count
    entry["peak"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    if isinstance(form, Ours):
        cpu = torch.device("cpu")
        entry["picked"] = [
            label
            for label, budget in (("auto", None), ("auto, 140 bytes a row", 140.0 * count))
            if choose(count, width, cpu, budget)[0] == name
        ]
        rows[:QUERIES] = queries.half()
        start = time.process_time()
        form.build(rows)
        found = form.search(queries, 1)[:, 0]
        entry["replace"] = time.process_time() - start
        entry["replaced_found"] = float((found == torch.arange(QUERIES)).float().mean())
    return entry


def main() -> None:
    """Measures what is missing, and draws."""
    parser = argparse.ArgumentParser(description=cast(str, __doc__).splitlines()[0])
    parser.add_argument("--output", type=Path, required=True, help="folder of the results")
    parser.add_argument("--rows", type=int, nargs="*", default=[10_000, 100_000])
    parser.add_argument("--forms", nargs="*", choices=FORMS, default=list(FORMS))
    parser.add_argument("--width", type=int, default=WIDTH, help="numbers of a row")
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    torch.set_num_threads(1)
    given.output.mkdir(parents=True, exist_ok=True)
    file = given.output / "results.json"
    results: dict[str, dict[str, Any]] = json.loads(file.read_text()) if file.exists() else {}
    queries = clustered(QUERIES, given.width, torch.Generator().manual_seed(1))

    def note(key: str, entry: dict[str, Any]) -> None:
        results[key] = entry
        file.write_text(json.dumps(results, indent=1))
        print(key, {k: round(v, 4) if isinstance(v, float) else v for k, v in entry.items()})

    for count in given.rows:
        saved = given.output / f"truth_{count}.pt"
        if not saved.exists():
            entry, truth = measure_plain(count, queries, given.rounds)
            note(f"{count} plain", entry)
            torch.save(truth, saved)
        truth = torch.load(saved, weights_only=True)
        for name in given.forms:
            if f"{count} {name}" not in results:
                note(f"{count} {name}", measure(name, count, queries, truth, given.rounds))
                gc.collect()
    print(table(results))
    (given.output / "index.png").write_bytes(picture(results))


if __name__ == "__main__":
    main()
