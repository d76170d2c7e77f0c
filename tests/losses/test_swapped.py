"""Swapped prediction against SwAV, Suave, DINO and Daino: losses and all gradients."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from contsemi.assign.centre import centred_softmax
from contsemi.assign.sinkhorn import sinkhorn
from contsemi.losses.cross_entropy import label_cross_entropy, soft_cross_entropy
from contsemi.losses.swapped import swapped_cross_entropy

REFERENCE = Path(__file__).parents[1] / "reference" / "core"
Data = dict[str, Any]


def files(pattern: str) -> list[str]:
    return sorted(path.stem for path in REFERENCE.glob(pattern))


def load(name: str) -> Data:
    with np.load(REFERENCE / f"{name}.npz") as arrays:
        return {key: torch.from_numpy(np.asarray(value)) for key, value in arrays.items()}


def close(found: Tensor, expected: Tensor, dtype: torch.dtype) -> None:
    rtol, atol = (1e-8, 1e-11) if dtype == torch.float64 else (2e-4, 2e-5)
    torch.testing.assert_close(
        found.detach().double(), expected.double(), rtol=rtol, atol=atol, check_stride=False
    )


def assign(data: Data, embeddings: Tensor, prototypes: Tensor, queue: Tensor | None) -> Tensor:
    """Soft classes of the two large views, with queues once they are full."""
    shares = []
    for view, rows in enumerate(embeddings.split(int(data["batch"]))):
        full = queue is not None and bool(queue[view, -1].any())
        past = queue[view] @ prototypes.T if queue is not None and full else None
        shares.append(
            sinkhorn(
                rows @ prototypes.T,
                epsilon=float(data["epsilon"]),
                iterations=int(data["iterations"]),
                queue=past,
            )
        )
    return torch.cat(shares)


def push(queue: Tensor, embeddings: Tensor, batch: int) -> Tensor:
    """Newest first, one queue for each large view."""
    return torch.cat([embeddings.unflatten(0, (2, batch)), queue[:, :-batch]], dim=1)


@pytest.mark.parametrize("name", files("swav_*.npz"))
def test_swav(name: str) -> None:
    data = load(name)
    batch, length = int(data["batch"]), int(data["queue_length"])
    queue = None
    for step in range(int(data["steps"])):
        feats = data[f"feats_{step}"].requires_grad_()
        prototypes = data["prototypes_normalised"].clone().requires_grad_()
        embeddings = F.normalize(feats, dim=1)
        large = embeddings.detach()[: 2 * batch]
        if length and queue is None:
            queue = torch.zeros(2, length, feats.shape[1], dtype=feats.dtype)
        loss = swapped_cross_entropy(
            embeddings @ prototypes.T,
            assign(data, large, prototypes, queue),
            batch_size=batch,
            temperature=float(data["temperature"]),
        )
        loss.backward()
        close(loss, data[f"loss_{step}"], feats.dtype)
        close(feats.grad, data[f"grad_feats_{step}"], feats.dtype)
        close(prototypes.grad, data[f"grad_prototypes_{step}"], feats.dtype)
        if queue is not None:
            queue = push(queue, large, batch)
            close(queue, data[f"queue_after_{step}"], feats.dtype)


@pytest.mark.parametrize("name", [n for n in files("suave_*.npz") if "mixup" not in n])
def test_suave(name: str) -> None:
    data = load(name)
    batch, labelled, length = (int(data[k]) for k in ("batch", "lab_batch", "queue_length"))
    temperature, queue = float(data["temperature"]), None
    for step in range(int(data["steps"])):
        feats = data[f"feats_{step}"].requires_grad_()
        prototypes = data["prototypes_normalised"].clone().requires_grad_()
        embeddings = F.normalize(feats, dim=1)
        scores = embeddings @ prototypes.T
        large, deciding = embeddings.detach()[labelled : labelled + 2 * batch], prototypes
        if "ema_prototypes_raw" in data:
            large = F.normalize(data[f"ema_feats_{step}"], dim=1)
            deciding = F.normalize(data["ema_prototypes_raw"], dim=1)
        if length and queue is None:
            queue = torch.zeros(2, length, feats.shape[1], dtype=feats.dtype)
        clustering = swapped_cross_entropy(
            scores[labelled:],
            assign(data, large, deciding, queue),
            batch_size=batch,
            temperature=temperature,
        )
        labels = label_cross_entropy(
            scores[:labelled],
            data[f"labels_{step}"],
            temperature=temperature,
            smoothing=float(data["label_smoothing"]),
        )
        probe = sum(
            label_cross_entropy(
                data[f"online_logits_{step}_{i}"],
                data[f"labels_{step}"],
                temperature=1.0,
                smoothing=float(data["label_smoothing"]),
            )
            for i in range(int(data["n_online_heads"]))
        )
        rows = batch * int(data["n_views"])
        # The probes count labelled rows too, beside the total in which each view counts once.
        total = (rows * clustering + labelled * (labels + probe)) / (rows + labelled)
        total.backward()
        close(clustering, data[f"unlab_loss_{step}"], feats.dtype)
        close(labels, data[f"lab_loss_{step}"], feats.dtype)
        close(total, data[f"loss_{step}"], feats.dtype)
        close(feats.grad, data[f"grad_feats_{step}"], feats.dtype)
        close(prototypes.grad, data[f"grad_prototypes_{step}"], feats.dtype)
        if queue is not None:
            queue = push(queue, large, batch)


def test_suave_with_mixed_images() -> None:
    data = load("suave_mixup_f64")
    batch, temperature = int(data["batch"]), float(data["temperature"])
    for step in range(int(data["steps"])):
        prototypes = data["prototypes_normalised"]
        scores = F.normalize(data[f"feats_{step}"], dim=1) @ prototypes.T
        rows = len(data[f"labels_{step}"])
        labels = soft_cross_entropy(scores[:rows], data[f"labels_{step}"], temperature=temperature)
        smoothing = float(data["label_smoothing"])
        even = torch.full_like(data[f"labels_{step}"], 1 / scores.shape[1])
        spread = soft_cross_entropy(scores[:rows], even, temperature=temperature)
        labels = (1 - smoothing) * labels + smoothing * spread
        views = scores[rows:].split(batch)
        plain = torch.cat([view for i, view in enumerate(views) if i != 2])
        large = F.normalize(data[f"feats_{step}"], dim=1)[rows : rows + 2 * batch]
        targets = assign(data, large, prototypes, None)
        clustering = swapped_cross_entropy(
            plain, targets, batch_size=batch, temperature=temperature
        )
        first, second = targets.split(batch)
        share = float(data[f"mix_lambda_unlab_{step}"])
        mixed = soft_cross_entropy(
            views[2], share * first + (1 - share) * second.flip(0), temperature=temperature
        )
        close(clustering, data[f"unlab_loss_{step}"], torch.float64)
        close(labels, data[f"lab_loss_{step}"], torch.float64)
        close(mixed, data[f"mixed_unlab_loss_{step}"], torch.float64)


@pytest.mark.parametrize("name", files("dino_*.npz"))
def test_dino(name: str) -> None:
    data = load(name)
    centre = data["center"][0]
    for step in range(int(data["steps"])):
        student = data[f"student_{step}"].requires_grad_()
        targets, centre = centred_softmax(
            data[f"teacher_{step}"],
            centre,
            temperature=float(data["teacher_temp"][step]),
            momentum=float(data["center_momentum"]),
        )
        loss = swapped_cross_entropy(
            student, targets, batch_size=int(data["batch"]), temperature=float(data["student_temp"])
        )
        loss.backward()
        close(loss, data["loss"][step], student.dtype)
        close(student.grad, data[f"grad_student_{step}"], student.dtype)


def daino_head(feats: Tensor, data: Data, side: str, suffix: str) -> Tensor:
    """Linear, normalise, weight-normed linear, as in the official head."""
    get = lambda part: data[f"{side}_head_{part}{suffix}"]  # noqa: E731
    hidden = F.normalize(F.linear(feats, get("mlp.weight"), get("mlp.bias")), dim=1)
    directions = F.normalize(get("last_layer.weight_v"), dim=1)
    return F.linear(hidden, get("last_layer.weight_g") * directions)


@pytest.mark.parametrize("name", files("daino_*.npz"))
def test_daino(name: str) -> None:
    data = load(name)
    batch, labelled = int(data["batch"]), int(data["lab_batch"])
    centre, temperature = data["center"][0], float(data["student_temp"])
    rows = batch * int(data["n_views"])
    for step in range(int(data["steps"])):
        feats = data[f"student_feats_{step}"].requires_grad_()
        scores = daino_head(feats, data, "student", "")
        targets, centre = centred_softmax(
            daino_head(data[f"teacher_feats_{step}"], data, "teacher", f"_{step}"),
            centre,
            temperature=float(data[f"teacher_temp_{step}"]),
            momentum=float(data["center_momentum"]),
        )
        clustering = swapped_cross_entropy(
            scores[labelled:], targets, batch_size=batch, temperature=temperature
        )
        labels = label_cross_entropy(
            scores[:labelled],
            data[f"labels_{step}"],
            temperature=temperature,
            smoothing=float(data["label_smoothing"]),
        )
        total = (rows * clustering + labelled * labels) / (rows + labelled)
        total.backward()
        close(total, data[f"loss_{step}"], feats.dtype)
        close(feats.grad, data[f"grad_student_feats_{step}"], feats.dtype)
        close(centre, data["center"][step + 1], feats.dtype)


def test_is_the_mean_over_pairs_of_views() -> None:
    draw = torch.Generator().manual_seed(0)
    scores = torch.randn(5, 4, 3, generator=draw, dtype=torch.float64)
    targets = torch.randn(3, 4, 3, generator=draw, dtype=torch.float64).softmax(2)
    pairs = [
        soft_cross_entropy(scores[v], targets[i], temperature=0.2)
        for i in range(3)
        for v in range(5)
        if v != i
    ]
    found = swapped_cross_entropy(
        scores.flatten(0, 1), targets.flatten(0, 1), batch_size=4, temperature=0.2
    )
    torch.testing.assert_close(found, torch.stack(pairs).mean())


def test_gradients_reach_scores_and_not_targets() -> None:
    draw = torch.Generator().manual_seed(0)
    scores = torch.randn(6, 3, generator=draw, dtype=torch.float64, requires_grad=True)
    targets = torch.rand(4, 3, generator=draw, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda x: swapped_cross_entropy(x, targets.detach(), batch_size=2, temperature=0.5),
        (scores,),
    )
    swapped_cross_entropy(scores, targets, batch_size=2, temperature=0.5).backward()
    assert targets.grad is None


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_finite_at_large_scores(dtype: torch.dtype) -> None:
    scores = torch.tensor([[1e4, -1e4], [-1e4, 1e4], [1e4, 1e4]], dtype=dtype, requires_grad=True)
    loss = swapped_cross_entropy(scores, torch.eye(2), batch_size=1, temperature=0.1)
    loss.backward()
    assert loss.dtype == torch.float32 and loss.isfinite()
    assert scores.grad is not None and scores.grad.isfinite().all()


def test_limits_are_zero_with_a_graph() -> None:
    for rows, classes, batch in ((4, 1, 2), (2, 3, 2), (0, 3, 0)):
        scores = torch.randn(rows, classes, requires_grad=True)
        targets = torch.full((min(rows, 2), classes), 1 / classes)
        loss = swapped_cross_entropy(scores, targets, batch_size=batch, temperature=0.1)
        loss.backward()
        assert loss == 0  # one class, one view, no image


@pytest.mark.parametrize(("rows", "targets"), [(5, 4), (4, 3), (2, 4), (4, 0)])
def test_rows_that_are_no_views_are_an_error(rows: int, targets: int) -> None:
    with pytest.raises(ValueError, match="not whole views"):
        swapped_cross_entropy(
            torch.zeros(rows, 3), torch.zeros(targets, 3), batch_size=2, temperature=0.1
        )
