"""Avalanche's first import, without its warnings about packages that nothing here uses."""

import warnings

with warnings.catch_warnings():
    warnings.filterwarnings("ignore", message="no QP solver found", category=UserWarning)
    warnings.filterwarnings("ignore", message="pkg_resources is deprecated")
    import avalanche.training.supervised  # noqa: F401
