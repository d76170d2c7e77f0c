"""SwAV, DINO, Suave and Daino against their official codes: losses, gradients and state.

The arrays are played through the objectives, step by step. Everything that a file may vary is read
from it: batch, views, classes, steps, precision, queue, EMA, mixing. So another file of the same
kind only has to be laid into ``reference/``.
"""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from contsemi.objectives.daino import Daino
from contsemi.objectives.dino import Dino
from contsemi.objectives.suave import Suave
from contsemi.objectives.swav import Swav
from contsemi.types import Experience, Outputs, Seen

REFERENCE = Path(__file__).parents[1] / "reference" / "core"


def names(pattern):
    return sorted(path.stem for path in REFERENCE.glob(pattern))


class Data(dict):
    """The arrays of one file as tensors, its constants as numbers."""

    def __init__(self, name):
        with np.load(REFERENCE / f"{name}.npz", allow_pickle=False) as file:
            for key, value in file.items():
                self[key] = torch.from_numpy(np.asarray(value)) if value.ndim else value.item()

    def at(self, name, step):
        return self[f"{name}_{step}"]


def close(found, expected):
    """To 1e-6 in float64 and 1e-5 in float32, relative to the greatest number of an array."""
    found = torch.as_tensor(found).detach()
    exact = found.dtype == torch.float64
    expected = torch.as_tensor(expected, dtype=torch.float64)
    rtol = 1e-8 if exact else 1e-5
    atol = max(rtol * float(expected.abs().max()) if expected.numel() else 0.0, 1e-12)
    torch.testing.assert_close(found.double(), expected, rtol=rtol, atol=atol, check_stride=False)


def cosines(feats, directions):
    return functional.linear(functional.normalize(feats, dim=1), directions)


def outputs(feats, directions, head):
    """What the network would say, given its embeddings and its directions."""
    return Outputs(
        feats[:, :0],
        {"projector": feats, head: cosines(feats, directions)},
        {head: directions.detach()},
    )


def views(whole, start, batch, count):
    """The large and the small views from a row on; ``None`` for no small ones."""
    middle, end = start + 2 * batch, start + count * batch
    small = whole.rows(slice(middle, end)) if end > middle else None
    return whole.rows(slice(start, middle)), small


@pytest.fixture
def a_step(make_step):
    """Makes a step of the first task; labels and outputs are given."""

    def make(batch, classes, **given):
        return make_step(batch_size=batch, num_seen=classes, progress=0.5, **given)

    return make


def mixed(whole, soft):
    """Outputs of mixed images, with the share that their soft labels show."""
    half = len(soft) // 2
    labels, rows = soft[:half].argmax(1), soft[half:]
    differs = (labels != labels.flip(0)).nonzero()
    row = int(differs[0]) if len(differs) else 0
    return labels, Seen(student=whole, share=float(rows[row, labels[row]]))


NO_LABELS = {"labelled_views": 0, "supports_per_class": 0, "smoothing": 0.0}


def test_reference_files_are_there():
    found = [len(names(f"{method}_*.npz")) for method in ("swav", "suave", "dino", "daino")]
    assert found == [4, 8, 3, 3]


def leaf(data, name, step):
    return data.at(name, step).clone().requires_grad_()


def experience(classes):
    empty = torch.empty(0, dtype=torch.int64)
    return Experience(0, tuple(range(classes)), 0, classes, empty, empty, empty)


def check_queue(objective, data, step):
    """The official queue is newest first, with zeros where nothing was pushed yet."""
    if data["queue_length"]:
        close(objective.shares.queue.rows(), data.at("queue_after", step))
    else:
        assert objective.shares.queue is None


