"""NNCSL's whole loss block, term by term and gradient by gradient, against the official code."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from contsemi.losses.cross_entropy import cross_entropy, label_cross_entropy, smooth_labels
from contsemi.losses.distil import feature_distillation, nearest_neighbour_distillation
from contsemi.losses.nearest import soft_nearest_neighbours
from contsemi.losses.paws import mean_entropy_maximisation, sharpened_targets

REFERENCE = sorted((Path(__file__).parents[1] / "reference" / "core").glob("nncsl_*.npz"))


class Block:
    """The terms of one training step of NNCSL, made of our pieces."""

    def __init__(self, path: Path) -> None:
        self.data = np.load(path)
        self.h, self.logits, self.h_proj = (
            torch.from_numpy(self.data[name]).requires_grad_() for name in ("h", "logits", "h_proj")
        )
        self.h_prev = torch.from_numpy(self.data["h_prev"])
        self.supports, self.batch = int(self.data["num_support"]), int(self.data["batch"])
        self.labels = torch.from_numpy(self.data["support_labels"])
        self.seen, width = int(self.data["num_seen"]), int(self.data["classes_per_task"])
        self.old = width * int(self.data["task_idx"])
        self.first = self.old if self.data["mask"] else 0

    def votes(self, h: Tensor, first: int, last: int) -> Tensor:
        """Log-probabilities of all anchors over the supports of classes [first, last)."""
        chosen = (self.labels >= first) & (self.labels < last)
        labels = smooth_labels(
            self.labels[chosen] - first, last - first, smoothing=float(self.data["smoothing"])
        ).to(h.dtype)
        supports, anchors = h[: self.supports][chosen], h[self.supports :]
        temperature = float(self.data["tau"])
        # float64 labels from float32 ones are off by 1e-9: the official matrix is made anew.
        labels = labels if h.dtype == torch.float32 else self._exact(labels)
        return soft_nearest_neighbours(anchors, supports, labels, temperature=temperature)

    def _exact(self, labels: Tensor) -> Tensor:
        smoothing, classes = float(self.data["smoothing"]), labels.shape[1]
        hard = torch.nn.functional.one_hot(labels.argmax(1), classes).double()
        return hard * (1 - smoothing) + smoothing / classes

    def terms(self) -> dict[str, Tensor]:
        sharpening = float(self.data["T"])
        log_probs = self.votes(self.h, self.first, self.seen)
        large = log_probs.detach()[: 2 * self.batch]
        targets = sharpened_targets(
            large,
            batch_size=self.batch,
            small_views=int(self.data["multicrop"]),
            sharpening=sharpening,
        )
        terms = {
            "paws_loss": cross_entropy(log_probs, targets),
            "me_max": mean_entropy_maximisation(log_probs, sharpening=sharpening),
            "online_ce": label_cross_entropy(
                self.logits[: self.supports, : self.seen],
                self.labels,
                temperature=1.0,
                smoothing=0.0,
            ),
        }
        if self.old:
            now, then = self.votes(self.h, 0, self.old), self.votes(self.h_prev, 0, self.old)
            terms["nnd_loss"] = nearest_neighbour_distillation(now, then)
            terms["feat_mse"] = feature_distillation(self.h_proj, self.h_prev)
        return terms

    def close(self, found: Tensor, name: str) -> None:
        wide = self.h.dtype == torch.float64
        rtol, atol = (1e-6, 1e-10) if wide else (2e-4, 2e-5)
        expected = self.data[name]
        np.testing.assert_allclose(found.detach(), expected, rtol=rtol, atol=atol, err_msg=name)


@pytest.fixture(params=REFERENCE, ids=lambda path: path.stem)
def block(request: pytest.FixtureRequest) -> Block:
    return Block(request.param)


def test_reference_files_are_there() -> None:
    assert len(REFERENCE) == 6


def test_terms_equal_official(block: Block) -> None:
    for name, term in block.terms().items():
        block.close(term, name)


def test_votes_equal_official(block: Block) -> None:
    cases = [(block.h, block.first, block.seen, "probs")]
    if block.old:
        cases.append((block.h, 0, block.old, "nnd_cur_probs"))
        cases.append((block.h_prev, 0, block.old, "nnd_pre_probs"))
    for h, first, last, name in cases:
        chosen = block.labels[(block.labels >= first) & (block.labels < last)]
        order = chosen[: last - first] - first  # official columns: the batch's own class order
        block.close(block.votes(h, first, last).exp()[:, order], name)


@pytest.mark.parametrize(
    ("term", "gradient"),
    [
        ("paws_loss", "grad_h_paws"),
        ("me_max", "grad_h_me_max"),
        ("nnd_loss", "grad_h_nnd"),
        ("online_ce", "grad_logits_online"),
    ],
)
def test_gradients_of_terms_equal_official(block: Block, term: str, gradient: str) -> None:
    if gradient not in block.data:
        assert block.old == 0  # the first task has no past
        return
    leaf = block.logits if "logits" in gradient else block.h
    found = torch.autograd.grad(block.terms()[term], leaf)[0]
    block.close(found, gradient)


def test_total_and_its_gradients_equal_official(block: Block) -> None:
    terms = block.terms()
    data = {k: float(v) for k, v in block.data.items() if v.ndim == 0}
    total = (
        data["w_paws"] * terms["paws_loss"]
        + data["w_me_max"] * terms["me_max"]
        + data["w_online"] * terms["online_ce"]
    )
    if block.old:
        alpha = data["alpha"]
        total = total + data["w_dist"] * (
            alpha * terms["feat_mse"] + (1 - alpha) * terms["nnd_loss"]
        )
    total.backward()
    block.close(total, "loss")
    for leaf, name in (
        (block.h, "grad_h_total"),
        (block.logits, "grad_logits_total"),
        (block.h_proj, "grad_h_proj_total"),
    ):
        if name in block.data:
            block.close(leaf.grad if leaf.grad is not None else torch.zeros_like(leaf), name)


def test_distilling_an_unchanged_network_has_no_gradient() -> None:
    logits = torch.randn(4, 3, generator=torch.Generator().manual_seed(0)).requires_grad_()
    log_probs = logits.log_softmax(1)
    nearest_neighbour_distillation(log_probs, log_probs).backward()
    assert logits.grad is not None
    torch.testing.assert_close(logits.grad, torch.zeros(4, 3), atol=1e-7, rtol=0)


def test_gradients() -> None:
    draw = torch.Generator().manual_seed(0)
    logits, past = torch.randn(2, 4, 3, generator=draw, dtype=torch.float64)
    logits.requires_grad_()
    assert torch.autograd.gradcheck(
        lambda x: nearest_neighbour_distillation(x.log_softmax(1), past.log_softmax(1)), (logits,)
    )
    assert torch.autograd.gradcheck(lambda x: feature_distillation(x, past), (logits,))


def test_no_row_is_zero_with_a_graph() -> None:
    empty = torch.zeros(0, 3, requires_grad=True)
    past = torch.zeros(0, 3)
    for loss in (feature_distillation(empty, past), nearest_neighbour_distillation(empty, past)):
        loss.backward()
        assert loss == 0
