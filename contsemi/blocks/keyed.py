"""Queries of the network and keys of the slow one: two views of each image of a step."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from contsemi.blocks.choices import ema_momenta
from contsemi.errors import InputError
from contsemi.losses.numerics import wide
from contsemi.types import Needs, Step, Teacher, View


@dataclass(frozen=True, slots=True)
class Keyed:
    """N rows, each one view of an image with another one as its key.

    Attributes:
        queries: [N, D] unit rows of the network.
        keys: [N, D] unit rows of the slow network, without gradient.
        labels: int64 [N], columns; -1 for unlabelled images.
        ids: int64 [N], stream-wide ids.
        places: int64 [N], places in the task's pool; -1 for the labelled rows.
        direction: int64 [N], which of the views of its image the query is.
        swapped: [n, D] unit rows of the slow network, one more negative of each of the first n
            queries: what another image shows, on the background of the query's. ``None`` for none.
    """

    queries: Tensor
    keys: Tensor
    labels: Tensor
    ids: Tensor
    places: Tensor
    direction: Tensor
    swapped: Tensor | None = None

    @property
    def others(self) -> Tensor:
        """Bool [N, N]: keys of other images in the same direction."""
        same = self.direction[:, None] == self.direction
        return same & (self.ids[:, None] != self.ids)


def keyed_needs(
    *heads: str,
    both_ways: bool,
    labelled_views: int,
    supports_per_class: int,
    teacher: Sequence[float],
    key_policy: str = "large",
    swapped: bool = False,
) -> Needs:
    """What a method needs that compares queries with keys; see :func:`keyed_views`.

    Args:
        heads: of the network.
        both_ways: as there.
        labelled_views: as there.
        supports_per_class: of :class:`~contsemi.types.Needs`.
        teacher: momentum of the slow network at the start and at the end of a task.
        key_policy: as there.
        swapped: whether queries are told from negatives of the same background, where
            backgrounds are swapped.
    """
    told = View(
        rows="unlabelled",
        policy="large",
        number=2 if both_ways else 1,
        seen_by=("teacher",),
        swapped=True,
    )
    return Needs(
        views=keyed_views(
            both_ways=both_ways, labelled_views=labelled_views, key_policy=key_policy
        ),
        if_swapped={"swapped": told} if swapped else {},
        heads=heads,
        supports_per_class=supports_per_class,
        labelled_from="all",
        teacher=Teacher(ema_momenta(teacher)),
    )


def keyed_views(
    *, both_ways: bool, labelled_views: int, key_policy: str = "large"
) -> dict[str, View]:
    """The views that :func:`keyed` reads: a query and a key of each image.

    Args:
        both_ways: whether each view is a query and a key, both of the policy of queries.
        labelled_views: queries of each labelled image; 0 leaves these out.
        key_policy: of the keys of unlabelled images, where they are not queries besides.

    Raises:
        InputError: another number of labelled views than of the others.
    """
    number = 2 if both_ways else 1
    if labelled_views not in (0, number):
        raise InputError(
            "objective.labelled_views",
            f"expected {number} or 0, as many as of the other images, got {labelled_views}",
            f"use {number}",
        )
    kinds = [("unlabelled", "query", "key", "large", key_policy)]
    if labelled_views:
        kinds.append(("labelled", "labelled", "labelled_key", "labelled", "labelled"))
    views = {}
    for rows, query, key, policy, of_keys in kinds:
        if both_ways:
            views[query] = View(rows=rows, policy=policy, number=2, seen_by=("student", "teacher"))
        else:
            views[query] = View(rows=rows, policy=policy)
            views[key] = View(rows=rows, policy=of_keys, seen_by=("teacher",))
    return views


def keyed(step: Step, *, head: str = "projector") -> Keyed | None:
    """The rows of a step, those of unlabelled images first; ``None`` if there is none.

    Args:
        step: with the views of :func:`keyed_views`.
        head: the network's head that the queries are of; keys are of the ``projector``.
    """
    no_label = torch.full_like(step.unlabelled_ids, -1)
    no_place = torch.full_like(step.labels, -1)
    parts = [
        _rows(step, "query", "key", head, no_label, step.unlabelled_ids, step.places),
        _rows(step, "labelled", "labelled_key", head, step.labels, step.labelled_ids, no_place),
    ]
    found = [part for part in parts if part is not None]
    if not found:
        return None
    queries, keys, labels, ids, places, direction = map(torch.cat, zip(*found, strict=True))
    onto = step.teacher("swapped")
    swapped = None if onto is None else F.normalize(wide(onto["projector"].detach()), dim=1)
    return Keyed(queries, keys, labels, ids, places, direction, swapped)


def _rows(
    step: Step, query: str, key: str, head: str, labels: Tensor, ids: Tensor, places: Tensor
) -> tuple[Tensor, ...] | None:
    student, teacher = step.student(query), step.teacher(key)
    if teacher is None:
        teacher = step.teacher(query)  # both ways
    if student is None or teacher is None:
        return None
    number = len(ids)
    keys = F.normalize(wide(teacher["projector"].detach()), dim=1)
    # With two views each is the key of the other one.
    keys = keys.view(-1, number, keys.shape[1]).flip(0).flatten(0, 1)
    queries = F.normalize(wide(student[head]), dim=1)
    views = len(queries) // number
    direction = torch.arange(views, device=queries.device).repeat_interleave(number)
    columns = (each.repeat(views) for each in (labels, ids, places))
    return (queries, keys, *columns, direction)
