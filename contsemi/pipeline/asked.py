"""What a run asks of the machine's own memory, found before anything of it is made.

The networks are built on torch's ``meta`` device, where a tensor has a shape and no memory, and the
backbone is run there to see what a step keeps for its gradients. All of it is a lower bound.
"""

import warnings
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

import torch
from torch import Tensor, nn

from contsemi.blocks.bank import Bank
from contsemi.config import Config
from contsemi.errors import InputError
from contsemi.learner import parts
from contsemi.learner.kept import network_bytes
from contsemi.learner.optimisers import SLOTS
from contsemi.models import build_backbone
from contsemi.objectives.objective import Objective
from contsemi.seeding import generator
from contsemi.storage.host import free_bytes, gigabytes
from contsemi.types import Needs

_SMALL = 4096  # numbers below it make no network that a computer of today has no room for
_SMALL_VIEWS = 1 << 26  # bytes
_KNOWN = {"digits": 1437, "cifar10": 50_000, "cifar100": 50_000}  # training images
_UNKNOWN = 256


def refuse_without_room(
    config: Config,
    given: Mapping[str, Any],
    images: int | None = None,
    ranks: int = 1,
    *,
    what: str = "the run",
    fix: str = "lower it, or run it on a larger machine",
) -> None:
    """Refuses a run that the machine has no memory for.

    Args:
        config: the run.
        given: keys of the command line -> the values that they have without it, of which the one
            at fault is named.
        images: for training, where they are known.
        ranks: processes that share the rows of a step.
        what: asks for the memory.
        fix: what to do about it.

    Raises:
        InputError: it asks for more than is free; the message names the key and how much.
    """
    images = images or _KNOWN.get(config.scenario.dataset, _UNKNOWN)
    if _surely_small(config, images):
        return
    free = free_bytes()
    asked = asked_bytes(config, images, ranks)
    total = sum(asked.values())
    if free is None or total <= free:
        return
    key = _at_fault(config, given, images, ranks, total) or max(asked, key=lambda k: asked[k])
    problem = f"{what} asks for about {gigabytes(total)} of memory, and {gigabytes(free)} are free"
    raise InputError(key, f"{problem} on this machine", fix)


def asked_bytes(config: Config, images: int, ranks: int = 1) -> dict[str, int]:
    """Bytes of a run's networks, and of a training step, by the keys that decide on them.

    Args:
        config: the run.
        images: for training.
        ranks: processes that share the rows of a step.

    Returns:
        Empty where it cannot be told, as for a part that is at fault: that is said elsewhere.
    """
    quiet = warnings.catch_warnings(action="ignore")  # of networks that never are
    with suppress(Exception), quiet, torch.device("meta"):
        if config.is_baseline:  # its backbone, with gradients and an optimiser
            backbone = build_backbone(config.model, generator(0, "asked"))
            return {"model": network_bytes(backbone) * 3}
        return _all(config, images, ranks)
    return {}


def _all(config: Config, images: int, ranks: int) -> dict[str, int]:
    objective, _ = parts.build_part(config.objective, Objective)
    distiller, _ = parts.build_distiller(config.distiller)
    needs = parts.all_needs(objective, distiller, config.views)
    network = parts.build_network(
        config.model_copy(update={"init": config.init.model_copy(update={"weights": None})}), needs
    )
    copies = 1 + (1 + SLOTS[config.optim.name]) * needs.trains
    copies += (needs.teacher is not None) + needs.pasts + (needs.start > 0)
    found = {"model": network_bytes(network.backbone) * (1 if network.frozen else copies)}
    for name, child in network.named_children():
        if child is not network.backbone:
            key = name if name in ("projector", "predictor") else "objective"
            found[key] = found.get(key, 0) + network_bytes(child) * copies
    width = config.projector[-1]
    banks = [each for each in objective.modules() if isinstance(each, Bank)]
    found["objective"] = found.get("objective", 0) + sum(4 * bank.slots * width for bank in banks)
    for key, number in _step(config, needs, network.backbone, images, ranks):
        found[key] = found.get(key, 0) + number
    return found