@pytest.mark.parametrize("name", names("swav_*.npz"))
def test_swav(name, a_step):
    data = Data(name)
    batch, count = data["batch"], data["n_views"]
    objective = Swav(
        **NO_LABELS,
        clusters=len(data["prototypes_raw"]),
        temperature=data["temperature"],
        epsilon=data["epsilon"],
        iterations=data["iterations"],
        queue=data["queue_length"],
        queue_from=0,
        large_views=2,
        small_views=count - 2,
        vote_temperature=0.1,
    )
    for step in range(data["steps"]):
        feats = leaf(data, "feats", step)
        prototypes = data["prototypes_normalised"].clone().requires_grad_()
        large, small = views(outputs(feats, prototypes, "clusters"), 0, batch, count)
        terms = objective.terms(a_step(batch, 2, large=large, small=small))
        assert terms.keys() == {"clustering"}
        terms["clustering"].backward()
        objective.after_step()
        close(terms["clustering"], data.at("loss", step))
        close(feats.grad, data.at("grad_feats", step))
        close(prototypes.grad, data.at("grad_prototypes", step))
        check_queue(objective, data, step)


def suave(data):
    mixing = bool(data.get("mixup", 0))
    return Suave(
        temperature=data["temperature"],
        epsilon=data["epsilon"],
        iterations=data["iterations"],
        smoothing=data["label_smoothing"],
        large_views=2,
        small_views=data["n_views"] - 2,
        labelled_views=1,
        supports_per_class=0,
        ramp=0.0,
        against="current",
        queue=data["queue_length"],
        queue_from=0,
        teacher=[0.99, 1.0] if "ema_prototypes_raw" in data else [],
        mix_labelled=mixing,
        mix_large=mixing,
        mix_weight="views",
    )


def suave_step(a_step, data, step, feats, prototypes):
    """The parts of the official batch: labelled (and mixed), large, mixed large, small."""
    batch, plain = data["batch"], data["lab_batch"]
    whole = outputs(feats, prototypes, "prototypes")
    labels, given, seen = data.at("labels", step), {}, {}
    start = plain
    if labels.ndim == 2:
        labels, seen["mixed_labelled"] = mixed(whole.rows(slice(plain, 2 * plain)), labels)
        start = 2 * plain
        middle = start + 2 * batch  # the extra view stands between the large and the small ones
        share = data.at("mix_lambda_unlab", step)
        extra = whole.rows(slice(middle, middle + batch))
        seen["mixed_large"] = Seen(student=extra, share=share)
        kept = torch.cat([torch.arange(middle), torch.arange(middle + batch, len(feats))])
        rest = whole.rows(kept)
    else:
        rest = whole
    if "ema_prototypes_raw" in data:
        directions = functional.normalize(data["ema_prototypes_raw"], dim=1)
        given["teacher"] = outputs(data.at("ema_feats", step), directions, "prototypes")
    large, small = views(rest, start, batch, data["n_views"])
    return a_step(
        batch,
        len(prototypes),
        labelled=whole.rows(slice(plain)),
        labels=labels,
        large=large,
        small=small,
        seen=seen,
        **given,
    )


@pytest.mark.parametrize("name", names("suave_*.npz"))
def test_suave(name, a_step):
    data = Data(name)
    objective = suave(data)
    batch, count, plain = data["batch"], data["n_views"], data["lab_batch"]
    mixing = "mixed_large" in objective.needs.views
    labelled = 2 * plain if mixing else plain
    rows = batch * count
    total_rows = rows + labelled + mixing  # the official code counts the mixed view as one row
    for step in range(data["steps"]):
        feats = leaf(data, "feats", step)
        prototypes = data["prototypes_normalised"].clone().requires_grad_()
        terms = objective.terms(suave_step(a_step, data, step, feats, prototypes))
        loss = terms["clustering"] + terms["labels"]
        loss.backward()
        objective.after_step()
        clustering = rows * data.at("unlab_loss", step) + data.at("mixed_unlab_loss", step)
        close(terms["clustering"], clustering / total_rows)
        close(terms["labels"], data.at("lab_loss", step) * labelled / total_rows)
        probes = data.at("online_loss", step) * plain / total_rows  # of no effect on the network
        close(loss + probes, data.at("loss", step))
        close(feats.grad, data.at("grad_feats", step))
        close(prototypes.grad, data.at("grad_prototypes", step))
        check_queue(objective, data, step)


