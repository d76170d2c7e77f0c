"""What a method asks for: views, heads, and networks that look at them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from contsemi.errors import InputError


@dataclass(frozen=True, slots=True, kw_only=True)
class Mix:
    """Each row of a pile blended with another one of it, all by the same draw.

    Attributes:
        of: names of the views whose rows are piled up in this order; those that a step lacks are
            left out.
        partners: ``reversed`` mixes row i with row N - 1 - i, ``shuffled`` with a row of a drawn
            permutation.
        cut: whether a coin may choose CutMix.
        alpha: the share of the row itself is of Beta(alpha, alpha).
        larger_first: whether that share is the greater one of the two.
        views: so many views of each name are in the pile; ``None`` for all. A step whose images
            have fewer has no such mix.
        kept: views of the first name whose rows are kept; ``None`` for the whole pile.
    """

    of: tuple[str, ...]
    partners: str = "reversed"
    cut: bool = False
    alpha: float = 1.0
    larger_first: bool = False
    views: int | None = None
    kept: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """One kind of augmented views that a method asks for.

    Attributes:
        rows: of which images: ``unlabelled``, ``labelled``, or ``coarse`` for those of which only
            a coarse label is known.
        policy: how they are made: a name in the policies of ``conf/views/``.
        number: views of each image.
        seen_by: which networks see them: ``student``, ``teacher``, ``past``. Frozen networks of
            the past see all unmixed views besides that the student learns from.
        past: whether these see it too, where the student learns from it.
        gradient: whether the student learns from them; if not, it sees them in a pass of its own,
            without gradient (guesses).
        near: gives for places int64 [B] in the pool those [B, K] of others: each view is then one
            of an image drawn from these. ``None`` for views of the image itself.
        mix: made of other views instead of images; ``policy`` and ``near`` do not count then.
        swapped: whether each view shows what another image of the task has in its foreground, on
            the background of the image itself.
    """

    rows: str
    policy: str = ""
    number: int = 1
    seen_by: tuple[str, ...] = ("student",)
    past: bool = True
    gradient: bool = True
    near: Callable[[Tensor], Tensor] | None = None
    mix: Mix | None = None
    swapped: bool = False

    @property
    def known_to_past(self) -> bool:
        """Whether frozen networks see such views."""
        learned_from = "student" in self.seen_by and self.gradient and self.mix is None
        return "past" in self.seen_by or (learned_from and self.past)


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """A part of the network that stands on another one.

    Attributes:
        name: by which its outputs are found; one of the usual heads' replaces that one.
        on: what it is fed with: ``features``, a named extra of the backbone, or another head.
        build: makes it of the width of that, [N, width, ...] to [N, ...]. Layers draw their
            weights as always; the generator, on the CPU, is for draws by hand.
        per_class: whether it has one output a class: it then starts with none, and has
            ``grow(num_classes, generator)``.
        detached: whether its gradient ends in itself: a probe of what the network knows.
    """

    name: str
    on: str
    build: Callable[[int, torch.Generator], nn.Module]
    per_class: bool = False
    detached: bool = False


@dataclass(frozen=True, slots=True)
class Teacher:
    """An EMA copy of the network, which also predicts; see :class:`~contsemi.models.ema.Ema`.

    Attributes:
        momentum: share of itself that it keeps in each step: at the start and at the end of a task,
            with a cosine between.
        buffers: whether its statistics are its ``own``, gathered by its own passes, ``copied`` from
            the network at each step, or ``averaged`` like the parameters.
        restarts: whether it begins each task anew, as the network then is; it lives on otherwise.
        shrink: share that each of its steps takes off the network.
    """

    momentum: tuple[float, float]
    buffers: str = "own"
    restarts: bool = False
    shrink: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What an objective or a distiller asks the engine to prepare; ``None`` where it has no wish.

    Attributes:
        views: name -> view, in the order in which they are drawn and stand in the batch.
        if_swapped: views that a step has besides where the backgrounds of their policy are swapped.
        heads: of the network: names of the usual ones (see :class:`~contsemi.models.heads.Heads`),
            or declarations.
        supports_per_class: rows drawn per seen class for the labelled part of the batch
            (class-stratified, without replacement where the class has enough); 0 draws
            ``batch.labelled`` rows uniformly instead.
        labelled_from: ``current`` draws only from the current task's labels, ``all`` from the
            exemplars too; of two wishes the wider one counts.
        teacher: an EMA copy of the network.
        pasts: frozen networks of the ends of so many earlier tasks.
        start: share of each task's steps in which the network that the task began with, frozen,
            sees what the student learns from, too.
        supports_at_test: whether ``predict`` needs the outputs of the labelled images at hand.
    """

    views: Mapping[str, View] = field(default_factory=dict)
    if_swapped: Mapping[str, View] = field(default_factory=dict)
    heads: tuple[str | Head, ...] = ()
    supports_per_class: int | None = None
    labelled_from: str | None = None
    teacher: Teacher | None = None
    pasts: int = 0
    start: float = 0.0
    supports_at_test: bool = False

    def __or__(self, other: "Needs") -> "Needs":
        """What serves both.

        Raises:
            InputError: they contradict each other.
        """
        sources = {self.labelled_from, other.labelled_from} - {None}
        return Needs(
            views=_both_views(self.views, other.views),
            if_swapped=_both_views(self.if_swapped, other.if_swapped),
            heads=_both_heads((*self.heads, *other.heads)),
            supports_per_class=_agreed(
                "supports_per_class", self.supports_per_class, other.supports_per_class
            ),
            labelled_from="all" if "all" in sources else next(iter(sources), None),
            teacher=_agreed("teacher", self.teacher, other.teacher),
            pasts=max(self.pasts, other.pasts),
            start=max(self.start, other.start),
            supports_at_test=self.supports_at_test or other.supports_at_test,
        )

    def shown_to_past(self, *, start: bool = False) -> "Needs":
        """The same, with views of unlabelled and of labelled images that frozen networks see.

        A method whose own ones are mixed, or seen without gradient, has none that a distiller could
        compare; then it gets one of each image beside, made as its others are.

        Args:
            start: whether a distiller compares with the network that the task began with.
        """
        if not ((self.pasts or start) and self.views):
            return self
        views, plain = dict(self.views), [view for view in self.views.values() if view.mix is None]
        for rows in ("unlabelled", *({"labelled"} & self.rows)):
            if not any(view.rows == rows and view.known_to_past for view in views.values()):
                like = next((view for view in plain if view.rows == rows), plain[0])
                views[f"beside_{rows}"] = View(rows=rows, policy=like.policy)
        return replace(self, views=views)

    @property
    def head_names(self) -> tuple[str, ...]:
        """The heads to evaluate."""
        return tuple(head if isinstance(head, str) else head.name for head in self.heads)

    @property
    def rows(self) -> frozenset[str]:
        """The kinds of images that are asked for."""
        views = self.views.values()
        return frozenset(view.rows for view in views if view.mix is None and view.number)

    @property
    def trains(self) -> bool:
        """Whether there is anything to train on."""
        return bool(self.views)


def _agreed(what: str, one: Any, other: Any) -> Any:
    """The wish that there is, or the one that both have."""
    if one is None or other is None or one == other:
        return other if one is None else one
    raise InputError(
        "objective and distiller",
        f"{what}: one asks for {one}, the other for {other}",
        "give both the same, or choose another distiller",
    )


def _both_views(one: Mapping[str, View], other: Mapping[str, View]) -> dict[str, View]:
    """Views of one name are the same but for who sees them."""
    views = dict(one)
    for name, view in other.items():
        if name in views:
            seen_by = tuple(dict.fromkeys(views[name].seen_by + view.seen_by))
            ours, theirs = (replace(each, seen_by=seen_by) for each in (views[name], view))
            view = _agreed(f"views.{name}", ours, theirs) or view
        views[name] = view
    return views


def _both_heads(heads: Sequence[str | Head]) -> tuple[str | Head, ...]:
    """Each name once, at its first place; a declaration goes before a mere name."""
    found: dict[str, str | Head] = {}
    for head in heads:
        name, declared = (head, None) if isinstance(head, str) else (head.name, head)
        known = found.get(name)
        found[name] = (
            _agreed(f"head {name}", known if isinstance(known, Head) else None, declared) or name
        )
    return tuple(found.values())
