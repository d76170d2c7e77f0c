"""The terms of a loss: what the contract says, their weighted sum, and that some of them teach."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from contsemi.errors import InputError, MethodFailed
from contsemi.types import Step

if TYPE_CHECKING:
    from contsemi.distillers.distiller import Distiller
    from contsemi.learner.task import TaskRows
    from contsemi.objectives.objective import Objective

_PATIENCE = 20  # steps without a gradient, at most an epoch


def checked_terms(part: "Objective | Distiller", step: Step) -> dict[str, Tensor]:
    """The terms of a step.

    Args:
        part: the objective or the distiller.
        step: the step.

    Raises:
        MethodFailed: they are no scalars by name.
    """
    terms = part.terms(step)
    if not isinstance(terms, dict):
        raise MethodFailed.returned(part.terms, terms, "a dict of scalar tensors")
    for name, term in terms.items():
        if not isinstance(term, Tensor) or term.ndim:
            what = f"the term {name} is"
            raise MethodFailed.returned(part.terms, term, "a scalar tensor", what=what)
    return terms


def weighted_sum(
    terms: Mapping[str, Tensor], weights: Mapping[str, float], device: torch.device
) -> Tensor:
    """The weighted sum of scalar terms; zero on the device if there is none.

    Raises:
        InputError: a term has no weight in the configuration.
    """
    unknown = terms.keys() - weights.keys()
    if unknown:
        raise InputError(
            "objective.weights",
            f"the term {min(unknown)!r} has no weight",
            f"add weights: {{{min(unknown)}: 1.0}} to the method's YAML",
        )
    # of few operations: each has its own in the backward pass
    parts = [v if (w := weights[name]) == 1 else w * v for name, v in terms.items()]
    return sum(parts[1:], parts[0]) if parts else torch.zeros((), device=device)


class Learning:
    """Sees to it that a run learns something.

    Args:
        method: of the run.
        trains: whether its objective is trained at all.
    """

    def __init__(self, method: str, *, trains: bool) -> None:
        self._method, self._begun, self._waited = method, not trains, 0

    def see(self, task: "TaskRows", loss: Tensor) -> None:
        """A step has its loss.

        Raises:
            InputError: none of the first ones had a gradient, though it had all kinds of images.
        """
        if self._begun or loss.requires_grad:
            self._begun = True
            return
        if not len(task.labels) and "labelled" in task.needs.rows:
            return  # a task without a label, before the first one that has some
        self._waited += 1
        if self._waited >= min(_PATIENCE, task.steps_per_epoch):
            problem = (
                f"{self._method} has nothing to learn from: no term of its loss had a gradient"
            )
            fix = "give it labels (objective.labelled_views, batch.labelled), or mend its terms"
            raise InputError("objective", problem, fix)
