"""Learning without forgetting: DistillMatch's arrays by task, SciPy over all old classes."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import log_softmax

from contsemi import compose
from contsemi.distillers.lwf import LearningWithoutForgetting
from contsemi.errors import InputError
from contsemi.learner.learner import Learner
from contsemi.learner.loop import fit
from contsemi.losses.cross_entropy import label_cross_entropy
from contsemi.types import Experience, Outputs, Seen

REFERENCE = Path(__file__).parents[1] / "reference" / "parts"
FILES = sorted(REFERENCE.glob("distillmatch_local_kd_*.npz"))
NONE = torch.empty(0, dtype=torch.int64)


def distiller_after(borders, *, local, temperature=2.0, head="classifier"):
    """One that has seen tasks which began with so many old classes."""
    made = LearningWithoutForgetting(head=head, temperature=temperature, local=local)
    for index, old in enumerate([0, *borders]):
        columns = tuple(range(old, old + 1))
        made.begin(Experience(index, columns, old, old + 1, NONE, NONE, NONE))
    return made


def seen(name, now, then, rows):
    past = (Outputs(torch.empty(len(then), 0), {name: then}),)
    return Seen(student=Outputs(torch.empty(len(now), 0), {name: now}), past=past, rows=rows)


def test_reference_files_are_there():
    assert len(FILES) == 2


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_local_distillation_equals_the_official_code(path, make_step):
    data = dict(np.load(path, allow_pickle=False))
    old, classes = int(data["tasks"][-1, 1]), int(data["num_classes"])
    labelled, unlabelled = (
        torch.tensor(data[f"logits_{kind}"]).requires_grad_() for kind in ("labelled", "unlabelled")
    )
    then = torch.tensor(data["old_logits"])[:, :old].requires_grad_()  # as wide as it was
    first, rest = then.split([len(labelled), len(unlabelled)])
    parts = {
        "labelled": seen("classifier", labelled, first, "labelled"),
        "strong": seen("classifier", unlabelled, rest, "unlabelled"),
    }
    made = distiller_after(
        data["tasks"][:, 1].tolist(), local=True, temperature=float(data["temperature"])
    )
    step = make_step(seen=parts, num_old=old, num_seen=classes)
    term = made.terms(step)["classes"]
    labels = torch.tensor(data["labels"])
    fit_ = label_cross_entropy(labelled, labels, temperature=1.0, smoothing=0.0)
    (fit_ + term).backward()
    rtol = 1e-10 if labelled.dtype == torch.float64 else 2e-6
    np.testing.assert_allclose((fit_ + term).item(), data["loss"], rtol=rtol)
    np.testing.assert_allclose(term.item(), data["loss"] - data["loss_ce"], rtol=10 * rtol)
    for rows, kind in ((labelled, "labelled"), (unlabelled, "unlabelled")):
        np.testing.assert_allclose(rows.grad, data[f"grad_{kind}"], rtol=20 * rtol, atol=rtol)
    assert then.grad is None


@given(
    sizes=st.lists(st.integers(1, 4), min_size=1, max_size=4),
    new=st.integers(1, 3),
    rows=st.integers(1, 6),
    temperature=st.floats(0.1, 5.0),
    local=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_equals_scipy_for_any_tasks(sizes, new, rows, temperature, local, seed, make_step):
    draw = np.random.default_rng(seed)
    borders = np.cumsum(sizes).tolist()
    old, classes = borders[-1], borders[-1] + new
    now, then = draw.normal(size=(rows, classes)), draw.normal(size=(rows, old))
    spans = zip([0, *borders[:-1]], borders, strict=True) if local else [(0, old)]
    expected = 0.0
    for first, last in spans:
        past = log_softmax(then[:, first:last] / temperature, axis=1)
        present = log_softmax(now[:, first:last] / temperature, axis=1)
        divergence = (np.exp(past) * (past - present)).sum(axis=1).mean()
        expected += divergence * ((last - first) / classes if local else 1.0)
    made = distiller_after(borders, local=local, temperature=temperature)
    parts = {"large": seen("classifier", torch.tensor(now), torch.tensor(then), "unlabelled")}
    found = made.terms(make_step(seen=parts, num_old=old, num_seen=classes))["classes"]
    np.testing.assert_allclose(found.item(), expected, rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("local", [False, True])
def test_nothing_without_a_past_and_zero_where_nothing_changed(local, make_step):
    made = distiller_after([2, 4], local=local)
    now = torch.randn(3, 6, generator=torch.Generator().manual_seed(0)).requires_grad_()
    alone = {"large": Seen(student=Outputs(torch.empty(3, 0), {"classifier": now}))}
    assert made.terms(make_step(seen=alone, num_old=4, num_seen=6)) == {}
    assert made.terms(make_step(seen={}, num_old=4, num_seen=6)) == {}
    same = {"large": seen("classifier", now, now.detach()[:, :4], "unlabelled")}
    term = made.terms(make_step(seen=same, num_old=4, num_seen=6))["classes"]
    term.backward()
    assert abs(term) < 1e-6 and now.grad.abs().max() < 1e-6


def test_new_classes_have_no_gradient_and_local_tasks_are_apart(make_step):
    """Scores of a whole earlier task may rise together, which the other form would punish."""
    made = {local: distiller_after([2, 4], local=local) for local in (False, True)}
    then = torch.randn(3, 4, generator=torch.Generator().manual_seed(0))
    raised = torch.cat([then[:, :2] + 5, then[:, 2:], torch.zeros(3, 2)], dim=1)
    terms = {}
    for local, each in made.items():
        now = raised.clone().requires_grad_()
        step = make_step(
            seen={"large": seen("classifier", now, then, "unlabelled")}, num_old=4, num_seen=6
        )
        terms[local] = each.terms(step)["classes"]
        terms[local].backward()
        assert not now.grad[:, 4:].any()
    assert terms[True] < 1e-6 < 0.1 < terms[False]


def test_a_task_is_known_once_and_after_a_restart():
    made = distiller_after([2, 2, 4], local=True)  # a task of known classes alone, in between
    assert made.borders == [2, 4]
    again = LearningWithoutForgetting(head="classifier", temperature=2.0, local=True)
    again.load_state_dict(made.state_dict())
    assert again.borders == [2, 4]


@pytest.mark.parametrize(
    ("words", "head", "objective"),
    [
        (["method=byol", "distiller=lwf", "distiller.head=prototypes"], "prototypes", "byol"),
        (["method=contsemi", "distiller=[nnd,lwf]"], "classifier", "suave"),
        (
            ["method=finetune", "distiller=cassle", "distiller.kind=knowledge"],
            "prototypes",
            "supervised",
        ),
        (
            [
                "method=byol",
                "distiller=cassle",
                "distiller.kind=knowledge",
                "distiller.host=clusters",
            ],
            "clusters",
            "byol",
        ),
    ],
    ids=lambda given: given if isinstance(given, str) else " ".join(given),
)
def test_what_nobody_trains_is_not_held(words, head, objective):
    """It would be as it was drawn: a run would learn to repeat noise, and nothing would tell."""
    says = f"keeps what the head {head} says, which objective={objective} does not train"
    with pytest.raises(InputError, match=says):
        Learner(compose.load([*words, "device=cpu"]))


@pytest.mark.thorough
@pytest.mark.parametrize(
    "words",
    [
        ["method=fixmatch", "distiller=lwf"],
        ["method=suave", "distiller=lwf", "distiller.head=prototypes", "distiller.temperature=0.1"],
    ],
    ids=["classifier", "prototypes"],
)
def test_the_head_of_the_objective_is_held(words, small, stream_of):
    """After the same steps its old classes are nearer to what they were than without the weight."""
    ends = {}
    for weight in (0.0, 10.0):
        config = small(*words, f"distiller.weights.classes={weight}", "optim.warmup=0")
        stream, _ = stream_of(config)
        learner = Learner(config)
        fit(learner, stream.experiences[0], stream.images)
        learner.begin(stream.experiences[1], stream.images)
        found = []
        for epoch in range(3):
            for place in range(learner.steps_per_epoch):
                loss, terms = learner.loss(learner.forward(learner.batch(epoch, place)))
                learner.backward(loss)
                learner.update()
                found.append(terms["classes"].item())
        ends[weight] = sum(found[-4:])
    assert 0 < ends[10.0] < 0.5 * ends[0.0]
