"""Every random draw comes from a generator named by what it is for.

No draw depends on a global generator, so neither the order of calls, nor worker processes, nor a
plug-in that draws numbers of its own changes a run, and a resumed run needs only its counters. The
initialisers of torch know no other generator: theirs is seeded for them and put back afterwards.
"""

import hashlib

import torch


def derive(seed: int, *purpose: str | int) -> int:
    """A 63-bit seed for one purpose of one run.

    Args:
        seed: the run's seed.
        purpose: what the numbers are for, for example ``("views", task, epoch, step)``.
    """
    text = "/".join(map(str, (seed, *purpose)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") >> 1


def generator(
    seed: int, *purpose: str | int, device: torch.device | str = "cpu"
) -> torch.Generator:
    """A fresh generator on ``device``, seeded by ``derive(seed, *purpose)``."""
    return torch.Generator(device).manual_seed(derive(seed, *purpose))
