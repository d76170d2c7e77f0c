"""CaSSLe's contrastive and decorrelative losses, from its predictions on, and SimReg's values."""

from pathlib import Path

import numpy as np
import pytest
import torch

from contsemi.losses.decorrelation import decorrelation
from contsemi.losses.mutual_contrast import mutual_contrast
from contsemi.losses.scaled_regression import scaled_regression
from contsemi.losses.sphere import sphere_regression

REFERENCE = Path(__file__).parents[1] / "reference" / "parts"


def of(kind):
    paths = sorted(REFERENCE.glob(f"cassle_{kind}_*.npz"))
    return [path for path in paths if "p1" in np.load(path, allow_pickle=False)]


def rows(data):
    return [torch.from_numpy(data[name]) for name in ("p1", "p2", "frozen_z1", "frozen_z2")]


def close(found, expected):
    rtol = 1e-9 if found.dtype == torch.float64 else 1e-4
    np.testing.assert_allclose(found, expected, rtol=rtol)


def test_reference_files_are_there():
    assert [len(of(k)) for k in ("predictive", "contrastive", "decorrelative")] >= [2, 3, 1]


@pytest.mark.parametrize("path", of("contrastive"), ids=lambda path: path.stem)
def test_contrast_equals_the_official_code(path):
    data = np.load(path, allow_pickle=False)
    one, two, past_one, past_two = rows(data)
    loss = mutual_contrast(
        torch.cat([one, two]),
        torch.cat([past_one, past_two]),
        temperature=float(data["temperature"]),
    )
    close(loss, data["distill_loss"])


@pytest.mark.parametrize("path", of("decorrelative"), ids=lambda path: path.stem)
def test_decorrelation_equals_the_official_code(path):
    data = np.load(path, allow_pickle=False)
    one, two, past_one, past_two = rows(data)
    options = {
        "off_diagonal": float(data["distill_barlow_lamb"]),
        "scale": float(data["distill_scale_loss"]),
    }
    losses = [
        decorrelation(now, then, **options) for now, then in ((one, past_one), (two, past_two))
    ]
    close(sum(losses) / 2, data["distill_loss"])


@pytest.mark.parametrize("path", of("predictive"), ids=lambda path: path.stem)
def test_regression_equals_the_official_code(path):
    data = np.load(path, allow_pickle=False)
    one, two, past_one, past_two = rows(data)
    loss = sphere_regression(torch.cat([one, two]), torch.cat([past_one, past_two]))
    close(loss, data["distill_loss"])


def test_zero_two_four():
    here, there = torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 3.0]])
    assert sphere_regression(here, 5 * here) == 0
    assert sphere_regression(here, there) == 2
    assert sphere_regression(here, -here) == 4
    assert sphere_regression(here, torch.zeros(1, 2)) == 2


def test_scaled_regression_has_no_unit():
    draw = torch.Generator().manual_seed(0)
    now, then = torch.randn(2, 6, 3, generator=draw, dtype=torch.float64)
    expected = torch.nn.functional.mse_loss(now, then) / then.var(0, correction=0).mean()
    torch.testing.assert_close(
        scaled_regression(now, then),
        expected,
    )
    torch.testing.assert_close(scaled_regression(9 * now, 9 * then), expected)


@pytest.mark.parametrize("number", [0, 1])
def test_few_rows_are_finite(number):
    now = torch.ones(number, 3, requires_grad=True)
    then = torch.zeros(number, 3)
    for loss in (
        sphere_regression(now, then),
        scaled_regression(now, then),
        decorrelation(now, then, off_diagonal=1.0, scale=1.0),
        mutual_contrast(now, then, temperature=0.1),
    ):
        (grad,) = torch.autograd.grad(loss, now)
        assert loss.isfinite() and grad.isfinite().all()
        assert number or loss == 0


@pytest.mark.parametrize(
    "path", sorted(REFERENCE.glob("cassle_losses_*.npz")), ids=lambda p: p.stem
)
def test_equal_and_opposite_rows_are_as_in_the_official_code(path):
    data = np.load(path, allow_pickle=False)
    now = torch.cat([torch.from_numpy(data["z1"]), torch.from_numpy(data["z2"])])
    for kind, then in (("equal", now), ("opposite", -now)):
        loss = mutual_contrast(now, then, temperature=float(data["temperature"]))
        np.testing.assert_allclose(loss, data[f"contrastive_{kind}"], rtol=1e-9)
        np.testing.assert_allclose(sphere_regression(now, then), data[f"byol_{kind}"], atol=1e-12)
