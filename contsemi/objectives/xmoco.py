"""XMoCo, after the abstract of its paper: similarities survive transformations, and are even.

Source: Seyfi et al. 2022, "Extending momentum contrast with cross similarity consistency
regularization". Its equations were not read; this is a reconstruction from the abstract. Beside
MoCo's contrast with a queue, the similarity of two images of the batch is to be the same whichever
of the two is the query, and an image is to be equally far from all others. The abstract has no
labels: here two labelled images of one class are positives and are left out of the evenness, and a
linear classifier on the features, which is what predicts, is trained on the labels.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from contsemi.assign.relation import same_class
from contsemi.blocks.key_queue import KeyQueue
from contsemi.blocks.keyed import Keyed, keyed, keyed_needs
from contsemi.blocks.labelled import labels_term
from contsemi.losses.contrast import contrast
from contsemi.losses.cross_consistency import cross_consistency, score_variance, unevenness
from contsemi.objectives.objective import Objective
from contsemi.types import Step

__all__ = ["Xmoco"]


@dataclass(kw_only=True, eq=False)
class Xmoco(Objective):
    """Momentum contrast with two penalties on the similarities within the batch."""

    temperature: float  # of all cosines
    # What is penalised: `divergence` from uniform shares, or the `variance` of the cosines
    even_by: str = "divergence"
    bank: int  # keys of the queue
    current_only: bool  # whether a task begins with an empty queue, or old keys wait to be replaced
    both_ways: bool  # whether each view is a query and a key, or one strong and one weak view
    teacher: Sequence[float]  # momentum of the slow network at the start and the end of a task
    smoothing: float  # of the labels

    def __post_init__(self) -> None:
        super().__post_init__()
        self.queue = KeyQueue(self.bank, current_only=self.current_only)
        self.needs = keyed_needs(
            "projector",
            "classifier",
            both_ways=self.both_ways,
            labelled_views=self.labelled_views,
            supports_per_class=self.supports_per_class,
            teacher=self.teacher,
        )

    def terms(self, step: Step) -> dict[str, Tensor]:
        """``contrast``, ``consistency`` and ``evenness`` of all images, and ``labels``."""
        terms = labels_term(step, smoothing=self.smoothing)
        rows = keyed(step)
        if rows is not None:
            compared = self.queue.compare(rows)
            terms["contrast"] = contrast(
                compared.scores, compared.positives(), temperature=self.temperature
            )
            terms |= self._within(rows)
        return terms

    def _within(self, rows: Keyed) -> dict[str, Tensor]:
        """The penalties on the similarities within the batch, in either direction."""
        scores, others = rows.queries @ rows.keys.T, rows.others
        apart = others & ~same_class(rows.labels, rows.labels)
        if self.even_by == "variance":
            uneven = score_variance(scores, allow=apart)
        else:
            uneven = unevenness(scores, temperature=self.temperature, allow=apart)
        return {"consistency": cross_consistency(scores, allow=others), "evenness": uneven}
