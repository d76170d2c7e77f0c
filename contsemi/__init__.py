"""contsemi: continual semi-supervised learning of image classifiers."""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"


def load(path: Any) -> Any:
    """The model that a run, or ``python -m contsemi.learn``, has left in a folder.

    It has ``predict``, ``predict_proba``, ``features`` and ``classes``, and is an estimator of
    scikit-learn; see :class:`contsemi.living.model.Model`.
    """
    # By name: what asks for the version alone does not bring torch along.
    return import_module("contsemi.living.model").load(path)
