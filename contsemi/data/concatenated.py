"""Two arrays of images as one, without a copy in the memory of each process."""

import numpy as np
import torch
from torch import Tensor

from contsemi.data.imageset import fingerprint
from contsemi.data.sources.cache import key, written
from contsemi.errors import InputError
from contsemi.stores.parts import Chain
from contsemi.stores.resident import Resident
from contsemi.stores.store import Images, ImageStore

_COPIED_UP_TO = 256 << 20  # bytes that a process may as well have for itself
_PIECE = 4096  # images written at a time


def concatenated(first: Images, second: Tensor, cache: str | None) -> Images:
    """The images of both, the second's after the first's.

    Small ones are copied. Large ones are memory maps, whose pages all processes of a machine share:
    a copy would be private to each. They are written once, as an entry of the cache.

    Args:
        first: uint8 [N, C, S, S], or a store of such.
        second: uint8 [M, C, S, S].
        cache: folder of the cache; ``None`` for the user's.

    Raises:
        InputError: views are to be cut from images as they are, and the second are an array.
        StorageFailed: the cache cannot be written.
    """
    if isinstance(first, ImageStore):
        if first.cuts:
            problem = "views of shards are cut from the originals, of which a folder keeps none"
            fix = "add data.source.originals=false"
            raise InputError("scenario.unlabelled_root", problem, fix)
        return Chain([first, Resident(second)])
    if first.nbytes + second.nbytes <= _COPIED_UP_TO:
        return torch.cat([first, second])
    parts = [first.numpy(), second.numpy()]
    nothing = np.zeros(0, np.int64)
    entry = key("joined", *(fingerprint(part, nothing) for part in parts))
    labels = np.zeros(len(first) + len(second), np.int64)
    starts = ((part, start) for part in parts for start in range(0, len(part), _PIECE))
    pieces = (part[start : start + _PIECE] for part, start in starts)
    channels, size = first.shape[1:3]
    return written(cache, entry, labels, pieces, size=size, channels=channels)
