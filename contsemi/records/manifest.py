"""The manifest: what a run was made with, so that it can be made again."""

import platform
from collections.abc import Sequence
from importlib import metadata
from typing import Any

import numpy as np

from contsemi import __version__

__all__ = ["manifest", "versions"]

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


def manifest(
    *,
    seed: int,
    class_order: Sequence[int],
    label_digest: str,
    labelled: int,
    device: str,
    threads: int,
    class_names: Sequence[str] = (),
    **more: Any,
) -> dict[str, Any]:
    """The content of ``manifest.json``.

    Args:
        seed: of every random draw.
        class_order: dataset class id of each column.
        label_digest: SHA-256 of the chosen label indices.
        labelled: number of labels.
        device: as torch names it, with the model of the accelerator.
        threads: CPU threads.
        class_names: name of each column.
        more: further facts, for example ``dataset_digest=``.
    """
    return {
        "versions": versions(),
        "platform": f"{platform.system()} {platform.machine()}",
        "seed": seed,
        "class_order": np.asarray(class_order, dtype=int).tolist(),
        "class_names": list(class_names),
        "labelled": labelled,
        "label_digest": label_digest,
        "device": device,
        "threads": threads,
        **more,
    }
