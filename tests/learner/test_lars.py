"""LARS against the three official versions, step by step."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from contsemi.learner.lars import Lars

REFERENCE = sorted((Path(__file__).parents[1] / "reference" / "core").glob("lars_*.npz"))
VARIANTS: dict[str, dict[str, bool]] = {
    "paws": {"fold_rate": True, "joint_norm": False},
    "suave": {"fold_rate": False, "joint_norm": False},
    "dino": {"fold_rate": False, "joint_norm": True},
}
CASES = [
    (path, name)
    for path in REFERENCE
    for name in VARIANTS
    if f"{name}_param0_after0" in np.load(path)
]


def lars(params: Any, **changes: Any) -> Lars:
    defaults: dict[str, Any] = {
        "lr": 0.1,
        "momentum": 0.9,
        "weight_decay": 0.01,
        "trust": 0.001,
        "nesterov": False,
        "fold_rate": True,
        "joint_norm": False,
    }
    return Lars(params, **(defaults | changes))


def test_reference_files_hold_all_variants() -> None:
    assert len(REFERENCE) == 3 and len(CASES) == 8


@pytest.mark.parametrize(
    ("path", "variant"), CASES, ids=lambda value: getattr(value, "stem", value)
)
def test_equals_official(path: Path, variant: str) -> None:
    data = np.load(path)
    params = [nn.Parameter(torch.from_numpy(data[f"param{i}"])) for i in range(data["n_params"])]
    excluded = set() if variant == "suave" else set(data["excluded"].tolist())
    groups: list[dict[str, Any]] = [
        {"params": [p for i, p in enumerate(params) if i not in excluded]},
        {"params": [params[i] for i in excluded], "adapt": False, "weight_decay": 0.0},
    ]
    optimizer = lars(
        groups,
        momentum=float(data["momentum"]),
        weight_decay=float(data["weight_decay"]),
        trust=float(data["trust"]),
        nesterov=bool(data["nesterov"]),
        **VARIANTS[variant],
    )
    wide = params[0].dtype == torch.float64
    for step, rate in enumerate(data["lrs"]):
        for i, param in enumerate(params):
            param.grad = torch.from_numpy(data[f"grad{i}_step{step}"])
        for group in optimizer.param_groups:
            group["lr"] = float(rate)
        optimizer.step()
        for i, param in enumerate(params):
            np.testing.assert_allclose(
                param.detach(),
                data[f"{variant}_param{i}_after{step}"],
                rtol=1e-10 if wide else 2e-4,
                atol=1e-13 if wide else 2e-6,
            )


def test_length_of_a_step_is_a_share_of_the_tensor() -> None:
    param = nn.Parameter(torch.randn(4, 3, generator=torch.Generator().manual_seed(0)))
    before = param.detach().clone()
    param.grad = 1e4 * torch.randn(4, 3, generator=torch.Generator().manual_seed(1))
    lars([param], weight_decay=0.0).step()
    length = (param.detach() - before).norm() / before.norm()
    torch.testing.assert_close(length, torch.tensor(0.1 * 0.001), rtol=1e-4, atol=0)


@pytest.mark.parametrize("joint_norm", [False, True])
def test_zeros_stay_finite(joint_norm: bool) -> None:
    zero, still = nn.Parameter(torch.zeros(2, 2)), nn.Parameter(torch.ones(2, 2))
    zero.grad, still.grad = torch.ones(2, 2), torch.zeros(2, 2)
    lars([zero, still], joint_norm=joint_norm).step()
    torch.testing.assert_close(zero.detach(), torch.full((2, 2), -0.1))  # the plain gradient
    assert still.isfinite().all()


def test_gradients_are_read_only_and_missing_ones_skipped() -> None:
    used, unused = nn.Parameter(torch.ones(2, 2)), nn.Parameter(torch.ones(2, 2))
    used.grad = torch.ones(2, 2)
    lars([used, unused], nesterov=True).step()
    assert torch.equal(used.grad, torch.ones(2, 2))
    assert torch.equal(unused.detach(), torch.ones(2, 2)) and (used != 1).all()


def test_closure_is_called_with_gradients() -> None:
    param = nn.Parameter(torch.ones(2, 2))

    def closure() -> float:
        loss = param.square().sum()
        loss.backward()
        return loss.item()

    assert lars([param]).step(closure) == 4.0 and (param != 1).all()


@pytest.mark.parametrize("joint_norm", [False, True])
def test_does_not_wait_for_the_device(joint_norm: bool) -> None:
    """Tensors without data: whatever would read a value back, an ``if norm > 0`` say, raises."""
    params = [nn.Parameter(torch.empty(3, 2, device="meta")) for _ in range(2)]
    for param in params:
        param.grad = torch.empty(3, 2, device="meta")
    optimizer = lars(params, joint_norm=joint_norm, nesterov=True)
    optimizer.step()
    assert all(optimizer.state[param]["momentum_buffer"].is_meta for param in params)
