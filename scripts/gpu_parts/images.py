"""Images that do not lie on the GPU: read ahead into pinned memory, they are those of the array."""

import torch

from gpu_parts.common import Found
from gpu_parts.functions import no_waits

BATCHES = (96, 12)  # rows of two kinds, that buffers of two sizes are used


def check(device: str, quick: bool) -> Found:
    """Steps that are told to the GPU faster than it does them, so that it copies late."""
    from contsemi.stores.mapped import Mapped

    draw = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (500, 3, 64, 64), generator=draw, dtype=torch.uint8)
    steps = [
        [torch.randint(len(images), (rows,), generator=draw) for rows in BATCHES]
        for _ in range(5 if quick else 60)
    ]
    store, side = Mapped(images, torch.device(device)), 64 if quick else 4096
    work = torch.ones(side, side, device=device)
    found = []
    with no_waits(device):
        for step, coming in zip(steps, [*steps[1:], []], strict=True):
            for _ in range(4):
                work = work @ work / side
            found += [store.take(ids) for ids in step]
            for ids in coming:
                store.expect(ids)
    wrong = sum(
        not torch.equal(rows.cpu(), images[ids])
        for rows, ids in zip(found, (ids for step in steps for ids in step), strict=True)
    )
    yield "read ahead", not wrong, "no wait", {"batches": len(found), "wrong": wrong}
