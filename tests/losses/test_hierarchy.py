import torch

from contsemi.losses.hierarchy import coarse_cross_entropy, coarse_probs

COARSE_OF = torch.tensor([0, 1, 0, 2, -1])


def test_sums_of_the_fine_classes():
    probs = torch.rand(6, 5, generator=torch.Generator().manual_seed(0)).softmax(1)
    found = coarse_probs(probs, COARSE_OF, 3)
    expected = torch.stack((probs[:, 0] + probs[:, 2], probs[:, 1], probs[:, 3]), dim=1)
    torch.testing.assert_close(found, expected)


def test_cross_entropy_of_the_sums():
    draw = torch.Generator().manual_seed(1)
    logits = torch.randn(5, 5, generator=draw, dtype=torch.float64, requires_grad=True)
    coarse = torch.tensor([0, 2, -1, 1, 3])  # no fine class of coarse class 3 was seen yet
    loss = coarse_cross_entropy(logits, coarse, COARSE_OF, 4)
    sums = coarse_probs(logits.softmax(1), COARSE_OF, 4)
    rows = torch.tensor([0, 1, 3])
    expected = -sums[rows, coarse[rows]].log().mean()
    torch.testing.assert_close(loss, expected)
    grad = torch.autograd.grad(loss, logits)[0]
    assert not grad[[2, 4]].any()
    torch.testing.assert_close(grad, torch.autograd.grad(expected, logits)[0])


def test_nothing_known_is_zero():
    logits = torch.zeros(2, 5, requires_grad=True)
    loss = coarse_cross_entropy(logits, torch.full((2,), -1), COARSE_OF, 3)
    loss.backward()
    assert loss == 0 and not logits.grad.any()
    assert coarse_cross_entropy(torch.zeros(0, 5), torch.zeros(0).long(), COARSE_OF, 3) == 0
