"""A sample of the classes stands for all of them: expectations, chances, and what is refused."""

from dataclasses import replace
from itertools import combinations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from contsemi.blocks.labelled import labels_term
from contsemi.blocks.support_votes import paws
from contsemi.data.class_draw import ClassDraw, refuse_too_few
from contsemi.errors import InputError
from contsemi.learner.learner import Learner
from contsemi.learner.loop import fit
from contsemi.losses.nearest_stream import support_votes
from contsemi.types import Experience, Outputs

NONE = torch.empty(0, dtype=torch.int64)


def experience(columns, num_seen, index=1):
    return Experience(
        index=index,
        columns=tuple(columns),
        num_old=num_seen - len(columns),
        num_seen=num_seen,
        labelled=NONE,
        labels=NONE,
        unlabelled=NONE,
        class_names=tuple(map(str, columns)),
        coarse=NONE,
        coarse_of=torch.full((num_seen,), -1),
        num_coarse=0,
        pool_columns=tuple(columns),
        mixed_pool=False,
    )


def draw_of(seen, own, most, seed=0):
    """The classes 0 ... seen - 1, of which the last ``own`` are the task's."""
    return ClassDraw.of(
        torch.arange(seen), experience(range(seen - own, seen), seen), most, seed=seed
    )


@settings(deadline=None, max_examples=40)
@given(st.integers(2, 7), st.integers(0, 3), st.data())
def test_what_the_sum_is_expected_to_be(others, own, data):
    """The mean over all samples, each as likely as any other, is what all classes give together."""
    number = data.draw(st.integers(1, others - 1))
    seen, draw = others + own, draw_of(others + own, own, own + number)
    each = torch.randn(seen, generator=torch.Generator().manual_seed(seen), dtype=torch.float64)
    always, weights = list(range(others, seen)), draw.weights.double()
    sums = [
        (weights * each[[*always, *chosen]]).sum() for chosen in combinations(range(others), number)
    ]
    torch.testing.assert_close(torch.stack(sums).mean(), each.sum())
    torch.testing.assert_close(weights.sum(), torch.tensor(float(seen), dtype=torch.float64))
    columns = draw.columns(3, 4)
    assert columns[:own].tolist() == always
    assert len(set(columns.tolist())) == own + number == len(weights)
    assert torch.equal(columns, draw.columns(3, 4))


def test_each_set_is_as_likely_as_any_other():
    draw = draw_of(7, 2, 4)  # 2 of 5
    found = [tuple(draw.columns(0, step).tolist()) for step in range(2000)]
    counts = [found.count((5, 6, *chosen)) for chosen in combinations(range(5), 2)]
    assert sum(counts) == 2000
    assert all(abs(count - 200) < 5 * (2000 * 0.1 * 0.9) ** 0.5 for count in counts)
    assert draw_of(7, 2, 4, seed=1).columns(0, 0).tolist() != draw.columns(0, 0).tolist()


def test_all_classes_come_where_there_is_room():
    assert draw_of(7, 2, 7) is None and draw_of(7, 2, None) is None


def test_too_few_are_refused():
    tasks = [experience(range(3), 3, index=0), experience(range(3, 8), 8, index=1)]
    refuse_too_few(tasks, 6)
    refuse_too_few(tasks, None)
    refuse_too_few(tasks[:1], 2 + 1)
    text = r"batch.classes_per_step: is 5, and task 2 has 5 classes of its own; give more than 5"
    with pytest.raises(InputError, match=text):
        refuse_too_few(tasks, 5)


def sampled(make_step, chosen, weights, heads, queries):
    """A step whose labelled rows are of some classes, two of each, in two views."""
    rows = torch.tensor([*chosen, *chosen])
    places = torch.cat([rows, rows])

    def out(values):
        return Outputs(values["projector"], values)

    labelled = {name: value[places] for name, value in heads.items()}
    return make_step(
        labels=rows,
        labelled=out(labelled),
        large=out(queries),
        batch_size=4,
        num_old=4,
        num_seen=6,
        label_weights=None if weights is None else weights.repeat(2),
    )


