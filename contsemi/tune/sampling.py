"""Which values are tried next: Optuna's part."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from contsemi.errors import PackageMissing
from contsemi.tune.space import Choice, Space
from contsemi.tune.trials import Trial

if TYPE_CHECKING:
    from optuna import Study
    from optuna.distributions import BaseDistribution


class Sampling:
    """Optuna's tree-structured Parzen estimator, over trials that we keep.

    The study is made anew from the trials for each question, with a seed of the trial's number, so
    that an interrupted search goes on as if it had not been.

    Args:
        space: what may be tried.
        seed: of the draws.

    Raises:
        PackageMissing: Optuna is not installed.
    """

    def __init__(self, space: Space, seed: int) -> None:
        try:
            import optuna
        except ImportError:
            fix = "pip install 'contsemi[tune]'"
            raise PackageMissing(
                "contsemi.tune", "needs Optuna, which is not installed", fix
            ) from None
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._optuna, self.space, self.seed = optuna, space, seed
        kinds = optuna.distributions
        self.distributions: dict[str, BaseDistribution] = {}
        for key, entry in space.items():
            if isinstance(entry, Choice):
                self.distributions[key] = kinds.CategoricalDistribution(entry.values)
            elif entry.whole:
                low, high = int(entry.low), int(entry.high)
                self.distributions[key] = kinds.IntDistribution(low, high, log=entry.log)
            else:
                low_high = float(entry.low), float(entry.high)
                self.distributions[key] = kinds.FloatDistribution(*low_high, log=entry.log)

    def next_values(self, trials: Sequence[Trial]) -> dict[str, Any]:
        """Values of the trial after these.

        Args:
            trials: all so far; of those that still run only the values are known.
        """
        study = self._study(trials, self.seed + len(trials))
        asked = study.ask(self.distributions)
        return {key: self._short(key, value) for key, value in asked.params.items()}

    def _study(self, trials: Sequence[Trial], seed: int) -> "Study":
        optuna = self._optuna
        study: Study = optuna.create_study(
            direction="maximize",
            sampler=optuna.samplers.TPESampler(seed=seed),
        )
        for trial in trials:
            # What the configuration brought may lie outside of what is searched.
            inside = all(entry.holds(trial.values[key]) for key, entry in self.space.items())
            if trial.score is not None and inside:
                study.add_trial(self._known(trial))
        return study

    def _known(self, trial: Trial) -> Any:
        return self._optuna.trial.create_trial(
            params=trial.values,
            distributions=self.distributions,
            value=trial.score,
        )

    def _short(self, key: str, value: Any) -> Any:
        """A number of four digits: what is written in a file is what was tried."""
        entry = self.space[key]
        if isinstance(entry, Choice) or entry.whole:
            return value
        return min(max(float(f"{value:.4g}"), float(entry.low)), float(entry.high))
