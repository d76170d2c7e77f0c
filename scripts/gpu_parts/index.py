"""Index and votes of a memory on the GPU: recall, milliseconds and bytes at growing sizes.

And the forms of lists against the same rows on the CPU, whose searches take parameters: whatever
FAISS was asked for on the GPU, they still do.
"""

import time

import torch
from torch import Tensor
from torch.nn import functional

from gpu_parts.common import Found, One, milliseconds, wait

WIDTH, QUERIES, K, CLASSES, CENTRES = 128, 256, 10, 100, 1000
ODD_WIDTH = 22  # of which a GPU has no kernel for half as many codes
LISTS = ("ivf", "sq8", "pq")
PIECE = 1 << 18  # rows of one product in float64
SECONDS_FOR_A_MILLION = 6.0


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

    queries = clustered(QUERIES, device, 1).float()
    quick_enough = list(LISTS)
    for count in [3000] if quick else [10**5, 10**6, 10**7]:
        rows = clustered(count, device, 2)
        true = truth(queries, rows)
        for kind in ["torch", *quick_enough]:
            start = time.perf_counter()
            yield form(kind, queries, rows, true, device)
            slow = count == 10**6 and time.perf_counter() - start > SECONDS_FOR_A_MILLION
            if slow and kind in quick_enough:  # there is no time for ten times as many
                quick_enough.remove(kind)
        if count <= 10**5:
            yield from alike(queries, rows, device)
        yield from votes(queries, rows, device, WholeVote)


def form(kind: str, queries: Tensor, rows: Tensor, true: Tensor, device: str) -> One:
    """One form of the index of some rows."""
    from contsemi.search.index import Index

    start = time.perf_counter()
    index = Index(rows, kind)  # type: ignore[arg-type]
    found = index.search(queries, K)[1]
    wait(device)
    built = time.perf_counter() - start
    hits = (found[:, :, None] == true[:, None]).any(2).float().mean().item()
    numbers = {
        "recall": hits,
        "ms": milliseconds(lambda: index.search(queries, K), device),
        "bytes a row": index.memory_bytes / len(rows),
        "s to build": built,
    }
    least = 0.98 if kind == "torch" else 0.5
    holds = index.kind == kind and hits >= least  # without FAISS it is another form
    return f"{kind}, {len(rows):,} rows", holds, f"{index.kind}: {index.reason}", numbers


def alike(queries: Tensor, rows: Tensor, device: str) -> Found:
    """Lists on the GPU find what those on the CPU find, compressed ones by the same lengths."""
    from contsemi.search.index import Index

    for kind in LISTS:
        for width in (WIDTH, ODD_WIDTH):
            asked, there = (
                functional.normalize(each[:, :width].float(), dim=1) for each in (queries, rows)
            )
            scores, found = Index(there, kind).search(asked, K)  # type: ignore[arg-type]
            home = Index(there.cpu(), kind)  # type: ignore[arg-type]
            expected_scores, expected = home.search(asked.cpu(), K)
            same = (found.cpu()[:, :, None] == expected[:, None]).any(2).float().mean().item()
            # a row that only one of both has found has no score to compare
            both = (found.cpu() == expected) & (expected >= 0)
            away = (scores.cpu() - expected_scores).abs()[both]
            error = away.max().item() if len(away) else 0.0
            numbers = {"share of the same": same, "largest difference of scores": error}
            # tables of pq are in half precision there
            holds = same >= (0.9 if kind == "pq" else 0.98) and error <= 2e-2
            yield f"{kind} of {width} numbers as on the CPU", holds, "", numbers


def votes(queries: Tensor, rows: Tensor, device: str, whole_vote: type) -> Found:
    """The vote of all rows, or of their summary, against float64."""
    labels = torch.zeros(len(rows), CLASSES, dtype=torch.float16, device=device)
    labels.scatter_(1, (torch.arange(len(rows), device=device) % CLASSES)[:, None], 1.0)
    vote = whole_vote(rows, labels)
    found = (lambda pair: pair[0] - pair[1][:, None])(vote(queries, 0.1))
    expected = torch.zeros(len(queries), CLASSES, dtype=torch.float64, device=device)
    for start in range(0, len(rows), PIECE):
        part = functional.normalize(rows[start : start + PIECE].double(), dim=1)
        weights = (queries.double() @ part.T / 0.1).exp()
        expected += weights @ labels[start : start + PIECE].double()
    expected /= expected.sum(1, keepdim=True)
    error = (found.exp().double() - expected).abs().sum(1).mean().item()
    numbers = {"error": error, "ms": milliseconds(lambda: vote(queries, 0.1), device)}
    yield f"votes of {len(rows):,} rows", error <= 0.01, vote.reason, numbers
