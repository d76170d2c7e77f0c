"""Nearest-neighbour distillation: NNCSL's official arrays, a reference in NumPy, and its limits."""

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.special import softmax

from contsemi.distillers.nnd import NearestNeighbourDistillation
from contsemi.memory.index import Index
from contsemi.types import MemoryRows, Outputs, Past

REFERENCE = sorted((Path(__file__).parent / "reference").glob("nncsl_*.npz"))
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
    return MemoryRows(embeddings, probs, tasks, rounded.search)


def distiller(neighbours=0, temperature=0.1, smoothing=0.1):
    return NearestNeighbourDistillation(
        temperature=temperature, smoothing=smoothing, neighbours=neighbours
    )


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

    def make(*, labels=LABELS, memory=None, **given):
        parts = {name: outputs(value) for name, value in now.items()}
        past = Past(*(outputs(then[name]) for name in ("labelled", "large", "small")), OLD)
        facts = {"num_old": OLD, "num_seen": SEEN, "batch_size": BATCH, "past": past}
        return make_step(**facts | parts | {"labels": labels, "memory": memory} | given)

    return make


@pytest.mark.parametrize("path", REFERENCE, ids=lambda path: path.stem)
def test_equals_official(path, make_step):
    data = {key: torch.from_numpy(np.asarray(value)) for key, value in np.load(path).items()}
    supports, batch = int(data["num_support"]), int(data["batch"])
    h, h_prev = data["h"].requires_grad_(), data["h_prev"]
    large = supports + 2 * batch
    old = int(data["classes_per_task"] * data["task_idx"])

    def parts(x):
        return [outputs(x[:supports]), outputs(x[supports:large]), outputs(x[large:])]

    labelled, big, small = parts(h)
    step = make_step(
        labelled=labelled,
        labels=data["support_labels"][: supports // 2],  # of one of the two views
        large=big,
        small=small,
        past=Past(*parts(h_prev), old),
        num_old=old,
        num_seen=int(data["num_seen"]),
        batch_size=batch,
    )
    options = {"temperature": float(data["tau"]), "smoothing": float(data["smoothing"])}
    loss = distiller(**options).terms(step)["distillation"]
    loss.backward()
    # Soft labels are float32: 0.1 is off by 1e-9.
    np.testing.assert_allclose(loss.detach(), data["nnd_loss"], rtol=1e-7)
    np.testing.assert_allclose(h.grad, data["grad_h_nnd"], rtol=1e-5, atol=1e-9)


def test_reference_files_are_there():
    assert len(REFERENCE) == 2


def votes_in_numpy(queries, supports, labels, allowed, temperature=0.1):
    def unit(x):
        return x / np.linalg.norm(x, axis=1, keepdims=True)

    scores = np.where(allowed, unit(queries) @ unit(supports).T / temperature, -np.inf)
    return softmax(scores, axis=1) @ labels


@pytest.mark.parametrize("neighbours", [0, 2, 100])
def test_equals_numpy_with_exemplars_and_memory(neighbours, step, tensors):
    memory = memory_rows(8)
    found = distiller(neighbours).terms(step(memory=memory))["distillation"]
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
    distiller(3).terms(step(memory=memory_rows(6)))["distillation"].backward()
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


def test_a_batch_without_a_row_of_an_old_class_moves_nothing(step, tensors):
    loss = distiller().terms(step(labels=torch.tensor([4, 5, 4, 5, 4])))["distillation"]
    loss.backward()
    assert loss == 0
    assert not any(value.grad is not None and value.grad.any() for value in tensors[0].values())


def test_memory_rows_alone_suffice(step, tensors):
    memory = memory_rows(6)
    terms = distiller(3).terms(step(memory=memory, labelled=None, labels=LABELS[:0]))
    terms["distillation"].backward()
    assert terms["distillation"] > 0
    assert tensors[0]["large"].grad.any() and tensors[0]["small"].grad.any()
    without = distiller(0).terms(step(memory=memory, labelled=None, labels=LABELS[:0]))
    assert without == {}


def test_an_unchanged_network_is_at_the_minimum(step, tensors):
    """Where present and past agree the gradient of the cross-entropy of votes is zero."""
    now, then = tensors
    with torch.no_grad():
        for name in now:
            now[name].copy_(then[name])
    distiller(4).terms(step(memory=memory_rows(6)))["distillation"].backward()
    for value in now.values():
        torch.testing.assert_close(value.grad, torch.zeros_like(value), rtol=0, atol=1e-7)
