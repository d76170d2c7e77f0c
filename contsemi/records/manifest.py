"""The manifest: what a run was made with, so that it can be made again."""

import platform
from importlib import metadata
from typing import Any

from contsemi.records.origin import processor, version

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
    """Versions of Python, of contsemi with its commit and of what numbers depend on."""
    found = {"python": platform.python_version(), "contsemi": version()}
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
    return {"versions": versions(), "platform": where, "processor": processor(), **facts}
