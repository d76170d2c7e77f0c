"""How much a training step computes, before there is one."""

import torch

from contsemi.config import Config
from contsemi.devices.threads import Threads, choose_threads
from contsemi.models import build_backbone
from contsemi.seeding import generator

_VIEWS = 2  # of an unlabelled image, as most methods have it
_PASSES = 3  # forwards, and twice that much backwards


def multiply_adds(config: Config) -> float:
    """Multiply-adds of the backbone in a training step, near enough to tell small from large.

    Two views of each unlabelled image and one of each labelled one, at the side of the test images.

    Args:
        config: the run.
    """
    # Its import takes a while, which a run whose threads are given does without.
    from torch.utils.flop_counter import FlopCounterMode

    backbone = build_backbone(config.model, generator(0, "work")).eval()
    side = config.views.test_size
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        backbone(torch.zeros(1, 3, side, side))
    images = _VIEWS * config.batch.unlabelled + config.batch.labelled
    return float(counter.get_total_flops()) / 2 * images * _PASSES


def fix_threads(config: Config, device: torch.device, processes: int = 1) -> Threads:
    """Fixes the threads of the CPU; before anything is computed, as bits depend on them.

    Args:
        config: the run.
        device: where the network runs.
        processes: of this run on this machine.
    """
    chosen = choose_threads(
        config.threads,
        work=0.0 if config.threads or device.type != "cpu" else multiply_adds(config),
        device=device,
        processes=processes,
    )
    torch.set_num_threads(chosen.number)
    return chosen
