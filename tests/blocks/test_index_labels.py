"""What near images say, on a pool whose answer can be worked out by hand."""

import pytest
import torch

from contsemi.blocks.index_labels import IndexLabels
from contsemi.types import Outputs


class Pool:
    """Two clouds of four images; the first of each is labelled, 3 and 5 are their columns."""

    def __init__(self):
        angles = torch.tensor([0.0, 0.1, 0.2, 0.3, 1.5, 1.4, 1.3, 1.2])
        self.rows = torch.stack([angles.cos(), angles.sin()], 1)
        self.columns = torch.tensor([3, 5])
        self.labels = torch.tensor([3, -1, -1, -1, 5, -1, -1, -1])

    def _said(self, rows):
        return Outputs(features=rows, heads={"projector": 7 * rows})

    def outputs(self, network, *heads):
        return self._said(self.rows)

    def labelled(self, network, *heads):
        # An exemplar of an old class lies between the clouds.
        extra = torch.nn.functional.normalize(torch.ones(1, 2), dim=1)
        return self._said(torch.cat([self.rows[[0, 4]], extra])), torch.tensor([3, 5, 1])

    def nearest(self, rows, number):
        return (rows @ rows.T).topk(min(number, len(rows)), dim=1)


def block(by, **more):
    known = {"neighbours": 3, "spread": 0.9, "temperature": 0.1, "share": 0.5, "threshold": 0.9}
    made = IndexLabels(by, **(known | more))
    made.refresh(Pool())
    return made


EVEN = torch.full((4, 2), 0.5)
PLACES = torch.tensor([1, 5])  # of the first cloud, and of the second
VIEWS = Pool().rows[[1, 5, 2, 6]]  # two views of each


def test_labels_spread_over_each_cloud():
    found = block("propagation")(EVEN, VIEWS, PLACES)
    assert found.shape == (4, 2) and torch.allclose(found.sum(1), torch.ones(4))
    assert (found[[0, 2], 0] > 0.9).all() and (found[[1, 3], 1] > 0.9).all()
    assert torch.equal(found[:2], found[2:])  # by image, not by view


@pytest.mark.parametrize("by", ["comatch", "simmatch"])
def test_a_share_is_what_near_images_are(by):
    found = block(by)(EVEN, VIEWS, PLACES)
    assert (found[[0, 2], 0] > 0.7).all() and (found[[1, 3], 1] > 0.7).all()
    assert torch.equal(block(by, share=0.0)(EVEN, VIEWS, PLACES), EVEN)


def test_the_nearest_mean_decides_where_the_prototypes_do_not():
    found = block("means")(EVEN, VIEWS, PLACES)
    assert (found[[0, 2], 0] > 0.9).all() and (found[[1, 3], 1] > 0.9).all()
    sure = torch.tensor([[0.05, 0.95]]).repeat(4, 1)
    assert torch.equal(block("means")(sure, VIEWS, PLACES), sure)


def test_its_tables_come_back_with_a_state():
    for by in ("propagation", "comatch", "simmatch", "means"):
        first = block(by)
        again = IndexLabels(by, neighbours=3, spread=0.9, temperature=0.1, share=0.5, threshold=0.9)
        again.load_state_dict(first.state_dict())
        assert torch.equal(first(EVEN, VIEWS, PLACES), again(EVEN, VIEWS, PLACES))


class Unnamed(Pool):
    """The same clouds; no image of the second, whose column is 5, has a label."""

    def __init__(self):
        super().__init__()
        self.labels = torch.tensor([3, -1, -1, -1, -1, -1, -1, -1])

    def labelled(self, network, *heads):
        extra = torch.nn.functional.normalize(torch.ones(1, 2), dim=1)
        return self._said(torch.cat([self.rows[:1], extra])), torch.tensor([3, 1])


@pytest.mark.parametrize("by", ["propagation", "means"])
def test_of_a_class_without_a_label_the_method_alone_knows(by):
    made = block(by)
    made.refresh(Unnamed())
    probs = torch.tensor([[0.6, 0.4], [0.2, 0.8], [0.5, 0.5], [0.3, 0.7]])
    assert torch.allclose(made(probs, VIEWS, PLACES), probs)


@pytest.mark.parametrize("by", ["propagation", "means"])
def test_among_classes_that_have_a_label_the_index_divides_what_the_method_gives_them(by):
    class Third(Pool):
        def __init__(self):
            super().__init__()
            self.columns = torch.tensor([3, 5, 7])  # of 7 no image has a label

    made = block(by)
    made.refresh(Third())
    probs = torch.tensor([[0.3, 0.3, 0.4]]).repeat(4, 1)
    found, without = made(probs, VIEWS, PLACES), block(by)(EVEN, VIEWS, PLACES)
    assert torch.allclose(found[:, 2], torch.full((4,), 0.4))
    assert torch.allclose(found[:, :2], 0.6 * without, atol=1e-6)


@pytest.mark.parametrize("by", ["propagation", "comatch", "simmatch", "means"])
def test_a_state_holds_numbers_alone_where_a_class_has_no_label(by):
    made = block(by)
    made.refresh(Unnamed())
    assert all(each.isfinite().all() for each in made.state_dict().values())


@pytest.mark.parametrize("by", ["propagation", "comatch", "simmatch", "means"])
@pytest.mark.parametrize("labels_from", ["index", "both"])
@pytest.mark.quick(3)
def test_suave_learns_from_it(small, stream_of, by, labels_from):
    from contsemi.learner.learner import Learner

    words = [f"objective.labels_from={labels_from}", f"objective.index_by={by}"]
    config = small("objective=suave", "memory.embeddings=0", *words)
    stream, _ = stream_of(config)
    learner = Learner(config)
    learner.begin(stream.experiences[0], stream.images)
    step = learner.forward(learner.batch(0, 0))
    loss, terms = learner.loss(step)
    learner.backward(loss)
    grads = [p.grad for p in learner.network.parameters() if p.grad is not None]
    assert terms["clustering"].isfinite() and any(grad.abs().sum() > 0 for grad in grads)
