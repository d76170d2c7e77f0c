"""A linear classifier on the frozen features."""

from collections.abc import Sequence
from dataclasses import dataclass

from contsemi.metrics.linear_probe import linear_probe_accuracy
from contsemi.metrics.probes.probe import Found, Probe, Rows, concatenated

__all__ = ["Linear"]


@dataclass(kw_only=True, eq=False)
class Linear(Probe):
    """See :func:`contsemi.metrics.linear_probe.linear_probe_accuracy`."""

    def ask(self, bank: Sequence[Rows], test: Sequence[Rows], *, seen: int, seed: int) -> Found:
        """``linear``, over all classes seen."""
        if not seen:
            return {}
        return {
            "linear": linear_probe_accuracy(*concatenated(bank[:seen]), *concatenated(test[:seen]))
        }
