"""Index and votes of a memory on the GPU: recall, milliseconds and bytes at growing sizes."""

import time

import torch
from torch import Tensor
from torch.nn import functional

from gpu_parts.common import Found, milliseconds, wait

WIDTH, QUERIES, K, CLASSES, CENTRES = 128, 256, 10, 100, 1000


def clustered(count: int, device: str, seed: int) -> Tensor:
    """Unit rows in half precision around centres that are always the same."""
    shape = torch.Generator().manual_seed(0)
    centres = torch.randn(CENTRES, WIDTH, generator=shape).to(device)
    draw = torch.Generator(device=device).manual_seed(seed)
    rows = torch.empty(count, WIDTH, dtype=torch.float16, device=device)
    for start in range(0, count, 1 << 20):
        size = min(1 << 20, count - start)
        own = torch.randint(CENTRES, (size,), generator=draw, device=device)
        noise = torch.randn(size, WIDTH, generator=draw, device=device)
        rows[start : start + size] = functional.normalize(centres[own] + 0.5 * noise, dim=1).half()
    return rows


def truth(queries: Tensor, rows: Tensor) -> Tensor:
    """The nearest rows in float32, by pieces."""
    best = queries.new_full((len(queries), K), -torch.inf)
    places = torch.zeros_like(best, dtype=torch.int64)
    for start in range(0, len(rows), 1 << 20):
        scores, found = (queries @ rows[start : start + (1 << 20)].float().T).topk(K, dim=1)
        best, order = torch.cat([best, scores], 1).topk(K, dim=1)
        places = torch.cat([places, found + start], 1).gather(1, order)
    return places


def check(device: str, quick: bool) -> Found:
    """Every form at 10^5, 10^6 and 10^7 rows, as far as FAISS is there and has GPUs."""
    from contsemi.memory.whole_vote import WholeVote
    from contsemi.search.index import Index

    queries = clustered(QUERIES, device, 1).float()
    for count in [3000] if quick else [10**5, 10**6, 10**7]:
        rows = clustered(count, device, 2)
        true = truth(queries, rows)
        kinds = ["torch"] if count > 10**6 else ["torch", "ivf", "sq8", "pq"]
        for kind in kinds:
            start = time.perf_counter()
            index = Index(rows, kind)  # type: ignore[arg-type]
            found = index.search(queries, K)[1]
            wait(device)
            built = time.perf_counter() - start
            hits = (found[:, :, None] == true[:, None]).any(2).float().mean().item()
            numbers = {
                "recall": hits,
                "ms": milliseconds(lambda index=index: index.search(queries, K), device),
                "bytes a row": index.memory_bytes / count,
                "s to build": built,
            }
            name, least = f"{kind}, {count:,} rows", 0.98 if kind == "torch" else 0.5
            holds = index.kind == kind and hits >= least  # without FAISS it is another form
            yield name, holds, f"{index.kind}: {index.reason}", numbers
        if count <= 10**6:
            yield from votes(queries, rows, device, WholeVote)


def votes(queries: Tensor, rows: Tensor, device: str, whole_vote: type) -> Found:
    """The vote of all rows against float64."""
    labels = functional.one_hot(torch.arange(len(rows), device=device) % CLASSES, CLASSES).half()
    vote = whole_vote(rows, labels)
    found = (lambda pair: pair[0] - pair[1][:, None])(vote(queries, 0.1))
    weights = (queries.double() @ functional.normalize(rows.double(), dim=1).T / 0.1).exp()
    expected = (weights @ labels.double()) / weights.sum(1, keepdim=True)
    error = (found.exp().double() - expected).abs().sum(1).mean().item()
    numbers = {"error": error, "ms": milliseconds(lambda: vote(queries, 0.1), device)}
    yield f"votes of {len(rows):,} rows", error <= 0.01, vote.reason, numbers
