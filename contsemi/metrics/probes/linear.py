"""A linear classifier on the frozen features."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from contsemi.metrics.matrix import Undefined
from contsemi.metrics.probes.probe import Found, Probe, Rows, concatenated


def linear_probe_accuracy(
    train: NDArray[np.floating],
    train_labels: NDArray[np.integer],
    test: NDArray[np.floating],
    test_labels: NDArray[np.integer],
    *,
    inverse_penalty: float = 1.0,
    iterations: int = 1000,
) -> float | Undefined:
    """Accuracy of scikit-learn's multinomial logistic regression on standardised features.

    Args:
        train: [M, D] features that it is fitted to.
        train_labels: [M], columns.
        test: [N, D] features.
        test_labels: [N], true columns; a class that is not in training is always wrong.
        inverse_penalty: scikit-learn's C of the squared penalty on the weights.
        iterations: most iterations of L-BFGS.

    >>> rows, labels = np.eye(2).repeat(4, 0), np.arange(2).repeat(4)
    >>> linear_probe_accuracy(rows, labels, rows, labels)
    1.0
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    if len(np.unique(train_labels)) < 2:
        return Undefined("a linear probe needs labels of two classes")
    if not len(test):
        return Undefined("there are no test images")
    regression = LogisticRegression(C=inverse_penalty, max_iter=iterations)
    fitted = make_pipeline(StandardScaler(), regression).fit(train, train_labels)
    return float((fitted.predict(test) == test_labels).mean())


@dataclass(kw_only=True, eq=False)
class Linear(Probe):
    """See :func:`linear_probe_accuracy`."""

    def ask(self, bank: Sequence[Rows], test: Sequence[Rows], *, seen: int, seed: int) -> Found:
        """``linear``, over all classes seen."""
        if not seen:
            return {}
        return {
            "linear": linear_probe_accuracy(*concatenated(bank[:seen]), *concatenated(test[:seen]))
        }
