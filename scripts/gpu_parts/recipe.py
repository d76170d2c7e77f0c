"""NNCSL's official step on CIFAR-100: milliseconds and peak memory, with every compile mode."""

import sys
import time
from pathlib import Path

import torch

from gpu_parts.common import Found, milliseconds

MODES = ("none", "default", "reduce-overhead", "max-autotune")
SECONDS = 360.0  # after which nothing more is begun


def check(device: str, quick: bool) -> Found:
    """Tasks 1, 2 and 10 as they come; then task 2 with every mode, then the others, if time is."""
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from step_recipe import Step, random_stream

    stream = random_stream(20 if quick else 100)
    share = 0.02 if quick else 1.0
    wanted = [(1, "none")] if quick else [(task, "none") for task in (1, 2, 10)]
    wanted += [] if quick else [(2, mode) for mode in MODES[1:]]
    wanted += [] if quick else [(task, mode) for mode in MODES[1:] for task in (1, 10)]
    began, took = time.monotonic(), dict.fromkeys(MODES, 0.0)
    for task, mode in wanted:
        name, start = f"task {task}, compile={mode}", time.monotonic()
        if start - began + took[mode] > SECONDS:
            yield name, None, "no time was left", {}
            continue
        if device.startswith("cuda"):
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
        try:
            step = Step(stream, task, share, [f"device={device}", f"compile={mode}"])
            spent = milliseconds(step.whole, device, 2 if quick else 10)
        except Exception as error:
            yield name, False, f"{type(error).__name__}: {str(error).splitlines()[0][:150]}", {}
            continue
        finally:
            took[mode] = time.monotonic() - start
        peak = torch.cuda.max_memory_allocated() / 2**20 if device.startswith("cuda") else 0.0
        precision = str(step.learner.precision).removeprefix("torch.")
        yield name, None, precision, {"ms a step": spent, "peak MiB": peak}
        del step
