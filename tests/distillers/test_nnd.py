"""Nearest-neighbour distillation: NNCSL's official arrays, a reference in NumPy, and its limits."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.special import softmax

from contsemi.distillers.feature import FeatureDistillation
from contsemi.distillers.nnd import NearestNeighbourDistillation
from contsemi.errors import InputError
from contsemi.memory.whole_vote import WholeVote
from contsemi.objectives.csl import Csl
from contsemi.objectives.paws import Paws
from contsemi.search.index import Index
from contsemi.types import ByAge, MemoryRows, Outputs

FOLDER = Path(__file__).parents[1] / "reference" / "core"
REFERENCE = sorted(FOLDER.glob("nncsl_*.npz"))
BATCH, OLD, SEEN, WIDTH = 3, 4, 6, 5
LABELS = torch.tensor([0, 5, 3, 4, 1])  # two of new classes


def rows(number, seed, grad=True):
    draw = torch.Generator().manual_seed(seed)
    made = torch.randn(number, WIDTH, generator=draw, dtype=torch.float64)
    return made.requires_grad_(grad)


def outputs(projector):
    return Outputs(projector[:, :0], {"projector": projector})


def memory_rows(number):
    embeddings = torch.nn.functional.normalize(rows(number, 7, grad=False), dim=1)
    draw = torch.Generator().manual_seed(8)
    probs = torch.rand(number, OLD, generator=draw, dtype=torch.float64)
    probs = probs / probs.sum(1, keepdim=True)
    tasks = torch.zeros(number, dtype=torch.int64)
    rounded = Index(embeddings.float(), "torch")
    return MemoryRows(embeddings, probs, tasks, rounded.search, WholeVote(embeddings, probs))


def distiller(neighbours=0, memory=None, **given):
    usual = {"temperature": 0.1, "smoothing": 0.1, "supports": "old", "alpha": 0.0, "whole": False}
    made = NearestNeighbourDistillation(neighbours=neighbours, **usual | given)
    if made.past_rows is not None:
        made.past_rows.view = lambda: memory
    return made


@pytest.fixture
def tensors():
    """Embeddings now and then of 2 views of 5 labelled rows, 2 large views and 1 small one."""
    names = {"labelled": 10, "large": 2 * BATCH, "small": BATCH}
    now = {name: rows(count, i) for i, (name, count) in enumerate(names.items())}
    then = {name: rows(count, 10 + i) for i, (name, count) in enumerate(names.items())}
    return now, then


@pytest.fixture
def step(make_step, tensors):
    now, then = tensors

    def make(*, labels=LABELS, **given):
        parts = {name: outputs(value) for name, value in now.items()}
        past = {name: outputs(then[name]) for name in ("labelled", "large", "small")}
        facts = {"num_old": OLD, "num_seen": SEEN, "batch_size": BATCH, "past": past}
        return make_step(**facts | parts | {"labels": labels} | given)

    return make


@pytest.mark.parametrize("path", REFERENCE, ids=lambda path: path.stem)
def test_equals_official(path, make_step, official):
    block = official.nncsl(path, make_step)
    found = distiller(**options(block)).terms(block.step)
    if not block.old:
        assert found == {}
        return
    official.close(found["distillation"], block.data["nnd_loss"])
    official.close(block.gradient(found["distillation"], "h"), block.data["grad_h_nnd"])


@pytest.mark.parametrize("path", REFERENCE, ids=lambda path: path.stem)
def test_the_whole_loss_equals_official(path, make_step, official):
    """With the objective that the file was made with, and its share of the features branch."""
    block = official.nncsl(path, make_step)
    data = block.data
    if data["mask"]:
        terms = Csl(**block.options).terms(block.step)
    else:
        terms = Paws(**block.options, predictor=False, detach=False).terms(block.step)
    terms |= distiller(alpha=float(data["alpha"]), **options(block)).terms(block.step)
    weights = {
        "consistency": "w_paws",
        "me_max": "w_me_max",
        "classifier": "w_online",
        "distillation": "w_dist",
    }
    loss = sum(float(data[weights[name]]) * term for name, term in terms.items())
    official.close(loss, data["loss"])
    for leaf in ("h", "logits", "h_proj"):
        if f"grad_{leaf}_total" in data:
            official.close(block.gradient(loss, leaf), data[f"grad_{leaf}_total"], leaf)


@pytest.mark.parametrize("path", REFERENCE, ids=lambda path: path.stem)
def test_the_features_branch_alone_equals_official(path, make_step, official):
    block = official.nncsl(path, make_step)
    found = distiller(alpha=1.0, **options(block)).terms(block.step)
    other = FeatureDistillation(linear=True).terms(block.step)
    if not block.old:
        assert found == other == {}
        return
    official.close(found["distillation"], block.data["feat_mse"])
    assert torch.equal(found["distillation"], other["features"])


def options(block):
    return {key: block.options[key] for key in ("temperature", "smoothing")}


def test_reference_files_are_there():
    assert len(REFERENCE) >= 6


def votes_in_numpy(queries, supports, labels, allowed, temperature=0.1):
    def unit(x):
        return x / np.linalg.norm(x, axis=1, keepdims=True)

    scores = np.where(allowed, unit(queries) @ unit(supports).T / temperature, -np.inf)
    return softmax(scores, axis=1) @ labels


@pytest.mark.parametrize("neighbours", [0, 2, 100, "whole"])
def test_equals_numpy_with_exemplars_and_memory(neighbours, step, tensors):
    memory = memory_rows(8)
    whole = neighbours == "whole"
    made = distiller(0 if whole else neighbours, memory, whole=whole)
    found = made.terms(step())["distillation"]
    neighbours = 100 if whole else neighbours
    now, then = ({k: v.detach().numpy() for k, v in side.items()} for side in tensors)
    old = np.tile(LABELS < OLD, 2)
    hard = np.eye(OLD)[np.tile(LABELS, 2)[old]]
    labels = np.concatenate([0.9 * hard + 0.1 / OLD, memory.probs.numpy()])
    queries = {"now": [now["large"], now["small"]], "then": [then["large"], then["small"]]}
    queries = {key: np.concatenate(value) for key, value in queries.items()}
    # The frozen network's nearest rows vote, for both networks.
    near = np.zeros((3 * BATCH, 8), dtype=bool)
    if neighbours:
        unit = queries["then"] / np.linalg.norm(queries["then"], axis=1, keepdims=True)
        order = np.argsort(-unit @ memory.embeddings.numpy().T, axis=1)[:, :neighbours]
        np.put_along_axis(near, order, True, axis=1)
    allowed = np.concatenate([np.ones((3 * BATCH, old.sum()), dtype=bool), near], axis=1)
    votes = {
        key: votes_in_numpy(
            queries[key],
            np.concatenate([side["labelled"][old], memory.embeddings.numpy()]),
            labels,
            allowed,
        )
        for key, side in (("now", now), ("then", then))
    }
    expected = -(votes["then"] * np.log(votes["now"])).sum(1).mean()
    np.testing.assert_allclose(found.detach(), expected, rtol=1e-7)


def test_nothing_in_the_first_task(step):
    assert distiller(3).terms(step(past=None)) == {}


def test_no_gradient_into_the_past(step, tensors):
    now, then = tensors
    distiller(3, memory_rows(6)).terms(step())["distillation"].backward()
    assert all(value.grad is None for value in then.values())
    assert all(value.grad.any() for value in now.values())


def test_rows_of_new_classes_do_not_vote(step, tensors):
    now, then = tensors
    loss = distiller().terms(step())["distillation"]
    loss.backward()
    new = (LABELS >= OLD).repeat(2)
    assert not now["labelled"].grad[new].any()
    assert now["labelled"].grad[~new].any(1).all()
    with torch.no_grad():
        now["labelled"][new] += 1.0
        then["labelled"][new] -= 1.0
    assert torch.equal(loss, distiller().terms(step())["distillation"])


@pytest.mark.parametrize(
    "options", [{}, {"supports": "current"}, {"neighbours": 3}, {"whole": True}], ids=str
)
def test_rows_known_beforehand_change_nothing(options, step, tensors):
    old, current = (each.nonzero()[:, 0] for each in (LABELS < OLD, LABELS >= OLD))
    found = []
    for known in ({}, {"by_age": ByAge(current, old)}):
        memory = None if options.get("supports") else memory_rows(6)
        term = distiller(memory=memory, **options).terms(step(**known))
        leaves = list(tensors[0].values())
        found.append([term["distillation"], *torch.autograd.grad(term["distillation"], leaves)])
    for plain, chosen in zip(*found, strict=True):
        torch.testing.assert_close(chosen, plain, rtol=1e-9, atol=1e-12)


def test_a_batch_without_a_row_of_an_old_class_moves_nothing(step, tensors):
    loss = distiller().terms(step(labels=torch.tensor([4, 5, 4, 5, 4])))["distillation"]
    loss.backward()
    assert loss == 0
    assert not any(value.grad is not None and value.grad.any() for value in tensors[0].values())


@pytest.mark.parametrize("options", [{"neighbours": 3}, {"whole": True}], ids=str)
def test_memory_rows_alone_suffice(options, step, tensors):
    memory = memory_rows(6)
    terms = distiller(memory=memory, **options).terms(step(labelled=None, labels=LABELS[:0]))
    terms["distillation"].backward()
    assert terms["distillation"] > 0
    assert tensors[0]["large"].grad.any() and tensors[0]["small"].grad.any()
    without = distiller(0).terms(step(labelled=None, labels=LABELS[:0]))
    assert without == {}


@pytest.mark.parametrize("options", [{"neighbours": 4}, {"whole": True}], ids=str)
def test_an_unchanged_network_is_at_the_minimum(options, step, tensors):
    """Where present and past agree the gradient of the cross-entropy of votes is zero."""
    now, then = tensors
    with torch.no_grad():
        for name in now:
            now[name].copy_(then[name])
    distiller(memory=memory_rows(6), **options).terms(step())["distillation"].backward()
    for value in now.values():
        torch.testing.assert_close(value.grad, torch.zeros_like(value), rtol=0, atol=1e-7)


def test_supports_of_the_current_task_where_there_are_no_exemplars(step, tensors):
    """Columns 4 and 5 vote; the rows of old classes, here too, do not."""
    now, then = ({k: v.detach().numpy() for k, v in side.items()} for side in tensors)
    found = distiller(supports="current").terms(step())["distillation"]
    new = np.tile(LABELS >= OLD, 2)
    labels = 0.9 * np.eye(2)[np.tile(LABELS - OLD, 2)[new]] + 0.05
    votes = [
        votes_in_numpy(
            np.concatenate([side["large"], side["small"]]), side["labelled"][new], labels, True
        )
        for side in (now, then)
    ]
    expected = -(votes[1] * np.log(votes[0])).sum(1).mean()
    np.testing.assert_allclose(found.detach(), expected, rtol=1e-7)
    found.backward()
    assert tensors[0]["labelled"].grad[new].any(1).all()
    assert not tensors[0]["labelled"].grad[~new].any()


def test_alpha_mixes_both_branches(step, tensors):
    mapped = {name: value * 2 for name, value in tensors[0].items()}
    both = step(**{name: with_map(tensors[0][name], mapped[name]) for name in mapped})
    parts = [distiller(alpha=alpha).terms(both)["distillation"] for alpha in (0.0, 0.25, 1.0)]
    torch.testing.assert_close(parts[1], 0.75 * parts[0] + 0.25 * parts[2])
    then = torch.cat(list(tensors[1].values()))
    expected = (torch.cat(list(mapped.values())) - then).square().mean()
    torch.testing.assert_close(parts[2], expected)


def with_map(projector, mapped):
    return Outputs(projector[:, :0], {"projector": projector, "mapped": mapped})


@pytest.mark.parametrize("temperature", [0.1, 1e-4])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_finite_and_as_in_float64(temperature, dtype, step, tensors):
    """Cosines over a temperature of 1e-4 are scores of up to 1e4."""
    now, then = tensors
    with torch.no_grad():
        for side in tensors:
            for value in side.values():
                value.copy_(value.to(dtype))
    made = distiller(temperature=temperature)
    exact = made.terms(step())["distillation"]
    exact.backward()
    low = {name: value.detach().to(dtype).requires_grad_() for name, value in now.items()}
    frozen = {name: outputs(then[name].detach().to(dtype)) for name in low}
    parts = {name: outputs(value) for name, value in low.items()}
    found = made.terms(step(past=frozen, **parts))["distillation"]
    found.backward()
    assert found.dtype == torch.float32
    np.testing.assert_allclose(found.detach(), exact.detach(), rtol=2e-3)
    share = 1e-2 if dtype == torch.bfloat16 or temperature < 0.1 else 1e-4
    for name, value in low.items():
        wanted = now[name].grad
        assert value.grad.isfinite().all()
        # Where every vote is all but certain, as at 1e-4, the gradient is nothing but rounding.
        assert (value.grad.double() - wanted).abs().max() <= share * wanted.abs().max() + 1e-6


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"supports": "current", "neighbours": 3}, "distiller.neighbours"),
        ({"supports": "current", "whole": True}, "distiller.whole"),
        ({"whole": True, "neighbours": 3}, "distiller.neighbours"),
    ],
)
def test_what_makes_no_sense_is_refused(change, key):
    with pytest.raises(InputError, match=key):
        distiller(**change)


@pytest.mark.parametrize("labelled", [True, False])
def test_places_that_lists_did_not_find_do_not_vote(labelled, step):
    """-1, as approximate search gives it, is no row; where all are, the exemplars vote alone."""
    memory = memory_rows(6)
    without = {} if labelled else {"labelled": None, "labels": LABELS[:0]}

    def lame(missing):
        def search(queries, k):
            scores, places = memory.search(queries, k)
            places[:, missing:] = -1
            return scores, places

        return replace(memory, search=search)

    def loss(neighbours, rows):
        found = distiller(neighbours, rows).terms(step(**without))
        return found.get("distillation", torch.tensor(0.0)).double()

    torch.testing.assert_close(loss(3, lame(1)), loss(1, memory))
    torch.testing.assert_close(loss(3, lame(0)), loss(0, memory))
