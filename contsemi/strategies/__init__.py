"""The face towards Avalanche: the only room that imports it."""

# Before all others, which import Avalanche themselves.
from contsemi.strategies import _avalanche  # noqa: F401
from contsemi.strategies.metrics import continual_metrics
from contsemi.strategies.probes import probe_metrics
from contsemi.strategies.saving import restore, save
from contsemi.strategies.scenario import benchmark
from contsemi.strategies.semi import semi_supervised
from contsemi.strategies.strategy import SemiSupervisedStrategy
from contsemi.strategies.wandb import WandB

__all__ = [
    "SemiSupervisedStrategy",
    "WandB",
    "benchmark",
    "continual_metrics",
    "probe_metrics",
    "restore",
    "save",
    "semi_supervised",
]
