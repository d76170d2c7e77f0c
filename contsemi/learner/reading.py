"""The images of a step, read where they lie: on the device, or one step ahead of it."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from contsemi.config import Crop
from contsemi.devices.ranks import Ranks
from contsemi.seeding import generator
from contsemi.stores.store import Cut, ImageStore
from contsemi.types import View
from contsemi.views.cuts import draw_cuts
from contsemi.views.draws import Draws


@dataclass(frozen=True, slots=True, eq=False)
class Drawn:
    """Which rows a step draws.

    Attributes:
        step: of the task, from 0.
        places: int64 [B], of the unlabelled images in the pool.
        labelled: int64 [L], of the labelled rows at hand.
        coarse: int64 [K], of the images of which only the coarse label is known.
    """

    step: int
    places: Tensor
    labelled: Tensor
    coarse: Tensor


@dataclass(frozen=True, slots=True, eq=False)
class _Wanted:
    """What a step reads of one kind of rows: this process's ids, and what is cut by view."""

    ids: Tensor
    cuts: Mapping[str, Cut]


class Reading:
    """Reads the images of a step, each process those of its own rows.

    Where views are cut from the originals, the crops are drawn here, once for all processes; the
    images themselves are not wanted then.

    Args:
        sources: by kind of rows that is asked for, the store, and the ids in it of what is drawn;
            ``None`` where these are the same.
        views: that the method needs.
        policies: how they are made.
        seed: the run's, and the task.
        ranks: the processes.
    """

    def __init__(
        self,
        sources: Mapping[str, tuple[ImageStore, Tensor | None]],
        views: Mapping[str, View],
        policies: Mapping[str, Crop],
        *,
        seed: tuple[int, int],
        ranks: Ranks,
    ) -> None:
        self.sources, self.policies, self.seed, self.ranks = sources, policies, seed, ranks
        self.views = {
            kind: {
                name: view
                for name, view in views.items()
                if store.cuts and view.rows == kind and view.mix is None and view.near is None
            }
            for kind, (store, _) in sources.items()
        }
        self._coming: tuple[int, dict[str, _Wanted]] | None = None

    def images(
        self, drawn: Drawn, coming: Drawn | None
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """The images of a step.

        Args:
            drawn: its rows.
            coming: those of the step after it, which begin to be read; ``None`` for nothing.

        Returns:
            By kind of rows uint8 [n, 3, S, S], and by name of a view uint8 [V * n, 3, s, s].
        """
        if self._coming is not None and self._coming[0] == drawn.step:
            wanted = self._coming[1]
        else:
            wanted = self._wanted(drawn)
        found: dict[str, Tensor] = {}
        cut: dict[str, Tensor] = {}
        for kind, each in wanted.items():
            store = self.sources[kind][0]
            if each.cuts:
                made = store.cut(each.ids, list(each.cuts.values()))
                cut |= dict(zip(each.cuts, made, strict=True))
            found[kind] = store.take(each.ids[:0] if store.cuts else each.ids)
        if coming is not None:
            self._coming = coming.step, self._wanted(coming)
            for kind, each in self._coming[1].items():
                store = self.sources[kind][0]
                store.expect(each.ids, list(each.cuts.values()) if store.cuts else None)
        return found, cut

    def _wanted(self, drawn: Drawn) -> dict[str, _Wanted]:
        rows = {"unlabelled": drawn.places, "labelled": drawn.labelled, "coarse": drawn.coarse}
        wanted = {}
        for kind, (store, ids) in self.sources.items():
            all_ids = rows[kind] if ids is None else ids.index_select(0, rows[kind])
            cuts = {}
            if len(all_ids):
                cuts = {
                    name: self._cut(store, name, view, all_ids, drawn.step)
                    for name, view in self.views[kind].items()
                }
            wanted[kind] = _Wanted(self.ranks.own(all_ids), cuts)
        return wanted

    def _cut(self, store: ImageStore, name: str, view: View, ids: Tensor, step: int) -> Cut:
        """This process's crops of a view, drawn for the whole batch."""
        policy, (seed, task) = self.policies[view.policy], self.seed
        draws = Draws(generator(seed, "cuts", name, task, step), rows=view.number * len(ids))
        sides = store.sides(ids).repeat(view.number, 1)
        boxes = draw_cuts(draws, sides, scale=policy.scale, ratio=policy.ratio)
        of_each = boxes.view(view.number, len(ids), 4)
        return Cut(of_each[:, self.ranks.share(len(ids))].contiguous(), policy.size)
