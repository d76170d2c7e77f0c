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
    from avalanche.benchmarks.utils.flat_data import ConstantSequence
    from avalanche.evaluation.metric_definitions import PluginMetric
    from avalanche.evaluation.metric_results import AlternativeValues, MetricValue, TensorImage
    from avalanche.logging import BaseLogger
    from avalanche.training.losses import MaskedCrossEntropy
    from avalanche.training.plugins import (
        AGEMPlugin,
        EvaluationPlugin,
        EWCPlugin,
        LwFPlugin,
        MIRPlugin,
        ReplayPlugin,
        SupervisedPlugin,
        SynapticIntelligencePlugin,
    )
    from avalanche.training.plugins.evaluation import default_evaluator
    from avalanche.training.storage_policy import ClassBalancedBuffer
    from avalanche.training.supervised import (
        AGEM,
        DER,
        ER_ACE,
        EWC,
        MIR,
        Cumulative,
        ICaRL,
        JointTraining,
        LwF,
        Naive,
        Replay,
        StreamingLDA,
        SynapticIntelligence,
    )
    from avalanche.training.templates import SupervisedTemplate

__all__ = [
    "AGEM",
    "DER",
    "ER_ACE",
    "EWC",
    "MIR",
    "AGEMPlugin",
    "AlternativeValues",
    "AvalancheDataset",
    "BaseLogger",
    "CLScenario",
    "ClassBalancedBuffer",
    "ConstantSequence",
    "Cumulative",
    "DataAttribute",
    "DatasetExperience",
    "EWCPlugin",
    "EagerCLStream",
    "EvaluationPlugin",
    "ICaRL",
    "JointTraining",
    "LabelledDataset",
    "LwF",
    "LwFPlugin",
    "MIRPlugin",
    "MaskedCrossEntropy",
    "MetricValue",
    "Naive",
    "PluginMetric",
    "Replay",
    "ReplayPlugin",
    "StreamingLDA",
    "SupervisedPlugin",
    "SupervisedTemplate",
    "SynapticIntelligence",
    "SynapticIntelligencePlugin",
    "TensorImage",
    "default_evaluator",
]
