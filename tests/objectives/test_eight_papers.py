"""What MIRA, ASCL, MoCHi, FNC, IFND, XMoCo, InterCLR and ProPos have in common."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from omegaconf import OmegaConf
from torch.nn import functional

from contsemi.compose import resources
from contsemi.learner.parts import build_part
from contsemi.objectives.objective import Objective
from contsemi.types import Experience, Head, Outputs, Seen

METHODS = [
    ("mira", {"clusters": 12}),
    ("mira", {"clusters": 12, "of_class": 0, "small_views": 1}),
    ("ascl", {}),
    ("ascl", {"variant": "confident", "both_ways": True, "labelled_views": 2}),
    ("ascl", {"variant": "hard"}),
    ("ascl", {"form": "batch"}),
    ("mochi", {"hardest": 4, "pairs": 3, "with_query": 2}),
    ("fnc", {"queue": 24}),
    ("fnc", {"queue": 0, "variant": "eliminate"}),
    ("ifnd", {}),
    ("ifnd", {"variant": "attract", "rate": [1.0, 1.0]}),
    ("xmoco", {}),
    ("interclr", {"clusters": 2.0, "negatives": 5, "pool": 0.5}),
    ("interclr", {"clusters": 2.0, "negatives": 5, "sampling": "hard"}),
    ("propos", {"predictor": [8]}),
    ("propos", {"predictor": [8], "queue": 16, "noise_in": "other"}),
]
NAMES = [f"{name} {change}" for name, change in METHODS]
POOL, CLASSES, SIZE = 20, 4, 5
VIEWS = ("query", "key", "labelled", "labelled_key", "large", "small")


def rows_of(number, seed, dtype=torch.float32):
    draw = torch.Generator().manual_seed(seed)
    return torch.randn(number, SIZE, generator=draw).to(dtype)


def built(name, change, labelled=True):
    path = resources.conf() / "objective" / f"{name}.yaml"
    section = OmegaConf.to_container(OmegaConf.load(path))
    section |= change | ({} if labelled else {"labelled_views": 0})
    objective, _ = build_part(section, Objective)
    torch.manual_seed(0)
    for head in objective.needs.heads:  # as when a network is built
        if isinstance(head, Head):
            head.build(SIZE, torch.Generator())
    return objective


def begun(objective):
    none = torch.empty(0, dtype=torch.int64)
    objective.begin(
        Experience(0, tuple(range(CLASSES)), 0, CLASSES, none, none, 50 + torch.arange(POOL))
    )
    labels = torch.full((POOL,), -1)
    if objective.labelled_views:
        labels[:4] = torch.tensor([0, 1, 0, 2])
    pool = SimpleNamespace(
        ids=50 + torch.arange(POOL),
        labels=labels,
        outputs=lambda network, *heads: {"projector": rows_of(POOL, 77)},
        draw=lambda purpose: torch.Generator().manual_seed(3),
    )
    for block in objective.modules():
        if hasattr(block, "refresh") and getattr(block, "refresh_every", None) is not None:
            block.refresh(pool)
    return objective


@pytest.fixture
def step(step_of):
    """Random outputs for whatever views a method asks for."""
    directions = functional.normalize(rows_of(12, 99), dim=1)

    def said(number, seed, dtype, scale):
        rows = (scale * rows_of(number, seed)).to(dtype).requires_grad_()
        unit = functional.normalize(rows, dim=1)
        heads = {
            "projector": rows,
            "predictor": rows.flip(0),
            "clusters": unit @ directions.T.to(dtype),
            "classifier": rows[:, :CLASSES],
        }
        return Outputs(rows, heads, {"clusters": directions.to(dtype)})

    def make(objective, unlabelled=6, labels=(), seed=0, dtype=torch.float32, scale=1.0, **more):
        seen = {}
        for name, view in objective.needs.views.items():
            number = view.number * (unlabelled if view.rows == "unlabelled" else len(labels))
            if number:
                networks = {
                    network: said(number, 100 * seed + 2 * VIEWS.index(name) + k, dtype, scale)
                    for k, network in enumerate(("student", "teacher"))
                    if network in view.seen_by
                }
                seen[name] = Seen(number=view.number, **networks)
        places = torch.arange(unlabelled) + (7 * seed) % (POOL - unlabelled + 1)
        return step_of(seen, unlabelled, labels, ids=50 + places, places=places, **more)

    return make


def steps(objective, step, number=3, **given):
    """The terms of some steps, what is stored in one being compared with in the next."""
    found = []
    for seed in range(number):
        found.append(objective.terms(step(objective, seed=seed, **given)))
        objective.after_step()
    return found


@pytest.mark.parametrize(("name", "change"), METHODS, ids=NAMES)
def test_without_a_label_in_the_batch_it_is_the_papers_to_the_bit(name, change, step):
    with_labels, without = built(name, change), built(name, change, labelled=False)
    assert {view.rows for view in without.needs.views.values()} == {"unlabelled"}
    for objective in (with_labels, without):
        if hasattr(objective, "found"):  # the same clusters: no label starts one
            objective.labelled_views, kept = 0, objective.labelled_views
        begun(objective)
        if hasattr(objective, "found"):
            objective.labelled_views = kept
    ours = steps(with_labels, step, labels=())
    theirs = steps(without, step, labels=())
    for one, other in zip(ours, theirs, strict=True):
        assert one.keys() == other.keys()
        assert "labels" not in one
        assert all(torch.equal(one[term], other[term]) for term in one)


@pytest.mark.parametrize(
    "sizes", [(6, (0, 1, 2)), (1, ()), (0, (3,)), (2, (1, 1, 1)), (6, ())], ids=str
)
@pytest.mark.parametrize(("name", "change"), METHODS, ids=NAMES)
@pytest.mark.quick(16)
def test_batches_of_all_kinds_have_finite_losses_and_gradients(name, change, sizes, step):
    objective = begun(built(name, change))
    unlabelled, labels = sizes
    for seed in range(3):
        one = step(objective, unlabelled, labels, seed=seed)
        terms = objective.terms(one)
        assert all(value.shape == () and value.isfinite() for value in terms.values())
        total = sum(terms.values())
        if total.requires_grad:
            total.backward()
        for seen in one.seen.values():
            grad = None if seen.student is None else seen.student.features.grad
            assert grad is None or grad.isfinite().all()
            if seen.teacher is not None:
                assert seen.teacher.features.grad is None
        objective.after_step()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize(("name", "change"), METHODS, ids=NAMES)
@pytest.mark.quick(16)
def test_losses_are_in_float32_at_least_and_long_embeddings_do_no_harm(name, change, dtype, step):
    objective = begun(built(name, change))
    if dtype == torch.float64:
        objective.double()
    for terms in steps(objective, step, labels=(0, 1), dtype=dtype, scale=1e4):
        for term, value in terms.items():
            assert value.dtype == torch.promote_types(dtype, torch.float32), term
            assert value.isfinite(), term


@pytest.mark.parametrize(("name", "change"), METHODS, ids=NAMES)
def test_a_restored_state_goes_on_to_the_bit(name, change, step):
    first, second = begun(built(name, change)), begun(built(name, change))
    steps(first, step, labels=(0, 1))
    second.load_state_dict(first.state_dict())
    for objective in (first, second):
        objective.num_seen = CLASSES
    for ours, theirs in zip(
        *(steps(objective, step, labels=(0, 1)) for objective in (first, second)), strict=True
    ):
        assert all(torch.equal(ours[term], theirs[term]) for term in ours)


@pytest.mark.parametrize(("name", "change"), METHODS, ids=NAMES)
def test_the_order_of_the_images_does_not_matter(name, change, step):
    """Nothing is drawn by place here: methods that draw are left to their own tests."""
    if name in ("mochi", "interclr", "propos"):
        pytest.skip("draws for each row")
    objective = begun(built(name, change))
    steps(objective, step, labels=(0, 1))
    one = step(objective, 6, (0, 1), seed=5)
    order = torch.tensor([3, 1, 5, 0, 2, 4])

    def shuffled(outputs, number):
        if outputs is None:
            return None
        rows = (order + 6 * torch.arange(number)[:, None]).flatten()
        return outputs.rows(rows)

    seen = {
        key: replace(
            each,
            student=shuffled(each.student, each.number),
            teacher=shuffled(each.teacher, each.number),
        )
        if objective.needs.views[key].rows == "unlabelled"
        else each
        for key, each in one.seen.items()
    }
    other = replace(
        one, seen=seen, places=one.places[order], unlabelled_ids=one.unlabelled_ids[order]
    )
    state = {
        key: value.clone()
        for key, value in objective.state_dict().items()
        if torch.is_tensor(value)
    }
    expected = objective.terms(one)
    for key, value in objective.named_buffers():
        if key in state:
            value.copy_(state[key])
    for term, value in objective.terms(other).items():
        torch.testing.assert_close(value, expected[term], msg=term)