def test_losses_of_labels_and_votes_are_expected_to_be_those_of_all_classes(make_step):
    """Values and gradients, over all samples of 2 of 4 old classes beside 2 of the task's."""
    random = torch.Generator().manual_seed(0)

    def drawn(*shape):
        return torch.randn(*shape, generator=random, dtype=torch.float64)

    heads = {"projector": drawn(6, 5), "classifier": drawn(6, 6).requires_grad_()}
    queries = {"projector": drawn(8, 5), "classifier": drawn(8, 6)}
    draw = draw_of(6, 2, 4)

    def of(chosen, weights):
        step = sampled(make_step, chosen, weights, heads, queries)
        loss = labels_term(step, smoothing=0.1)["labels"]
        (grad,) = torch.autograd.grad(loss, heads["classifier"])
        one_hot = torch.eye(6, dtype=torch.float64)[step.labels].repeat(2, 1)
        factors = None if weights is None else weights.double().repeat(4)
        rows = step.student("labelled")["projector"]
        votes = support_votes(queries["projector"], rows, one_hot, temperature=0.3, weights=factors)
        known = votes.log_votes.exp() * (votes.log_votes > -30)
        return loss.detach(), grad, known, votes.log_total.exp()

    whole = of(range(6), None)
    samples = [of((4, 5, *chosen), draw.weights) for chosen in combinations(range(4), 2)]
    for expected, found in zip(whole, zip(*samples, strict=True), strict=True):
        torch.testing.assert_close(torch.stack(found).mean(0), expected)


def test_votes_count_by_the_weights(make_step):
    """A class that stands for three is as if it were there three times."""
    random = torch.Generator().manual_seed(1)
    heads = {"projector": torch.randn(6, 5, generator=random)}
    queries = {"projector": torch.randn(8, 5, generator=random)}
    options = {"temperature": 0.3, "sharpening": 0.25, "smoothing": 0.0}
    columns = torch.arange(6)
    step = sampled(make_step, (4, 5, 0), torch.tensor([1.0, 1.0, 3.0]), heads, queries)
    found = paws(step, columns, **options)
    thrice = sampled(make_step, (4, 5, 0, 0, 0), None, heads, queries)
    expected = paws(thrice, columns, **options)
    for name in ("consistency", "me_max"):
        torch.testing.assert_close(found[name], expected[name], atol=1e-5, rtol=1e-5)
    unweighted = paws(replace(step, label_weights=None), columns, **options)
    assert abs(float(unweighted["consistency"] - expected["consistency"])) > 1e-3


@pytest.mark.parametrize("method", ["contsemi", "nncsl"])
@pytest.mark.quick(1)
def test_a_learner_draws_so_many_classes(method, small, stream_of):
    """Which of them differs from step to step; of the task's own none is left out."""
    words = () if method == "contsemi" else (f"method={method}", "model.width=8")
    words = (*words, "optim.epochs=1", "objective.supports_per_class=2")
    config = small(*words, "batch.classes_per_step=4")
    stream, _ = stream_of(config)
    learner = Learner(config)
    for each in stream.experiences[:3]:
        fit(learner, each, stream.images)
    learner.begin(stream.experiences[3], stream.images)
    batches = [learner.batch(0, step) for step in range(3)]
    for batch in batches:
        assert len(batch.labels) == 8
        columns = set(batch.labels.tolist())
        assert len(columns) == 4 and set(learner.experience.columns) < columns
        assert batch.label_weights.tolist() == [1.0, 1.0, 3.0, 3.0] * 2
        old = batch.labels < 6
        assert torch.equal(batch.by_age.old, old.nonzero()[:, 0])
        assert torch.equal(batch.by_age.current, (~old).nonzero()[:, 0])
    assert len({tuple(batch.labels.tolist()) for batch in batches}) > 1
    assert torch.equal(learner.batch(0, 1).labels, batches[1].labels)
    loss, _ = learner.loss(learner.forward(batches[0]))
    assert loss.isfinite()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["method=byol"], "objective=byol needs labelled images of all classes in each step"),
        (["objective.mix_labelled=true"], "objective=suave needs labelled images of all"),
        (["distiller=feature"], "distiller=feature needs labelled images of all classes"),
        (["objective.supports_per_class=0"], "has no effect: labelled images are drawn without"),
    ],
)
def test_what_cannot_count_by_weights_is_refused(words, said, small):
    with pytest.raises(InputError, match=f"batch.classes_per_step: {said}"):
        Learner(small(*words, "batch.classes_per_step=4"))
