"""XMoCo, after the abstract of its paper: similarities survive transformations, and are even.

Source: Seyfi et al. 2022, "Extending momentum contrast with cross similarity consistency
regularization". Its equations were not read; this is a reconstruction from the abstract. Beside
MoCo's contrast with a queue, the similarity of two images of the batch is to be the same whichever
of the two is the query, and an image is to be equally far from all others. The abstract has no
labels: here two labelled images of one class are positives and are left out of the evenness, and a
linear classifier on the features, which is what predicts, is trained on the labels.
"""

from dataclasses import dataclass

from torch import Tensor

from contsemi.assign.relation import same_class
from contsemi.blocks.keyed import Keyed
from contsemi.losses.contrast import contrast
from contsemi.losses.cross_consistency import cross_consistency, score_variance, unevenness
from contsemi.objectives.momentum_contrast import MomentumContrast
from contsemi.types import Step


@dataclass(kw_only=True, eq=False)
class Xmoco(MomentumContrast):
    """Momentum contrast with two penalties on the similarities within the batch."""

    # What is penalised: `divergence` from uniform shares, or the `variance` of the cosines
    even_by: str = "divergence"

    def contrasts(self, rows: Keyed, step: Step) -> dict[str, Tensor]:
        """``contrast``, ``consistency`` and ``evenness``."""
        compared = self.queue.compare(rows)
        loss = contrast(compared.scores, compared.positives(), temperature=self.temperature)
        return {"contrast": loss, **self._within(rows)}

    def _within(self, rows: Keyed) -> dict[str, Tensor]:
        """The penalties on the similarities within the batch, in either direction."""
        scores, others = rows.queries @ rows.keys.T, rows.others
        apart = others & ~same_class(rows.labels, rows.labels)
        if self.even_by == "variance":
            uneven = score_variance(scores, allow=apart)
        else:
            uneven = unevenness(scores, temperature=self.temperature, allow=apart)
        return {"consistency": cross_consistency(scores, allow=others), "evenness": uneven}
