"""Deep streaming LDA: a frozen backbone, and Gaussians with one covariance on its features."""

from typing import Any

from avalanche.training.supervised import Naive, StreamingLDA
from torch import Tensor, nn

from contsemi.strategies.baselines.conditions import Conditions
from contsemi.strategies.baselines.method import Method
from contsemi.strategies.baselines.same_conditions import under_same_conditions
from contsemi.types import Outputs


class Slda(Method):
    """Avalanche's StreamingLDA (Hayes and Kanan 2020).

    It needs a backbone that was trained before. Here none is: the first task trains it as
    fine-tuning does, then it is frozen, and later tasks take no step of an optimiser.

    Args:
        shrinkage: of the covariance towards the identity.
    """

    inside = False  # its Gaussians are fitted at the end of a task

    def __init__(self, *, shrinkage: float) -> None:
        self.shrinkage = shrinkage

    def build(self, conditions: Conditions) -> Any:
        """The strategy."""
        self.first = under_same_conditions(Naive, self, conditions)
        return StreamingLDA(
            slda_model=conditions.features,
            criterion=nn.CrossEntropyLoss(),
            input_size=conditions.network.num_features,
            num_classes=conditions.experiences[-1].num_seen,
            shrinkage_param=self.shrinkage,
            # One inverse of the covariance a batch.
            train_mb_size=conditions.config.batch.test,
            device=conditions.device,
            evaluator=conditions.arguments["evaluator"],
        )

    def train(self, strategy: Any, experience: Any) -> None:
        """Trains the backbone on the first task; fits the Gaussians to every one."""
        if not strategy.clock.train_exp_counter:
            self.first.train(experience, eval_streams=[])
        strategy.train(experience, eval_streams=[])

    def networks(self, strategy: Any) -> list[Any]:
        """Class means and counts, and their covariance."""
        return [strategy.muK, strategy.cK, strategy.Sigma]

    def scores(self, strategy: Any, outputs: Outputs) -> Tensor:
        """The discriminants."""
        scores: Tensor = strategy.predict(outputs.features)
        return scores
