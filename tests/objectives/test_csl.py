"""CSL's terms on hand-made steps: the official arrays, its mask, and its limits."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from contsemi.errors import InputError
from contsemi.objectives.csl import Csl
from contsemi.types import ByAge, Outputs

FOLDER = Path(__file__).parents[1] / "reference" / "core"
OPTIONS = {
    "temperature": 0.1,
    "sharpening": 0.25,
    "smoothing": 0.1,
    "large_views": 2,
    "small_views": 1,
    "labelled_views": 2,
    "supports_per_class": 2,
    "predict_by": "neighbours",
}
MASKED = [path for path in sorted(FOLDER.glob("nncsl_*.npz")) if np.load(path)["mask"]]
BATCH, OLD, SEEN, WIDTH = 4, 2, 5, 6
LABELS = torch.tensor([3, 0, 2, 4, 1, 3])


def leaf(rows, width, *, seed, size=1.0, dtype=torch.float64):
    made = torch.randn(rows, width, generator=torch.Generator().manual_seed(seed)).double() * size
    return made.to(dtype).requires_grad_()


def outputs(**heads):
    return Outputs(next(iter(heads.values()))[:, :0], heads)


@pytest.fixture
def later(make_step):
    """A step of a later task: 2 views of 6 supports, 2 large views and 1 small one of 4 images."""

    def make(labels=LABELS, **given):
        made = {"size": 1.0, "dtype": torch.float64} | {
            key: given.pop(key) for key in ("size", "dtype") if key in given
        }
        counts = {"labelled": 2 * len(labels), "large": 2 * BATCH, "small": BATCH}
        leaves = {
            name: leaf(n, WIDTH, seed=i, **made) for i, (name, n) in enumerate(counts.items())
        }
        logits = leaf(2 * len(labels), SEEN, seed=9, **made)
        parts = {name: outputs(projector=value) for name, value in leaves.items()}
        parts["labelled"] = outputs(projector=leaves["labelled"], classifier=logits)
        facts = {"labels": labels, "num_old": OLD, "num_seen": SEEN, "batch_size": BATCH}
        return make_step(**facts | parts | given), leaves | {"logits": logits}

    return make


@pytest.mark.parametrize("path", MASKED, ids=lambda path: path.stem)
def test_equals_official(path, make_step, official):
    block = official.nncsl(path, make_step)
    block.check_objective(Csl(**block.options).terms(block.step))


def test_reference_files_are_there():
    assert len(MASKED) >= 5


def test_supports_of_old_classes_do_not_vote(later):
    step, leaves = later()
    terms = Csl(**OPTIONS).terms(step)
    (terms["consistency"] + terms["me_max"]).backward()
    old = (LABELS < OLD).repeat(2)
    assert not leaves["labelled"].grad[old].any()
    assert leaves["labelled"].grad[~old].any(1).all()
    assert leaves["large"].grad.any(1).all() and leaves["small"].grad.any(1).all()


@pytest.mark.parametrize("current", [LABELS >= OLD, LABELS < 0], ids=["some", "none"])
def test_rows_known_beforehand_change_nothing(current, later):
    found = []
    for rows in (None, ByAge(current.nonzero()[:, 0], LABELS[:0])):
        labels = LABELS.where(current, LABELS % OLD)
        step, leaves = later(labels, by_age=rows)
        terms = Csl(**OPTIONS).terms(step)
        total = sum(terms.values())
        found.append([*terms.values(), *torch.autograd.grad(total, list(leaves.values()))])
    for plain, chosen in zip(*found, strict=True):
        torch.testing.assert_close(chosen, plain, rtol=1e-9, atol=1e-12)


def test_the_classifier_learns_all_supports(later):
    step, leaves = later()
    found = Csl(**OPTIONS).terms(step)["classifier"]
    found.backward()
    expected = functional.cross_entropy(leaves["logits"], LABELS.repeat(2))
    torch.testing.assert_close(found, expected)
    assert leaves["logits"].grad.all()
    assert "classifier" in Csl(**OPTIONS).needs.heads  # not a declaration that is detached


def test_a_batch_without_a_support_of_the_task_moves_nothing(later):
    step, leaves = later(torch.tensor([0, 1, 0]))
    terms = Csl(**OPTIONS).terms(step)
    (terms["consistency"] + terms["me_max"]).backward()
    assert terms["consistency"].isfinite() and terms["me_max"].isfinite()
    assert not any(leaves[name].grad.any() for name in ("labelled", "large", "small"))


def test_a_class_without_a_support_is_as_if_it_were_not_there(later):
    """Class 4 has no support: the loss is that of the classes 2 and 3 alone."""
    labels = torch.tensor([3, 0, 2, 1, 2])
    step, _ = later(labels)
    only, _ = later(labels, columns=torch.tensor([2, 3]))
    terms, expected = Csl(**OPTIONS).terms(step), Csl(**OPTIONS).terms(only)
    for name in ("consistency", "me_max"):
        torch.testing.assert_close(terms[name], expected[name])


def test_the_order_of_columns_does_not_matter(later):
    step, _ = later()
    other, _ = later(columns=torch.tensor([4, 2, 3]))
    terms, expected = Csl(**OPTIONS).terms(step), Csl(**OPTIONS).terms(other)
    for name in terms:
        torch.testing.assert_close(terms[name], expected[name])


def test_terms_that_have_no_rows_are_absent(later):
    objective = Csl(**OPTIONS)
    assert objective.terms(later(labelled=None, labels=LABELS[:0])[0]) == {}
    assert objective.terms(later(large=None, small=None, batch_size=0)[0]).keys() == {"classifier"}
    assert objective.terms(later(small=None)[0]).keys() == {"classifier", "consistency", "me_max"}


# Temperature 1e-4 makes cosines scores of up to 1e4.
@pytest.mark.parametrize(
    ("temperature", "size"), [(0.1, 1.0), (1e-4, 1.0), (0.1, 1e4), (0.1, 1e-4), (1e-4, 1e4)]
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_finite_and_as_in_float64(temperature, size, dtype, later):
    objective = Csl(**OPTIONS | {"temperature": temperature})
    step, leaves = later(size=size, dtype=dtype)
    exact_step, exact = later(size=size)
    with torch.no_grad():
        for name in leaves:  # the same numbers, rounded
            exact[name].copy_(leaves[name])
    terms, expected = objective.terms(step), objective.terms(exact_step)
    sum(terms.values()).backward()
    sum(expected.values()).backward()
    # A cosine is exact to 1e-7, and a score to that over the temperature.
    close = {"rtol": 1e-4 if temperature == 0.1 else 2e-3, "atol": 1e-4}
    for name in terms:
        assert terms[name].dtype == torch.float32 and terms[name].isfinite()
        np.testing.assert_allclose(terms[name].detach(), expected[name].detach(), **close)
    for name in leaves:
        found, wanted = leaves[name].grad.double(), exact[name].grad
        assert found.isfinite().all()
        share = 1e-2 if dtype == torch.bfloat16 or temperature < 0.1 else 1e-4
        assert (found - wanted).abs().max() <= share * wanted.abs().max() + 1e-30, name


def test_prediction_by_neighbours_weighs_classes_the_same():
    """One support of class 0 against three of class 1, all at the same distance."""
    rows = torch.eye(4)
    query = torch.ones(1, 4)
    found = Csl(**OPTIONS).predict(
        outputs(projector=query, classifier=torch.zeros(1, 3)),
        (outputs(projector=rows), torch.tensor([1, 0, 1, 1])),
    )
    torch.testing.assert_close(found.exp(), torch.tensor([[0.5, 0.5, 0.0]]))
    assert found.isfinite().all()


def test_prediction_by_the_classifier():
    objective = Csl(**OPTIONS | {"predict_by": "classifier"})
    logits = torch.randn(3, SEEN)
    assert not objective.needs.supports_at_test and Csl(**OPTIONS).needs.supports_at_test
    assert objective.predict(outputs(projector=logits, classifier=logits), None) is logits


def test_a_single_view_cannot_be_learned_from():
    with pytest.raises(InputError, match=r"objective\.large_views"):
        Csl(**OPTIONS | {"large_views": 1})
