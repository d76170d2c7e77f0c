"""Optimisers from the configuration, and their state, by name, through growing heads."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from contsemi.config import Optim
from contsemi.devices.scaling import Scaling
from contsemi.errors import InputError
from contsemi.learner import schedules
from contsemi.learner.eager import SGD, AdamW
from contsemi.learner.lars import Lars

SLOTS = {"adamw": 2, "sgd": 1, "lars": 1}  # copies of every weight that an optimiser keeps
TRUST = 1e-3  # of LARS, in all published code
SHORTCUT_NORM = re.compile(r"\.(shortcut|downsample)\.1\.weight$")  # as the backbones name it

State = dict[str, dict[str, Tensor]]


def make(optim: Optim, modules: Sequence[nn.Module]) -> torch.optim.Optimizer:
    """The optimiser of all parameters of the modules that take a gradient.

    Biases, norms and other tensors of one dimension are neither decayed nor adapted by LARS, unless
    ``optim.adapt_vectors`` is set, or ``optim.adapt_shortcut_norms`` for the scales of the norms of
    shortcuts, which the official code of PAWS and NNCSL does not know for norms by their name. With
    ``optim.classifier_lr`` the classifier is a group of its own: its rate follows the same curve up
    to that peak, and it is not decayed; with ``optim.backbone_lr`` the backbone has a peak of its
    own. LARS is that of PAWS and NNCSL.

    Args:
        optim: the configuration.
        modules: in an order that stays the same from task to task: with the position and the
            parameter's own name it names the state.

    Raises:
        InputError: there is no parameter.
    """
    named: dict[str, nn.Parameter] = {}
    seen: set[int] = set()
    for i, module in enumerate(modules):
        for name, param in module.named_parameters():
            if param.requires_grad and id(param) not in seen:
                seen.add(id(param))
                named[f"{i}.{name}"] = param
    groups = _groups(optim, named)
    if not groups:
        raise InputError("model.name", "the model has no parameter to train", "use another model")
    decay = optim.weight_decay
    if optim.name == "adamw":
        return AdamW(groups, lr=optim.lr, weight_decay=decay, fused=True)
    if optim.name == "sgd":
        sgd = SGD(
            groups,
            lr=optim.lr,
            momentum=optim.momentum,
            nesterov=optim.nesterov,
            weight_decay=decay,
            fused=True,
        )
        _rest(sgd)
        return sgd
    return Lars(
        groups,
        lr=optim.lr,
        momentum=optim.momentum,
        weight_decay=decay,
        trust=TRUST,
        nesterov=False,
        fold_rate=True,
        joint_norm=False,
    )


def _groups(optim: Optim, named: Mapping[str, nn.Parameter]) -> list[dict[str, Any]]:
    """Matrices, vectors, the classifier where it has a rate of its own, likewise the backbone's."""
    kinds: dict[str, list[tuple[str, nn.Parameter]]] = {
        kind: [] for kind in ("matrix", "vector", "own", "backbone matrix", "backbone vector")
    }
    for name, param in named.items():
        adapted = optim.adapt_shortcut_norms and SHORTCUT_NORM.search(name)
        plain = param.ndim <= 1 and not (optim.adapt_vectors or adapted)
        kind = "vector" if plain else "matrix"
        if optim.classifier_lr is not None and ".classifier." in f".{name}":
            kind = "own"
        elif optim.backbone_lr is not None and ".backbone." in f".{name}":
            kind = f"backbone {kind}"
        kinds[kind].append((name, param))
    groups: list[dict[str, Any]] = []
    for kind, params in kinds.items():
        group: dict[str, Any] = {"params": params}
        group |= {"decays": True} if kind.endswith("matrix") else {"weight_decay": 0.0}
        if kind.endswith("vector") and optim.name == "lars":
            group["adapt"] = False
        own = optim.classifier_lr if kind == "own" else optim.backbone_lr
        if own is not None and kind not in ("matrix", "vector"):
            group["scale"] = own / optim.lr
        groups.append(group)
    return [group for group in groups if group["params"]]


