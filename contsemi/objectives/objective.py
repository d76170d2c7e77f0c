"""The contract of an objective: six members, nothing else."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from torch import Tensor, nn

from contsemi.blocks.block import blocks_of
from contsemi.blocks.choices import ema_momenta
from contsemi.discovery import Part
from contsemi.losses.nearest import nearest_classes
from contsemi.types import Experience, Head, Needs, Outputs, Step, Teacher, View


@dataclass(kw_only=True, eq=False)
class Objective(Part, nn.Module):
    """What is learned from labelled and unlabelled images: one file a paper.

    An objective never asks the loop, the data or the configuration for anything: it declares its
    ``needs``, gets one :class:`~contsemi.types.Step` at a time and returns named terms; the
    engine weighs and sums them. Parameters and buffers that it registers are trained, saved and
    restored with the run, and the blocks that it holds follow the tasks by themselves.

    A method is a dataclass whose fields are the keys of its YAML, these four among them. It makes
    its blocks and its ``needs`` in ``__post_init__``, after that of this class.
    """

    group: ClassVar[str] = "objective"
    needs_labels: ClassVar[bool] = False  # whether no term is there without labelled images
    labels_in: ClassVar[str] = "labels"  # the term by which labels teach the head that predicts
    reads_small: ClassVar[bool] = True  # whether a term reads small views, where there are any

    large_views: int = 0  # of each unlabelled image; 0 asks for no unlabelled ones
    small_views: int = 0  # of each unlabelled image
    labelled_views: int = 0  # of each labelled image; 0 asks for no labelled ones
    supports_per_class: int = 0  # labelled images per seen class and step; 0 draws them uniformly

    needs: Needs = field(init=False, repr=False)
    # terms whose weight is 0
    muted: frozenset[str] = field(init=False, repr=False, default=frozenset())
    num_seen: int = field(init=False, repr=False, default=0)
    # whether labelled rows count by ``step.label_weights`` wherever a term reads them
    reweighs: bool = field(init=False, repr=False, default=False)

    def __post_init__(self) -> None:
        super().__init__()

    @property
    def decides(self) -> bool:
        """Whether its own scores tell classes apart: by labels that it learns or has at hand."""
        return self.needs.supports_at_test or self.learns_by(self.labels_in)

    def learns_by(self, *terms: str) -> bool:
        """Whether one of some terms comes, and has a weight."""
        return any(t not in self.muted and self.why_idle(f"weights.{t}") is None for t in terms)

    @property
    def read_small_views(self) -> int:
        """Small views that are worth making: none where no term would come of them."""
        return 0 if self.why_idle("small_views") else self.small_views

    def teaches(self, head: str) -> bool:
        """Whether what a head of classes or of clusters says comes of more than its first draw."""
        if head not in self.needs.head_names:
            return False
        by: dict[str, tuple[str, ...]] = {
            "classifier": (self.labels_in,),
            "clusters": ("clustering",),
            "prototypes": ("clustering", self.labels_in),
        }
        return self.learns_by(*by[head]) if head in by else True

    def why_idle(self, field: str) -> str | None:
        """As a part has it; and where no view of a labelled image is asked for, what is of them."""
        of_labels = field in (f"weights.{self.labels_in}", "smoothing", "supports_per_class")
        if of_labels and "labelled" not in self.needs.rows:
            return "labelled_views is 0"
        if field == "small_views" and not self.reads_small:
            return "weights has no term of them"
        return super().why_idle(field)

    def begin(self, experience: Experience) -> None:
        """A task begins; the network's heads already have ``experience.num_seen`` columns."""
        self.num_seen = experience.num_seen
        for block in blocks_of(self):
            block.begin(experience)

    def terms(self, step: Step) -> dict[str, Tensor]:
        """The scalar terms of the loss, by the names that ``weights`` in the YAML has."""
        raise NotImplementedError

    def after_step(self) -> None:
        """The optimiser has stepped."""
        for block in blocks_of(self):
            block.after_step()

    def end(self, experience: Experience) -> None:
        """The task is over."""
        for block in blocks_of(self):
            block.end(experience)

    def predict(self, outputs: Outputs, supports: tuple[Outputs, Tensor] | None) -> Tensor:
        """Scores over all seen columns; the greatest is the prediction.

        Unless a method says otherwise these are the logits of the head ``classifier``.

        Args:
            outputs: of N un-augmented images, with the heads of ``needs``.
            supports: outputs [S] and columns [S] of the labelled images at hand (exemplars and
                the current task's), where ``needs.supports_at_test`` asks for them.

        Returns:
            [N, num_seen].
        """
        return outputs["classifier"]

    # What methods say of themselves in one line

    def asks(
        self,
        *heads: str | Head,
        teacher: Sequence[float] | None = None,
        teacher_labelled: bool = False,
        near: Callable[[Tensor], Tensor] | None = None,
        views: Mapping[str, View] | None = None,
        **more: Any,
    ) -> Needs:
        """The needs of a method that learns from all labelled images at hand, with its views.

        These are ``labelled``, ``large`` and ``small``, of the policies of the same names.

        Args:
            heads: of the network.
            teacher: momentum of the EMA network at the start and at the end of a task; ``None``
                for no such network. It sees the large views.
            teacher_labelled: whether it sees the labelled ones, too.
            near: of the small views; see :class:`~contsemi.types.View`.
            views: further ones.
            more: of :class:`~contsemi.types.Needs`.
        """
        both = ("student", "teacher")
        usual = {
            "labelled": View(
                rows="labelled",
                policy="labelled",
                number=self.labelled_views,
                seen_by=both if teacher_labelled else both[:1],
            ),
            "large": View(
                rows="unlabelled",
                policy="large",
                number=self.large_views,
                seen_by=both if teacher is not None else both[:1],
            ),
            "small": View(
                rows="unlabelled", policy="small", number=self.read_small_views, near=near
            ),
        }
        return Needs(
            views={name: view for name, view in usual.items() if view.number} | dict(views or {}),
            heads=heads,
            supports_per_class=self.supports_per_class,
            labelled_from="all",
            teacher=None if teacher is None else Teacher(ema_momenta(teacher)),
            **more,
        )

    def vote(
        self,
        outputs: Outputs,
        supports: tuple[Outputs, Tensor] | None,
        *,
        temperature: float,
        head: str | None = None,
    ) -> Tensor:
        """Log-probabilities [N, num_seen] by the soft vote of the labelled images at hand.

        Args:
            outputs: as :meth:`predict` has them.
            supports: as there.
            temperature: of the cosines.
            head: whose embeddings are compared; ``None`` for the backbone's features.

        Raises:
            RuntimeError: no labelled image is at hand.
        """
        if supports is None:
            raise RuntimeError("needs labelled images to predict")
        queries, rows = (
            each.features if head is None else each[head] for each in (outputs, supports[0])
        )
        logits = outputs.heads.get("classifier")
        classes = self.num_seen if logits is None else logits.shape[1]
        return nearest_classes(queries, rows, supports[1], classes, temperature=temperature)
