"""Features of a network that is never trained: worked out once for an image, and kept on the disk.

They lie beside the decoded images, found by what made them (weights, view, precision) and by the
image's own pixels, so that any later run with the same network has them, whatever its stream is.
"""

import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from contsemi.data.sources.cache import default_folder, key
from contsemi.data.twins import row_digests
from contsemi.storage.atomic import make_folder, storage, write_atomically
from contsemi.storage.readonce import read_once

LARGEST = 1 << 32  # bytes of a file

Digests = NDArray[np.uint64]


def weights_digest(module: nn.Module) -> str:
    """SHA-256 of a module's tensors and their names, hexadecimal."""
    digest = hashlib.sha256()
    for name, value in sorted(module.state_dict().items()):
        digest.update(f"{name} {list(value.shape)} {value.dtype}\0".encode())
        digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def folder_of(cache: str | None, *made_by: object) -> Path:
    """The folder of features that were made in one way.

    Args:
        cache: folder of decoded images; ``None`` for the user's.
        made_by: everything that the numbers depend on.
    """
    where = Path(cache).expanduser() if cache else default_folder()
    return where / f"features-{key(*made_by)}"


class KnownFeatures:
    """The features of images that were seen before, by their pixels.

    A file that is damaged is passed over: its images are looked at anew. Each call writes what it
    had to look at, so that a kill loses no more than one call's.

    Args:
        folder: of :func:`folder_of`; made when there is something to keep.

    Attributes:
        seen: images that had to be looked at by this process.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.seen = folder, 0
        self._digests: Digests = np.zeros(0, np.uint64)
        self._rows = torch.zeros(0, 0)
        self._read()

    def of(self, images: Tensor, look: Callable[[Tensor], Tensor]) -> Tensor:
        """Features [N, F] of images, on the CPU.

        Args:
            images: uint8 [N, 3, S, S], on any device.
            look: makes features [n, F] of images [n, 3, S, S].

        Raises:
            StorageFailed: the cache cannot be written.
        """
        digests = row_digests(images.cpu().numpy())
        places = self._places(digests)
        if (places < 0).any():
            _, first = np.unique(digests, return_index=True)
            rows = _missing(places, first)
            self._add(digests[rows], look(images[torch.from_numpy(rows)]).float().cpu())
            places = self._places(digests)
        return self._rows.index_select(0, torch.from_numpy(places))

    def _places(self, digests: Digests) -> NDArray[np.int64]:
        """The row of each image, -1 for none."""
        if not len(self._digests):
            return np.full(len(digests), -1)
        place = np.searchsorted(self._digests, digests, sorter=self._order)
        place = self._order[place.clip(max=len(self._digests) - 1)]
        return np.where(self._digests[place] == digests, place, -1)

    def _add(self, digests: Digests, features: Tensor) -> None:
        self.seen += len(digests)
        keys = torch.from_numpy(digests.view(np.int64).copy())
        content = save({"digests": keys, "features": features.contiguous()})
        name = f"{hashlib.sha256(content).hexdigest()[:32]}.safetensors"
        with storage(self.folder):
            make_folder(self.folder)
        write_atomically(self.folder / name, content)
        self._take([(digests, features)])

    def _take(self, parts: Iterable[tuple[Digests, Tensor]]) -> None:
        found = list(parts)
        if found:
            own = [(self._digests, self._rows)] if len(self._digests) else []
            all_digests, all_rows = zip(*own, *found, strict=True)
            self._digests, self._rows = np.concatenate(all_digests), torch.cat(all_rows)
            self._order = np.argsort(self._digests, kind="stable")

    def _read(self) -> None:
        if not self.folder.is_dir():
            return
        found = []
        for file in sorted(self.folder.glob("*.safetensors")):
            try:
                content = read_once(file, LARGEST)
                if hashlib.sha256(content).hexdigest()[:32] != file.stem:
                    continue
                tensors = load(content)
                found.append((tensors["digests"].numpy().view(np.uint64), tensors["features"]))
            except (OSError, KeyError, SafetensorError):
                continue
        self._take(found)


def _missing(places: NDArray[np.int64], first: NDArray[np.int64]) -> NDArray[np.int64]:
    """Images that nothing is known of, each once, in their order."""
    once = np.zeros(len(places), bool)
    once[first] = True
    return np.flatnonzero(once & (places < 0))
