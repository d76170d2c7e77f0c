"""Each function of losses, assign, memory and views on the GPU against the CPU."""

import doctest
import functools
import importlib
import inspect
import pkgutil
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from gpu_parts import kept, seen
from gpu_parts.common import Found, apart, moved
from gpu_parts.kept import Case

BOUND = 2e-4
BOUNDS = {
    "memory.drift=mlp": 2e-2,  # trained for many steps, in which rounding grows
    "views.spectral_saliency": 1e-2,  # a logarithm of a spectrum that is nearly 0 here and there
}
TRAINED = ("memory.drift=mlp",)  # which takes seconds


def drawn(*shape: int, seed: int = 0, grad: bool = True) -> Tensor:
    """Normal numbers; a leaf."""
    found = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    return found.requires_grad_(grad)


def probs(*shape: int, seed: int = 1) -> Tensor:
    """Rows that sum to one."""
    return (3 * drawn(*shape, seed=seed, grad=False)).softmax(-1)


def cases() -> Iterator[Case]:
    """Name, function, arguments and options."""
    from contsemi.assign.sinkhorn import sinkhorn
    from contsemi.losses import (
        agreement,
        contrast,
        cross_entropy,
        distil,
        nearest,
        nearest_stream,
        regression,
        swapped,
    )

    q, s, y = drawn(40, 16), drawn(60, 16, seed=2), probs(60, 7)
    warm = {"temperature": 0.1}
    yield "soft_nearest_neighbours", nearest.soft_nearest_neighbours, (q, s, y), warm
    yield "the same, cold", nearest.soft_nearest_neighbours, (q, s, y), {"temperature": 0.01}

    def streamed(*rows: Tensor, **options: float) -> Tensor:
        return nearest_stream.support_votes(*rows, **options).log_probs()

    yield "support_votes", streamed, (q, s, y), warm
    places = torch.arange(120).view(40, 3) % 60
    places[3, 1] = -1

    def by_rows(*rows: Tensor, **options: float) -> Tensor:
        return nearest_stream.row_votes(*rows, **options).log_probs()

    yield "row_votes", by_rows, (q, s, y, places), warm
    yield "sinkhorn", sinkhorn, (drawn(64, 10, grad=False),), {"epsilon": 0.05, "iterations": 3}
    for module in (agreement, contrast, cross_entropy, distil, regression, swapped):
        yield from named(module)
    yield from further(q, s)
    yield from kept.cases()
    yield from seen.cases()


def further(q: Tensor, s: Tensor) -> Iterator[Case]:
    """Functions that have no example and take more than matrices."""
    from contsemi.assign.centre import centred_softmax
    from contsemi.assign.components import weak_relation
    from contsemi.assign.relation import overruled, same_class
    from contsemi.assign.vote import vote
    from contsemi.losses import paws

    log_probs = drawn(24, 7, seed=8).detach().log_softmax(1).requires_grad_()
    large = drawn(16, 7, seed=9, grad=False).log_softmax(1)
    yield (
        "paws.consistency",
        paws.consistency,
        (log_probs, large),
        {
            "batch_size": 8,
            "sharpening": 0.25,
        },
    )
    yield "paws.me_max", paws.mean_entropy_maximisation, (log_probs,), {"sharpening": 0.25}
    labels, others = torch.arange(40) % 5 - 1, torch.arange(60) % 4 - 1
    yield "assign.same_class", same_class, (labels, others), {}
    related = drawn(40, 60, seed=10, grad=False) > 0
    yield "assign.overruled", overruled, (related, labels, others), {}
    yield "assign.weak_relation", weak_relation, (q.detach(), labels), {}
    yield "assign.vote", vote, ((torch.arange(90) * 7 % 11 - 1).view(30, 3), 10), {}
    centre = drawn(1, 16, seed=11, grad=False)
    slow = {"temperature": 0.1, "momentum": 0.9}
    yield "assign.centred_softmax", centred_softmax, (s.detach(), centre), slow


def named(module: Any) -> Iterator[Case]:
    """Functions of two or three matrices, tried with such; those that want others are left out."""
    for name, function in inspect.getmembers(module, inspect.isfunction):
        if name.startswith("_") or function.__module__ != module.__name__:
            continue
        for args in ((drawn(24, 8), drawn(24, 8, seed=3)), (drawn(24, 8), probs(24, 8))):
            for options in ({}, {"temperature": 0.2}):
                try:
                    function(*args, **options)
                except Exception:
                    continue
                yield f"{module.__name__.rpartition('.')[2]}.{name}", function, args, options
                break