def drop_gradients(optimizer: torch.optim.Optimizer) -> None:
    """No parameter has a gradient.

    That is the optimiser's ``zero_grad``, whose bookkeeping costs more than a small network's step.
    """
    for group in optimizer.param_groups:
        for param in group["params"]:
            param.grad = None


def step(
    optimizer: torch.optim.Optimizer,
    optim: Optim,
    done: int,
    total: int,
    scaling: Scaling | None = None,
) -> None:
    """One step, with the learning rate, weight decay and clipping of its place in the task.

    Args:
        optimizer: its parameters have their gradients.
        optim: the configuration.
        done: steps of this task already done.
        total: steps of the whole task.
        scaling: which has made the gradients; ``None`` where the loss was as it is.
    """
    rate = schedules.learning_rate(optim, done, total)
    for group in optimizer.param_groups:
        group["lr"] = rate * group.get("scale", 1.0)
        if group.get("decays") and optim.final_weight_decay is not None:
            group["weight_decay"] = schedules.cosine(
                done, total_steps=total, start=optim.weight_decay, end=optim.final_weight_decay
            )
    if scaling is not None:
        scaling.unscale(optimizer)
    if optim.clip > 0:
        params = [p for group in optimizer.param_groups for p in group["params"]]
        if optim.clip_by == "all":
            nn.utils.clip_grad_norm_(params, optim.clip)
        else:
            _clip_each([p.grad for p in params if p.grad is not None], optim.clip)
    if scaling is None:
        optimizer.step()
    else:
        scaling.step(optimizer)


def _clip_each(grads: list[Tensor], largest: float) -> None:
    """Shortens each gradient to a norm, as DINO does; nothing waits for the device."""
    norms = torch.stack(torch._foreach_norm(grads))
    factors = (largest / (norms + 1e-6)).clamp(max=1.0)
    torch._foreach_mul_(grads, list(factors.unbind()))


def state(optimizer: torch.optim.Optimizer) -> State:
    """Name of a parameter -> name of a tensor -> that tensor; not copied."""
    return {
        name: dict(optimizer.state[param])
        for name, param in _named(optimizer).items()
        if param in optimizer.state
    }


def restore(optimizer: torch.optim.Optimizer, saved: Mapping[str, Mapping[str, Tensor]]) -> None:
    """Gives each parameter its saved state by name; new rows of grown parameters start at zero.

    Args:
        optimizer: made by :func:`make`.
        saved: as of :func:`state`, of an optimiser of the same kind, of the same parameters or of
            smaller ones. Parameters that it lacks start anew.
    """
    complete = optimizer.state_dict()
    complete["state"] = {
        i: {key: _fitted(value, param) for key, value in saved[name].items()}
        for i, (name, param) in enumerate(_named(optimizer).items())
        if name in saved
    }
    optimizer.load_state_dict(complete)
    _rest(optimizer)


def _rest(optimizer: torch.optim.Optimizer) -> None:
    """Parameters without momentum have zeros, which torch's fused SGD cannot do without.

    A head may get its first gradient long after the others: the mean of nothing is no motion.
    """
    if not isinstance(optimizer, torch.optim.SGD):
        return
    for group in optimizer.param_groups:
        for param in group["params"] if group["momentum"] else ():
            state: dict[str, Tensor] = optimizer.state[param]
            if state.get("momentum_buffer") is None:
                state["momentum_buffer"] = torch.zeros_like(param)


def _named(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Parameters by name, in the order in which ``state_dict`` counts them."""
    return {
        name: param
        for group in optimizer.param_groups
        for name, param in zip(group["param_names"], group["params"], strict=True)
    }


def _fitted(value: Tensor, param: Tensor) -> Tensor:
    """A copy in the shape and memory format of ``param``; counters stay as they are."""
    if value.ndim != param.ndim:
        return value.clone()
    fitted = torch.zeros_like(param, dtype=value.dtype)
    fitted[tuple(slice(size) for size in value.shape)] = value.to(param.device)
    return fitted
