"""Avalanche's own strategies on the labelled part of a stream, under the same conditions as ours.

Labelled images, class order, seed, network, views, optimiser, schedule, steps and memory are those
of the methods that they are compared with; Avalanche brings what a strategy does with them.
One file a strategy, named as ``baseline.name`` in the configuration.
"""

from contsemi.strategies.baselines.baseline import Baseline

__all__ = ["Baseline"]