def outcome(function: Callable[..., Any], args: Any, options: dict[str, Any]) -> list[Tensor]:
    """Values and the gradients of a fixed sum of them."""
    found = function(*args, **options)
    values = [x for x in (found if isinstance(found, tuple) else (found,)) if isinstance(x, Tensor)]
    leaves = [x for x in args if isinstance(x, Tensor) and x.requires_grad]
    learn = [x for x in values if x.requires_grad]
    if not learn or not leaves:
        return values
    weights = (torch.linspace(-1, 2, x.numel(), device=x.device).view_as(x) for x in learn)
    total = functools.reduce(
        torch.add, ((x * w).sum() for x, w in zip(learn, weights, strict=True))
    )
    grads = torch.autograd.grad(total, leaves, allow_unused=True)
    return values + [x for x in grads if x is not None]


def check(device: str, quick: bool) -> Found:
    """Values and gradients; then the views, and the votes of a whole memory."""
    known = set()
    for name, function, args, options in cases():
        if name in known or (quick and name in TRAINED):
            continue
        known.add(name)
        expected = outcome(function, args, options)
        found = apart(outcome(function, moved(args, device), options), expected)
        yield name, found <= BOUNDS.get(name, BOUND), "", {"largest difference": found}
    yield from examples(device)
    yield from votes(device)
    yield from views(device, ("cifar",) if quick else ("cifar", "imagenet", "digits"))


class Anywhere(doctest.OutputChecker):
    """Where a tensor is does not matter."""

    def check_output(self, want: str, got: str, optionflags: int) -> bool:
        """Whether both say the same but for the device."""
        return super().check_output(want, re.sub(r", device='cuda:\d+'", "", got), optionflags)


def examples(device: str) -> Found:
    """The examples in the docstrings of losses, assign and metrics, with all tensors there."""
    flags = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    for room in ("losses", "assign"):
        package = importlib.import_module(f"contsemi.{room}")
        for each in pkgutil.iter_modules(package.__path__):
            module = importlib.import_module(f"contsemi.{room}.{each.name}")
            for test in doctest.DocTestFinder(exclude_empty=True).find(module):
                if not test.examples:
                    continue
                test.globs.setdefault("torch", torch)
                said: list[str] = []
                with torch.device(device):
                    runner = doctest.DocTestRunner(Anywhere(), verbose=False, optionflags=flags)
                    failed = runner.run(test, out=said.append).failed
                remark = said[-1].strip().splitlines()[-1][:150] if failed and said else ""
                yield f"example of {test.name.removeprefix('contsemi.')}", not failed, remark, {}


def votes(device: str) -> Found:
    """A summary's votes, on the GPU without a wait."""
    from contsemi.memory.summary import Summary

    rows = torch.nn.functional.normalize(drawn(3000, 16, seed=5, grad=False), dim=1)
    labels = probs(3000, 6, seed=6)
    found = []
    draw = torch.Generator().manual_seed(0)
    summary = Summary(rows, labels, groups=40, rank=4, draw=draw)
    for place in ("cpu", device):
        for name, value in list(vars(summary).items()):
            setattr(summary, name, moved(value, place))
        asked = moved(drawn(20, 16, seed=7), place)
        with no_waits(place):
            said = summary.votes(asked, temperature=0.1, near=6)
            log_probs = said.log_probs()
        (log_probs * torch.linspace(-1, 1, 6, device=place)).sum().backward()
        found.append([log_probs, asked.grad])
    difference = apart(found[1], found[0])
    yield "Summary.votes", difference <= BOUND, "no wait", {"largest difference": difference}


class no_waits:
    """Raises where the host waits for a GPU inside the block."""

    def __init__(self, device: str) -> None:
        self.on = device.startswith("cuda")

    def __enter__(self) -> None:
        if self.on:
            torch.cuda.set_sync_debug_mode("error")

    def __exit__(self, *_: object) -> None:
        if self.on:
            torch.cuda.set_sync_debug_mode("default")


def views(device: str, names: Sequence[str]) -> Found:
    """Augmented views of the same draws."""
    from contsemi import compose
    from contsemi.views import Augment

    config = compose.load(["views=cifar"])
    draw = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (64, 3, 32, 32), generator=draw, dtype=torch.uint8)
    augment = Augment(config.views)
    here, there = augment.test(images), augment.test(images.to(device))
    difference = apart([there], [here])
    yield "test view", difference <= 1e-3, "", {"largest difference": difference}
    from contsemi.views.draws import Draws
    from contsemi.views.plan import draw_plan

    for name in names:
        config = compose.load([f"views={name}"])
        augment, source = Augment(config.views), torch.arange(64).repeat(2)
        for kind, policy in config.views.policies.items():
            plan = draw_plan(policy, Draws(draw, 128), 32, fill=config.views.mean)
            expected = augment.render(images, source, plan)
            with no_waits(device):
                made = augment.render(images.to(device), source.to(device), plan.to(device))
            away = ((made.cpu() - expected).abs() > 1e-3).double().mean().item()
            # a last bit may carry a value over a threshold or to another level of a histogram
            numbers = {"share of pixels that differ": away}
            yield f"views {name}.{kind}", away <= 1e-3, "no wait", numbers