@pytest.mark.parametrize("name", names("dino_*.npz"))
def test_dino(name, a_step):
    data = Data(name)
    batch, count, clusters = data["batch"], data["n_views"], len(data["center"][0])
    objective = Dino(
        **NO_LABELS,
        clusters=clusters,
        directions="gain",
        temperature=data["student_temp"],
        teacher=[0.996, 1.0],
        teacher_temperature=[data["warmup_teacher_temp"], data["final_teacher_temp"]],
        teacher_warmup=data["warmup_epochs"],
        centre_momentum=data["center_momentum"],
        large_views=2,
        small_views=count - 2,
        vote_temperature=0.1,
    )
    for step in range(data["steps"]):
        close(objective.centre.value.to(data["center"].dtype), data["center"][step])
        student = leaf(data, "student", step)
        terms = objective.terms(
            scored_step(
                a_step, batch, count, student, data.at("teacher", step), "clusters", epoch=step
            )
        )
        assert terms.keys() == {"clustering"}
        terms["clustering"].backward()
        objective.after_step()
        close(terms["clustering"], data["loss"][step])
        close(student.grad, data.at("grad_student", step))
    close(objective.centre.value, data["center"][step + 1])


def scored_step(a_step, batch, count, student, teacher, head, start=0, **given):
    """A step of which only scores are known."""
    whole = Outputs(student[:, :0], {head: student})
    large, small = views(whole, start, batch, count)
    scores = Outputs(teacher[:, :0], {head: teacher})
    labelled = whole.rows(slice(start)) if start else None
    return a_step(
        batch,
        student.shape[1],
        large=large,
        small=small,
        teacher=scores,
        labelled=labelled,
        **given,
    )


PARTS = ("mlp.weight", "mlp.bias", "last_layer.weight_g", "last_layer.weight_v")


def daino_head(feats, head):
    """Linear layer, then prototypes with gains, as the network's heads make them."""
    hidden = functional.linear(feats, head["mlp.weight"], head["mlp.bias"])
    directions = functional.normalize(head["last_layer.weight_v"], dim=1)
    return cosines(hidden, head["last_layer.weight_g"] * directions)


@pytest.mark.parametrize("name", names("daino_*.npz"))
def test_daino(name, a_step):
    data = Data(name)
    batch, count, plain = data["batch"], data["n_views"], data["lab_batch"]
    classes, rows = data["center"].shape[1], data["batch"] * data["n_views"]
    temperatures = [data.at("teacher_temp", step) for step in range(data["steps"])]
    objective = Daino(
        directions="gain",
        temperature=data["student_temp"],
        teacher=[data["ema_momentum"], 1.0],
        teacher_temperature=[temperatures[0], temperatures[-1]],
        teacher_warmup=2 if len(set(temperatures)) > 1 else 0,
        centre_momentum=data["center_momentum"],
        smoothing=data["label_smoothing"],
        large_views=2,
        small_views=count - 2,
        labelled_views=1,
        supports_per_class=0,
        ramp=0.0,
        mix_labelled=False,
    )
    objective.begin(experience(classes))
    # The recorded head lived through the steps: each of its arrays holds the sum over all of them.
    head = {part: data[f"student_head_{part}"].clone().requires_grad_() for part in PARTS}
    for step in range(data["steps"]):
        close(objective.centre.value.to(data["center"].dtype), data["center"][step])
        feats = leaf(data, "student_feats", step)
        slow = {part: data[f"teacher_head_{part}_{step}"] for part in PARTS}
        terms = objective.terms(
            scored_step(
                a_step,
                batch,
                count,
                daino_head(feats, head),
                daino_head(data.at("teacher_feats", step), slow),
                "prototypes",
                start=plain,
                labels=data.at("labels", step),
                epoch=step,
            )
        )
        loss = terms["clustering"] + terms["labels"]
        loss.backward()
        objective.after_step()
        total = rows + plain
        close(terms["clustering"], data.at("unlab_loss", step) * rows / total)
        close(terms["labels"], data.at("lab_loss", step) * plain / total)
        close(loss, data.at("loss", step))
        close(feats.grad, data.at("grad_student_feats", step))
    for part, value in head.items():
        close(value.grad, data.at(f"grad_student_head_{part}", step))
    close(objective.centre.value, data["center"][step + 1])
