"""The shape of methods on MoCo: queries are told from keys of a slow network in a queue.

Source: He et al. 2020, "Momentum contrast for unsupervised visual representation learning". It has
no labels: here two labelled images of one class are positives, and a linear classifier on the
features, which is what predicts, is trained on the labels.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from contsemi.blocks.key_queue import KeyQueue
from contsemi.blocks.keyed import Keyed, keyed, keyed_needs
from contsemi.blocks.labelled import labels_term
from contsemi.objectives.objective import Objective
from contsemi.types import Step


@dataclass(kw_only=True, eq=False)
class MomentumContrast(Objective):
    """A method says in :meth:`contrasts` what it makes of the queries, their keys and the queue."""

    temperature: float  # of all cosines
    bank: int  # keys of the queue
    current_only: bool  # whether a task begins with an empty queue, or old keys wait to be replaced
    both_ways: bool  # whether each view is a query and a key, or one strong and one weak view
    teacher: Sequence[float]  # momentum of the slow network at the start and the end of a task
    smoothing: float  # of the labels

    def __post_init__(self) -> None:
        super().__post_init__()
        self.queue = KeyQueue(self.bank, current_only=self.current_only)
        self.query_head = self.asked_of()
        self.needs = keyed_needs(
            *dict.fromkeys(("projector", self.query_head)),
            "classifier",
            both_ways=self.both_ways,
            labelled_views=self.labelled_views,
            supports_per_class=self.supports_per_class,
            teacher=self.teacher,
            key_policy=self.key_policy(),
            swapped=self.has_negatives(),
        )

    def asked_of(self) -> str:
        """The head that queries are of; keys are of the ``projector``."""
        return "projector"

    def key_policy(self) -> str:
        """How the views are made that are keys alone."""
        return "large"

    def has_negatives(self) -> bool:
        """Whether queries are told from others, so that one more can be told from each."""
        return True

    def terms(self, step: Step) -> dict[str, Tensor]:
        """``labels``, and what :meth:`contrasts` has of all images, each counted once."""
        terms = labels_term(step, smoothing=self.smoothing)
        rows = keyed(step, head=self.query_head)
        return terms if rows is None else terms | self.contrasts(rows, step)

    def contrasts(self, rows: Keyed, step: Step) -> dict[str, Tensor]:
        """The terms of queries and keys; see :meth:`~contsemi.blocks.key_queue.KeyQueue.compare`.

        Args:
            rows: of all images, one for each query.
            step: the step.
        """
        raise NotImplementedError
