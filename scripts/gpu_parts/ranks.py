"""Two gloo processes on the one GPU: collectives, the norm, and the losses of one process."""

import tempfile
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import nn

from gpu_parts.common import Found, apart


def check(device: str, quick: bool) -> Found:
    """What two processes say against one."""
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "store"
        mp.spawn(work, args=(device, str(store), folder), nprocs=2)
        parts = [torch.load(Path(folder) / f"{rank}.pt", weights_only=True) for rank in range(2)]
    alone = norm_alone(device)
    out = torch.cat([part["norm"][0] for part in parts])
    grad = torch.cat([part["norm"][1] for part in parts])
    weight = parts[0]["norm"][2] + parts[1]["norm"][2]
    difference = apart([out, grad, weight], alone)
    yield "norm of two processes", difference <= 2e-4, "", {"largest difference": difference}
    for name, expected in (("gathered", [0.0, 1.0]), ("summed", [1.0])):
        right = all(part[name].tolist() == expected for part in parts)
        yield name, right, "", {}
    if "losses" not in parts[0]:
        yield "losses of a method", False, f"lacks the package {parts[0]['missing']}", {}
        return
    from contsemi.devices.ranks import ALONE

    expected_losses = losses(device, ALONE)
    difference = max(apart([part["losses"]], [expected_losses]) for part in parts)
    yield "losses of two processes", difference <= 1e-3, "", {"largest difference": difference}


def rows(device: str) -> torch.Tensor:
    """The same rows in every process."""
    draw = torch.Generator().manual_seed(0)
    return (torch.randn(12, 8, 5, 5, generator=draw) * 2 + 3).to(device)


def passed(norm: nn.Module, x: torch.Tensor) -> list[torch.Tensor]:
    """Output and gradients."""
    x = x.clone().requires_grad_()
    out = norm(x)
    (out * x.detach().sin()).sum().backward()
    assert x.grad is not None
    return [out.detach(), x.grad, norm.weight.grad]  # type: ignore[union-attr,list-item]


def norm_alone(device: str) -> list[torch.Tensor]:
    """Of torch's layer over all rows."""
    return passed(nn.BatchNorm2d(8).to(device), rows(device))


def losses(device: str, ranks: Any) -> torch.Tensor:
    """Of a few steps of a method in float64."""
    from contsemi import compose, data
    from contsemi.data.scenario import build
    from contsemi.labels import LabelBudget
    from contsemi.learner.learner import Learner

    words = ("method=contsemi", "precision=fp32", "scenario.classes=4", "scenario.tasks=2")
    config = compose.load([*words, "device=cuda" if device.startswith("cuda") else "device=cpu"])
    train, test = data.load(config.data, config.scenario.dataset)
    stream = build(config.scenario, LabelBudget.parse(config.label_ratio), train, test, 0)
    learner = Learner(config, ranks)
    for module in (learner.network, learner.objective, learner.distiller):
        module.double()
    learner.network.register_forward_pre_hook(lambda _, args: (args[0].double(), *args[1:]))
    learner.begin(stream.experiences[0], stream.images)
    found = []
    for step in range(3):
        loss, _ = learner.loss(learner.forward(learner.batch(0, step)))
        learner.backward(loss)
        learner.update()
        found.append(loss.detach())
    return torch.stack(found)


def work(rank: int, device: str, store: str, folder: str) -> None:
    """One of the two processes."""
    from contsemi.devices.ranks import Ranks
    from contsemi.devices.synced_norm import synchronise

    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
    ranks = Ranks(rank, 2, 0, 1)  # each as if it were alone on its machine: both on the one GPU
    holder = nn.Sequential(nn.BatchNorm2d(8)).to(device)
    synchronise(holder, ranks)
    found: dict[str, Any] = {"norm": passed(holder[0], rows(device)[6 * rank : 6 * rank + 6])}
    found["gathered"] = ranks.gather(torch.full((1,), float(rank), device=device))
    found["summed"] = ranks.sum(torch.full((1,), float(rank), device=device))
    try:
        found["losses"] = losses(device, ranks)
    except ModuleNotFoundError as error:
        found["missing"] = str(error.name)
    torch.save(found, Path(folder) / f"{rank}.pt")
    dist.destroy_process_group()
