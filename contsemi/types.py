"""The few nouns that rooms hand to each other.

Letters for sizes: B batch, V views, D embedding, C classes, F features, L labelled rows, M memory
rows, S image side.

Classes appear inside the engine as *columns*: their position in order of arrival. So the old
classes are always columns ``[0, num_old)``, the current ones ``[num_old, num_seen)``, and a head
that grows only ever gains columns on the right.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

__all__ = [
    "Batch",
    "Experience",
    "Forward",
    "MemoryRows",
    "Mixed",
    "Needs",
    "Outputs",
    "Past",
    "Step",
]


@dataclass(frozen=True, slots=True)
class Experience:
    """One task of the stream as training may see it; hidden labels are not in it.

    Attributes:
        index: position in the stream, from 0.
        columns: columns of the task's classes (a range of consecutive ints, unless classes return).
        num_old: classes seen before this task.
        num_seen: classes seen including this task.
        labelled: int64 [n], rows of the image array that have a label.
        labels: int64 [n], the columns of those labels.
        unlabelled: int64 [m], rows whose images may be used without a label.
        class_names: names of this task's classes, in the order of ``columns``.
    """

    index: int
    columns: tuple[int, ...]
    num_old: int
    num_seen: int
    labelled: Tensor
    labels: Tensor
    unlabelled: Tensor
    class_names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Needs:
    """What an objective or a distiller asks the engine to prepare for each step.

    Attributes:
        heads: heads of the network to evaluate: any of ``projector``, ``predictor``,
            ``auxiliary``, ``mapped``, ``prototypes``, ``clusters``, ``classifier``.
        detached: heads whose gradient ends in themselves: a probe of what the network knows.
        clusters: directions of the head ``clusters``, which stand for no class.
        directions: how prototypes and clusters stay on the unit sphere: ``unit`` puts them back
            there after each step (SwAV), ``weight_norm`` divides by their length in each forward
            (DINO), ``gain`` also learns one factor a direction (DINO without ``norm_last_layer``).
        mix_labelled: whether mixed labelled rows are to be in ``step.mixed_labelled``.
        mix_large: whether the first large view mixed with the second of another image is to be in
            ``step.mixed_large``.
        labelled_views: augmented views of each labelled row; 0 asks for no labelled rows.
        large_views: large views of each unlabelled row; 0 asks for no unlabelled rows.
        small_views: small views of each unlabelled row.
        supports_per_class: rows drawn per seen class for the labelled part of the batch
            (class-stratified, without replacement where the class has enough); 0 draws
            ``batch.labelled`` rows uniformly instead.
        labelled_from: ``current`` draws only from the current task's labels, ``all`` from the
            exemplars too; of two wishes the wider one counts.
        teacher: momentum of the EMA copy of the network whose outputs are in ``step.teacher``
            (and which predicts), at the start and at the end of a task with a cosine between; a
            single number stays. ``None`` for no copy.
        teacher_labelled: whether that copy is to see the labelled rows too, together with the
            large views, for ``step.teacher_labelled``.
        neighbours: gives for ids int64 [B] of unlabelled images ids [B, K] of others of the task;
            each small view is then one of an image drawn from these. ``None`` for views of the
            image itself.
        past: whether the frozen network of the previous task is to see the batch.
        memory: whether rows of the embedding memory are to be in ``step.memory``.
        supports_at_test: whether ``predict`` needs the exemplars' outputs.
    """

    heads: tuple[str, ...] = ()
    detached: tuple[str, ...] = ()
    clusters: int = 0
    directions: str = "unit"
    mix_labelled: bool = False
    mix_large: bool = False
    labelled_views: int = 0
    large_views: int = 0
    small_views: int = 0
    supports_per_class: int = 0
    labelled_from: str = "current"
    teacher: float | tuple[float, float] | None = None
    teacher_labelled: bool = False
    neighbours: Callable[[Tensor], Tensor] | None = None
    past: bool = False
    memory: bool = False
    supports_at_test: bool = False

    def __or__(self, other: "Needs") -> "Needs":
        """The union: an engine that prepares it serves both."""
        teachers = [t for t in (self.teacher, other.teacher) if t is not None]
        if len(set(teachers)) > 1:
            raise ValueError(f"two EMA momenta asked for: {teachers}")
        directions = {self.directions, other.directions} - {"unit"} or {"unit"}
        if len(directions) > 1 or (self.clusters and other.clusters not in (0, self.clusters)):
            raise ValueError("two kinds of prototypes or clusters asked for")
        return Needs(
            heads=tuple(dict.fromkeys(self.heads + other.heads)),
            detached=tuple(dict.fromkeys(self.detached + other.detached)),
            clusters=self.clusters or other.clusters,
            directions=directions.pop(),
            mix_labelled=self.mix_labelled or other.mix_labelled,
            mix_large=self.mix_large or other.mix_large,
            labelled_views=max(self.labelled_views, other.labelled_views),
            large_views=max(self.large_views, other.large_views),
            small_views=max(self.small_views, other.small_views),
            supports_per_class=max(self.supports_per_class, other.supports_per_class),
            labelled_from="all"
            if "all" in (self.labelled_from, other.labelled_from)
            else "current",
            teacher=teachers[0] if teachers else None,
            teacher_labelled=self.teacher_labelled or other.teacher_labelled,
            neighbours=self.neighbours or other.neighbours,
            past=self.past or other.past,
            memory=self.memory or other.memory,
            supports_at_test=self.supports_at_test or other.supports_at_test,
        )

    @property
    def trains(self) -> bool:
        """Whether there is anything to train on."""
        return self.labelled_views > 0 or self.large_views > 0


@dataclass(frozen=True, slots=True)
class Batch:
    """The images of one step, before augmentation, on the device.

    Where several processes train together, each has the images of its share of the rows, and all
    else of every row.

    Attributes:
        labelled: uint8 [L, 3, S, S]; L may be 0.
        labels: int64 [L], columns.
        from_memory: bool [L], True where the row is an exemplar of an earlier task.
        unlabelled: uint8 [B, 3, S, S]; B may be 0.
        labelled_ids: int64 [L], stream-wide ids (rows of the image array).
        unlabelled_ids: int64 [B].
        current_rows, old_rows: as in :class:`Step`.
    """

    labelled: Tensor
    labels: Tensor
    from_memory: Tensor
    unlabelled: Tensor
    labelled_ids: Tensor
    unlabelled_ids: Tensor
    current_rows: Tensor | None = None
    old_rows: Tensor | None = None


@dataclass(frozen=True, slots=True)
class Outputs:
    """What one network says of N image rows; rows are view-major (all of view 1, then view 2, ...).

    Attributes:
        features: [N, F] output of the backbone.
        heads: name of a head -> its output [N, ...].
        directions: ``prototypes`` and ``clusters`` -> [C, D], without gradient: the products of
            unit embeddings with these are the scores in ``heads``. So embeddings kept from
            earlier steps can be scored by the network as it is now.
    """

    features: Tensor
    heads: Mapping[str, Tensor] = field(default_factory=dict)
    directions: Mapping[str, Tensor] = field(default_factory=dict)

    def __getitem__(self, head: str) -> Tensor:
        return self.heads[head]

    def __len__(self) -> int:
        return len(self.features)

    def rows(self, index: slice | Tensor) -> "Outputs":
        """The chosen rows of everything; the directions stay whole."""
        heads = {name: value[index] for name, value in self.heads.items()}
        return Outputs(self.features[index], heads, self.directions)

    def float(self) -> "Outputs":
        """Everything in float32, the precision of the losses (float64 stays)."""
        heads = {name: _wide(value) for name, value in self.heads.items()}
        return Outputs(_wide(self.features), heads, self.directions)


# a forward pass: images float [N, 3, s, s] and the heads asked for
Forward = Callable[[Tensor, Sequence[str]], Outputs]


def _wide(x: Tensor) -> Tensor:
    return x if x.dtype == torch.float64 else x.float()


@dataclass(frozen=True, slots=True)
class Mixed:
    """Outputs of images that are each mixed with the one as far from the end of the batch.

    Attributes:
        outputs: of the N mixed images; row i mixes the rows i and N - 1 - i.
        share: of row i in the mixed image, in [0, 1]; that of its partner is 1 - share.
    """

    outputs: Outputs
    share: float


@dataclass(frozen=True, slots=True)
class MemoryRows:
    """Rows of the embedding memory that stand for images of earlier tasks.

    Attributes:
        embeddings: [M, D] unit rows in the space of the frozen previous network's projector.
        probs: [M, C_old] soft labels over old columns; rows sum to 1.
        tasks: int64 [M], the task each row was written in.
        search: queries [N, D] and k -> scores and row numbers [N, k'] of the nearest rows, by the
            index; k' = min(k, M).
        votes: queries [N, D] and a temperature -> logarithms of the summed weight exp(cosine /
            temperature) of all rows, [N, C_old] for each class and [N] in all; differentiable in
            the queries.
    """

    embeddings: Tensor
    probs: Tensor
    tasks: Tensor
    search: Callable[[Tensor, int], tuple[Tensor, Tensor]]
    votes: Callable[[Tensor, float], tuple[Tensor, Tensor]]


@dataclass(frozen=True, slots=True)
class Past:
    """The frozen network of the end of the previous task, on the rows of this step.

    Attributes:
        labelled, large, small: as in :class:`Step`; ``None`` where the step has none.
        num_classes: columns that network knows (= ``num_old`` of the step).
    """

    labelled: Outputs | None
    large: Outputs | None
    small: Outputs | None
    num_classes: int


@dataclass(frozen=True, slots=True)
class Step:
    """All that an objective or a distiller gets to see of one training step.

    Attributes:
        labelled: outputs of the [V_l * L] labelled rows, or ``None``.
        labels: int64 [L], columns, one per labelled row of one view.
        from_memory: bool [L], True for exemplars of earlier tasks.
        large: outputs of the [V * B] large unlabelled views, or ``None``.
        small: outputs of the [m * B] small unlabelled views, or ``None``.
        teacher: the EMA network on the large views, no gradient; ``None`` without one.
        past: the frozen previous network; ``None`` in the first task.
        memory: rows of the embedding memory; ``None`` while it is empty.
        labelled_ids, unlabelled_ids: int64 stream-wide ids, [L] and [B].
        columns: int64 [C_t], the columns of this task's classes.
        num_old, num_seen: columns known before and including this task.
        progress: share of this task's steps already done, in [0, 1).
        epoch: epoch of this task, from 0.
        mixed_labelled: the L rows of the first labelled view, mixed; ``None`` if not asked for.
        mixed_large: the B rows of the first large view, mixed with the second view of the partner.
        teacher_labelled: the EMA network on the labelled rows, no gradient; ``None`` if not asked
            for.
        current_rows, old_rows: int64, where among the L labelled rows those of this task's and of
            earlier classes are; ``None`` where the draw does not say so beforehand, and only the
            labels on the device could tell.
    """

    labelled: Outputs | None
    labels: Tensor
    from_memory: Tensor
    large: Outputs | None
    small: Outputs | None
    teacher: Outputs | None
    past: Past | None
    memory: MemoryRows | None
    labelled_ids: Tensor
    unlabelled_ids: Tensor
    columns: Tensor
    num_old: int
    num_seen: int
    progress: float
    epoch: int = 0
    mixed_labelled: Mixed | None = None
    mixed_large: Mixed | None = None
    teacher_labelled: Outputs | None = None
    current_rows: Tensor | None = None
    old_rows: Tensor | None = None

    @property
    def batch_size(self) -> int:
        """B, unlabelled images of this step."""
        return len(self.unlabelled_ids)

    @property
    def has_unlabelled(self) -> bool:
        """Whether there is an unlabelled row."""
        return self.large is not None and self.batch_size > 0

    def views(self, head: str) -> Tensor:
        """What a head says of all unlabelled views [(V + m) * B, ...], the large ones first.

        Raises:
            ValueError: there is no unlabelled row.
        """
        parts = [part[head] for part in (self.large, self.small) if part is not None]
        if not parts:
            raise ValueError("a step without unlabelled rows has no views of them")
        return torch.cat(parts)

    def in_each_view(self, rows: Tensor) -> Tensor:
        """Places in ``labelled`` of all views of some of the L labelled rows."""
        number = 0 if self.labelled is None else len(self.labelled)
        views = torch.arange(0, number, len(self.labels) or 1, device=rows.device)
        return (views[:, None] + rows).flatten()

    def by_view(self, head: str) -> Tensor:
        """What a head says of the two views of all images [2, B + L, ...], unlabelled first."""
        parts = [part[head] for part in (self.large, self.labelled) if part is not None]
        return torch.cat([part.view(2, len(part) // 2, *part.shape[1:]) for part in parts], dim=1)

    def risen(self, ramp: float) -> float:
        """A weight that rises from 0 to 1 over this share of the task; 0 has it at once."""
        return min(1.0, self.progress / ramp) if ramp else 1.0

    def with_past(self) -> list[tuple[Outputs, Outputs]]:
        """The present and the frozen outputs of all rows that both networks saw."""
        if self.past is None:
            return []
        parts = (
            (self.labelled, self.past.labelled),
            (self.large, self.past.large),
            (self.small, self.past.small),
        )
        return [(now, then) for now, then in parts if now is not None and then is not None]
