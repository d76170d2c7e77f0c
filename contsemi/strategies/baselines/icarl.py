"""iCaRL: herded exemplars, distillation, and prediction by the nearest mean of exemplars."""

from collections.abc import Sequence
from typing import Any

from avalanche.training.supervised import ICaRL
from torch import Tensor

from contsemi.errors import InputError
from contsemi.strategies.baselines.conditions import Conditions
from contsemi.strategies.baselines.method import Method
from contsemi.strategies.baselines.same_conditions import under_same_conditions
from contsemi.types import Outputs


class Icarl(Method):
    """Avalanche's ICaRL (Rebuffi et al. 2017) with a memory of fixed size.

    Avalanche rounds the exemplars of a class up and so beyond the budget; here they are rounded
    down. Class means are those of the exemplars without their mirror images.
    """

    inside = False  # its class means are those of the end of a task

    def build(self, conditions: Conditions) -> Any:
        """The strategy.

        Raises:
            InputError: there is no exemplar for each class, by which iCaRL predicts.
        """
        budget, classes = conditions.config.memory.exemplars, conditions.experiences[-1].num_seen
        if budget < classes:
            raise InputError(
                "memory.exemplars",
                f"icarl predicts by exemplars, and {budget} are too few for {classes} classes",
                f"keep at least {classes}",
            )
        strategy = under_same_conditions(
            ICaRL,
            self,
            conditions,
            ("model", "criterion"),
            feature_extractor=conditions.features,
            classifier=conditions.logits,
            memory_size=budget,
            buffer_transform=None,
            fixed_memory=True,
        )
        self.plugin = next(p for p in strategy.plugins if hasattr(p, "x_memory"))
        return strategy

    def rows_per_step(self, labelled: int, clock: Any) -> int:
        """The task's images and the exemplars are one pool: as many rows as replay has of both."""
        return labelled * (2 if clock.train_exp_counter else 1)

    def draw_from_memory(self, strategy: Any, conditions: Conditions) -> None:
        """Lets the share of a class come out whole."""
        classes = conditions.pixels.num_seen
        self.plugin.memory_size = conditions.config.memory.exemplars // classes * classes

    def kept(self, strategy: Any) -> Sequence[int]:
        """Those of the exemplars."""
        return [int(column) for columns in self.plugin.y_memory for column in columns]

    def networks(self, strategy: Any) -> list[Any]:
        """The network of the end of the last task, which teaches its own classes."""
        teacher = strategy._criterion.old_model
        return [] if teacher is None else [teacher]

    def scores(self, strategy: Any, outputs: Outputs) -> Tensor:
        """Minus the distance to each class mean."""
        scores: Tensor = strategy.model.eval_classifier(outputs.features)
        return scores
