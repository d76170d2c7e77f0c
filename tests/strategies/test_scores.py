import copy

import pytest
import torch

from contsemi.learner.learner import Learner
from contsemi.strategies.scores import UNSEEN, ScoresById


@pytest.fixture
def begun(tiny_config, two_tasks):
    """A learner inside its first task, and its model, with class ids 7 and 2."""
    learner = Learner(tiny_config("suave"))
    images, tasks = two_tasks
    learner.begin(tasks[0], images)
    model = ScoresById(learner)
    model.know((7, 2), 10)
    return learner, model, images


def test_columns_move_to_their_class_ids(begun):
    _, model, _ = begun
    scores = torch.tensor([[0.25, -3.0]], requires_grad=True)
    moved = model.by_id(scores)
    assert moved.shape == (1, 10)
    assert moved[0, 7] == 0.25
    assert moved[0, 2] == -3.0
    assert (moved[0, [0, 1, 3, 4, 5, 6, 8, 9]] == UNSEEN).all()
    (moved * torch.arange(10.0)).sum().backward()
    assert scores.grad.tolist() == [[7.0, 2.0]]


def test_the_table_inverts_the_class_ids(begun):
    _, model, _ = begun
    assert model.column_of().tolist() == [-1, -1, 1, -1, -1, -1, -1, 0, -1, -1]


def test_without_gradients_it_is_the_learners_prediction(begun):
    learner, model, images = begun
    with torch.no_grad():
        scores = model(images[:6].float() / 255)
        assert torch.equal(scores[:, [7, 2]], learner.predict(images[:6]))
        assert torch.equal(model(images[:6]), scores)
    assert not scores.requires_grad


@pytest.mark.thorough
def test_with_gradients_they_reach_the_network_and_the_scores_are_the_same(begun):
    learner, model, images = begun
    model.eval()
    scores = model(images[:6])
    torch.testing.assert_close(scores[:, [7, 2]].detach(), learner.predict(images[:6]))
    torch.nn.functional.cross_entropy(scores, torch.tensor([7, 2, 7, 2, 7, 2])).backward()
    for name, parameter in learner.network.backbone.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name


def test_parameters_are_those_of_the_network(begun):
    learner, model, _ = begun
    assert {id(p) for p in learner.network.parameters()} <= {id(p) for p in model.parameters()}


def test_the_unseen_score_is_finite_in_every_precision():
    for dtype in (torch.float16, torch.bfloat16, torch.float32):
        assert torch.tensor(UNSEEN, dtype=dtype).isfinite()


def test_before_any_class_every_score_is_unseen(tiny_config):
    model = ScoresById(Learner(tiny_config("suave")))
    model.width = 4
    assert torch.equal(model(torch.rand(3, 1, 8, 8)), torch.full((3, 4), UNSEEN))


def test_the_width_never_shrinks(begun):
    _, model, _ = begun
    model.know((7, 2, 12), 10)
    assert model.width == 13
    model.know((7, 2, 12), 3)
    assert model.width == 13


def test_a_copy_keeps_predicting_as_the_past_did(begun):
    learner, model, images = begun
    past = copy.deepcopy(model)
    with torch.no_grad():
        before = model(images[:4])
        for parameter in learner.network.parameters():
            parameter.add_(0.1)
        assert torch.equal(past(images[:4]), before)
        assert not torch.equal(model(images[:4]), before)
