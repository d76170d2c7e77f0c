"""The manifest: what a run was made with, so that it can be made again."""

import platform
from importlib import metadata
from typing import Any

from contsemi import __version__
from contsemi.records.origin import commit, processor

PACKAGES = (
    "torch",
    "torchvision",
    "avalanche-lib",
    "numpy",
    "scipy",
    "scikit-learn",
    "faiss-gpu",
    "faiss-cpu",
    "hydra-core",
    "pillow",
)


def versions() -> dict[str, str]:
    """Versions of Python, of contsemi and of what numbers depend on, where installed."""
    found = {"python": platform.python_version(), "contsemi": __version__}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def manifest(**facts: Any) -> dict[str, Any]:
    """The content of ``manifest.json``: where it was made, then what is known of the run.

    Args:
        facts: by name; every run has ``seed``, ``class_order`` and ``class_names`` (id and name of
            each column), ``labelled`` (how many) and ``label_digest`` (SHA-256 of their rows),
            ``device`` and ``threads``.
    """
    where = f"{platform.system()} {platform.machine()}"
    own = {"commit": commit(), "platform": where, "processor": processor()}
    return {"versions": versions(), **own, **facts}
