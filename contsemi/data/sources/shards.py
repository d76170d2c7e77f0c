"""Images in shards: tar files in WebDataset's layout, decoded when a step asks for them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np
import torch

from contsemi.config import Data
from contsemi.data.imageset import ImageSet, Named
from contsemi.data.names import OFFICIAL
from contsemi.data.shards.index import Index, Indexed, index_of
from contsemi.data.shards.layout import Layout, layout_of
from contsemi.data.shards.reading import Shards as Store
from contsemi.data.sources.listing import shown
from contsemi.data.sources.source import Check, Source, refuse_digits, root_of
from contsemi.data.twins import Rows, twins
from contsemi.errors import InputError


@dataclass(kw_only=True, eq=False)
class Shards(Source):
    """Shards of encoded images; nothing of them is kept decoded.

    Attributes:
        originals: whether training views are cut from the images as they are, as ImageNet's
            recipes do; else from their centred squares of ``data.size``, as with other sources.
    """

    originals: bool

    def load(self, data: Data, dataset: str, check: Check) -> tuple[ImageSet, ImageSet]:
        """See :mod:`contsemi.data.shards.index`."""
        refuse_digits(data, dataset)
        if data.size is None:
            raise InputError("data.size", "is required for shards", "give data.size=256")
        layout = layout_of(root_of(data, dataset))
        found = index_of(layout, data.cache, data.workers)
        classes = _names(found, dataset, layout)
        targets = {
            name: np.ascontiguousarray(index.rows["target"]) for name, index in found.splits.items()
        }
        check(*(Named(targets[name], classes) for name in ("train", "test")))
        said = _remarks(found, layout)
        train, test = (
            ImageSet(
                images=Store(
                    found.splits[name],
                    data.size,
                    originals=self.originals and name == "train",
                    workers=data.workers,
                ),
                targets=torch.from_numpy(targets[name]),
                coarse=None,
                classes=classes,
                coarse_classes=None,
                name=dataset if dataset != "folder" else shown(layout.root.resolve().name),
                digest=found.splits[name].digest,
                remarks=said if name == "train" else (),
                place=layout.root,
            )
            for name in ("train", "test")
        )
        return train, test


def _names(found: Indexed, dataset: str, layout: Layout) -> tuple[str, ...]:
    official = OFFICIAL.get(dataset)
    if official and found.num_classes != len(official):
        problem = f"holds {found.num_classes} classes, {dataset} has {len(official)}"
        raise InputError(layout.where, problem, f"give {dataset}'s shards")
    return found.classes or official or tuple(f"class_{n}" for n in range(found.num_classes))


def _remarks(found: Indexed, layout: Layout) -> tuple[str, ...]:
    splits = (found.splits[name] for name in ("train", "test"))
    said = twins(*(Rows(each.rows["digest"], each.rows["target"], _Keys(each)) for each in splits))
    if found.passed_over:
        some = ", ".join(found.passed_over[:5])
        said.append(f"members passed over that are neither images nor labels: {some}, ...")
    return tuple(f"{layout.where}: {each}" for each in said)


class _Keys(Sequence[str]):
    """The names of images, made when they are read: there may be millions."""

    def __init__(self, index: Index) -> None:
        self._index = index

    def __len__(self) -> int:
        return len(self._index.rows)

    @overload
    def __getitem__(self, place: int) -> str: ...
    @overload
    def __getitem__(self, place: slice) -> list[str]: ...
    def __getitem__(self, place: int | slice) -> str | list[str]:
        if isinstance(place, slice):
            return [self._index.name(row) for row in range(*place.indices(len(self)))]
        return self._index.name(place)
