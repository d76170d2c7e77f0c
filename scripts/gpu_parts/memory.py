"""Memory that runs out is provoked by a fraction of the GPU's, and the run goes on in pieces."""

import tempfile
from pathlib import Path

import torch

from gpu_parts.common import Found


def check(device: str, quick: bool) -> Found:
    """A run whose steps do not fit whole."""
    from contsemi import pipeline
    from contsemi.compose import load

    words = [
        *("method=contsemi", f"device={device}", "display=quiet", "precision=fp32"),
        *("scenario.classes=4", "scenario.tasks=2", "optim.epochs=1"),
        *(["batch.unlabelled=48", "model.width=8"] if quick else ["batch.unlabelled=256"]),
        *([] if quick else ["model=resnet18", "batch.test=32"]),
    ]
    with tempfile.TemporaryDirectory() as folder:
        torch.cuda.reset_peak_memory_stats()
        pipeline.run(load([*words, f"output={Path(folder) / 'whole'}"]))
        peak = torch.cuda.max_memory_allocated()
        torch.cuda.empty_cache()
        total = torch.cuda.get_device_properties(torch.device(device)).total_memory
        torch.cuda.set_per_process_memory_fraction(0.6 * peak / total)
        try:
            found = pipeline.run(load([*words, f"output={Path(folder) / 'narrow'}"]))
        finally:
            torch.cuda.set_per_process_memory_fraction(1.0)
    pieces = float(found.get("pieces", 1))
    numbers = {"pieces": pieces, "peak of the whole step, MiB": peak / 2**20}
    yield "a step that does not fit is split", pieces > 1, "", numbers