def _step(
    config: Config, needs: Needs, backbone: nn.Module, images: int, ranks: int
) -> Iterator[tuple[str, int]]:
    """The views of a step, and what the backbone keeps of those that it learns from."""
    pool = images
    if config.scenario.unlabelled == "current" and config.scenario.tasks:
        pool = images // config.scenario.tasks
    rows = {
        "unlabelled": min(config.batch.unlabelled, pool),
        "labelled": needs.supports_per_class or config.batch.labelled,
        "coarse": 0,
    }
    side = config.data.size or 0
    yield "data.size", sum(rows.values()) // ranks * 3 * side * side
    tested, side = min(config.batch.test, images // 5), config.views.test_size
    yield "views.test_size", tested // ranks * 3 * side * side * 4
    for view in needs.views.values():
        if view.mix is not None or view.policy not in config.views.policies:
            continue
        side = config.views.policies[view.policy].size
        number = -(-rows[view.rows] * view.number // ranks)
        key = f"views.policies.{view.policy}.size"
        yield key, number * 3 * side * side * 4
        if "student" in view.seen_by and view.gradient:
            each = _kept(backbone, side) / 2  # at half precision, where it runs so
            yield key, int(number * each / max(1, config.batch.pieces))


def _kept(backbone: nn.Module, side: int) -> float:
    """Bytes that a pass keeps of an image for its gradients, in float32."""
    weights = {each.untyped_storage()._cdata for each in backbone.parameters()}
    kept: dict[int, torch.UntypedStorage] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in weights:
            kept[storage._cdata] = storage
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        output = backbone.train()(torch.zeros(2, 3, side, side))
    del output
    return sum(storage.nbytes() for storage in kept.values()) / 2


def _surely_small(config: Config, images: int) -> bool:
    """Whether no number is large, so that nothing need be built to see that there is room."""
    product = 1
    for value in config.model.values():
        numbers = value if isinstance(value, list) else [value]
        whole = [n for n in numbers if isinstance(n, int) and not isinstance(n, bool)]
        product *= max(sum(whole), 1)
    sections = [config.objective, config.distiller, {"widths": config.projector}]
    largest = max((n for section in sections for n in _numbers(section)), default=0)
    sides = [policy.size for policy in config.views.policies.values()]
    sides += [config.views.test_size, config.data.size or 0]
    rows = min(config.batch.unlabelled, images) + config.batch.labelled
    count = sum(n for n in _numbers(config.objective) if n < _SMALL)
    views = rows * (1 + count) * 12 * max(sides, default=1) ** 2
    return max(product, largest, *(config.predictor or [0])) < _SMALL and views < _SMALL_VIEWS


def _numbers(section: Mapping[str, Any]) -> Iterator[int]:
    for value in section.values():
        for each in value if isinstance(value, list) else [value]:
            if isinstance(each, int) and not isinstance(each, bool):
                yield each


def _at_fault(
    config: Config, given: Mapping[str, Any], images: int, ranks: int, total: int
) -> str | None:
    """The key of the command line without which the run asks for least."""
    without = {}
    plain = config.model_dump()
    for key, before in given.items():
        with suppress(Exception):  # a value of another section's file, or one that is checked
            other = asked_bytes(Config.model_validate(_with(plain, key, before)), images, ranks)
            without[key] = sum(other.values()) if other else total
    least = min(without, key=lambda key: without[key], default=None)
    return least if least is not None and without[least] < total else None


def _with(plain: Mapping[str, Any], key: str, value: Any) -> dict[str, Any]:
    """The values with another one at a dotted key."""
    head, _, rest = key.partition(".")
    return {**plain, head: _with(plain[head], rest, value) if rest else value}
