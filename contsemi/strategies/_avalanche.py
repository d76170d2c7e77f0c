"""The names that this room takes from Avalanche 0.6, imported in one place.

Avalanche warns at import about packages that nothing here uses; those warnings, and no others, are
silenced.
"""

import warnings

with warnings.catch_warnings():
    warnings.filterwarnings("ignore", message="no QP solver found", category=UserWarning)
    warnings.filterwarnings("ignore", message="pkg_resources is deprecated")

    from avalanche.benchmarks import CLScenario, DatasetExperience
    from avalanche.benchmarks.scenarios.generic_scenario import EagerCLStream
    from avalanche.benchmarks.utils import AvalancheDataset, DataAttribute
    from avalanche.benchmarks.utils.classification_dataset import (
        TaskAwareSupervisedClassificationDataset as LabelledDataset,
    )
    from avalanche.evaluation.metric_definitions import PluginMetric
    from avalanche.evaluation.metric_results import MetricValue
    from avalanche.training.plugins import EvaluationPlugin
    from avalanche.training.plugins.evaluation import default_evaluator
    from avalanche.training.templates import SupervisedTemplate

__all__ = [
    "AvalancheDataset",
    "CLScenario",
    "DataAttribute",
    "DatasetExperience",
    "EagerCLStream",
    "EvaluationPlugin",
    "LabelledDataset",
    "MetricValue",
    "PluginMetric",
    "SupervisedTemplate",
    "default_evaluator",
]
