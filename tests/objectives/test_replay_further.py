"""FixMatch, MixMatch, HierMatch, t-ReX, dynamic distillation and CCIC against their codes.

The arrays are played through the objectives, step by step; everything that a file may vary is read
from it, so that another file of the same kind only has to be laid beside the others.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from contsemi.models.heads import Classifier
from contsemi.objectives.ccic import Ccic
from contsemi.objectives.dynamic import Dynamic
from contsemi.objectives.fixmatch import FixMatch
from contsemi.objectives.hiermatch import HierMatch
from contsemi.objectives.mixmatch import MixMatch
from contsemi.objectives.trex import Trex
from contsemi.types import Experience, Outputs, Seen, Step

REFERENCE = Path(__file__).parents[1] / "reference" / "parts"


class Data(dict):
    """The arrays of one file as tensors, its constants as numbers."""

    def __init__(self, path):
        with np.load(path, allow_pickle=False) as file:
            for key, value in file.items():
                self[key] = torch.from_numpy(np.asarray(value)) if value.ndim else value.item()

    def leaf(self, name):
        return self[name].clone().requires_grad_()


def files(pattern, key):
    """Those of the files that have a key."""
    found = sorted(REFERENCE.glob(f"{pattern}.npz"))
    return [path for path in found if key in np.load(path, allow_pickle=False)]


def over(pattern, key):
    return pytest.mark.parametrize("path", files(pattern, key), ids=lambda path: path.stem)


def test_reference_files_are_there():
    kinds = {
        "fixmatch_*": "logits_weak",
        "mixmatch_*": "guessed",
        "hiermatch_heads*": "features",
        "hiermatch_step*": "permutation",
        "trex_ocm_*": "bank_labels",
        "trex_plain_*": "class_weight_0",
        "dyn_*": "step_numbers",
        "ccic_triplet*": "embeddings",
        "ccic_knn*": "memory",
    }
    least = [9, 8, 5, 4, 5, 2, 7, 4, 2]
    assert [len(files(*each)) for each in kinds.items()] >= least


def close(found, expected):
    found = torch.as_tensor(found).detach()
    exact = found.dtype == torch.float64
    expected = torch.as_tensor(expected, dtype=torch.float64)
    rtol, floor = (1e-9, 1e-11) if exact else (1e-4, 1e-5)
    largest = float(expected.abs().max()) if expected.numel() else 0.0
    torch.testing.assert_close(
        found.double(), expected, rtol=rtol, atol=max(floor * largest, 1e-11), check_stride=False
    )


def a_step(seen, batch, classes, **given):
    """A step of a task of which all classes are new; only what matters is given."""
    labels = given.get("labels", torch.empty(0, dtype=torch.int64))
    unknown = torch.full_like(labels, -1)
    return Step(
        seen=seen,
        **{
            "labels": labels,
            "from_memory": torch.zeros(len(labels), dtype=torch.bool),
            "labelled_ids": torch.arange(len(labels)),
            "unlabelled_ids": torch.arange(batch),
            "places": torch.arange(batch),
            "coarse": unknown,
            "coarse_only": unknown[:0],
            "columns": torch.arange(classes),
            "num_old": 0,
            "num_seen": classes,
            "progress": 0.5,
            "draw": lambda purpose: torch.Generator(),
        }
        | given,
    )


def said(**heads):
    rows = next(iter(heads.values()))
    return Outputs(heads.pop("features", rows[:, :0]), heads)


def of(outputs, number=1, **given):
    return Seen(student=outputs, number=number, **given)


def experience(classes, images=0):
    empty = torch.empty(0, dtype=torch.int64)
    return Experience(0, tuple(range(classes)), 0, classes, empty, empty, torch.arange(images))


VIEWS = {"labelled_views": 1, "supports_per_class": 0}


# FixMatch


def fixmatch(data):
    return FixMatch(
        **VIEWS,
        rule="fixed",
        threshold=data["threshold"],
        momentum=0.999,
        temperature=data.get("pseudo_temperature", 1.0),
        fairness=0.0,
        among="current",
        smoothing=0.0,
        teacher=[0.999, 0.999],
    )


def fixmatch_step(data, labelled, weak, strong):
    seen = {
        name: of(said(classifier=logits))
        for name, logits in (("labelled", labelled), ("weak", weak), ("strong", strong))
    }
    return a_step(seen, len(weak), data["num_classes"], labels=data["labels"])


@over("fixmatch_*", "logits_weak")
def test_fixmatch(path):
    data = Data(path)
    rows = [data.leaf(f"logits_{kind}") for kind in ("x", "weak", "strong")]
    terms = fixmatch(data).terms(fixmatch_step(data, *rows))
    loss = terms["labels"] + data["lambda_u"] * terms["pseudo"]
    loss.backward()
    close(terms["labels"], data["loss_x"])
    close(terms["pseudo"], data["loss_u"])
    close(loss, data["loss"])
    close(rows[0].grad, data["grad_x"])
    assert rows[1].grad is None
    close(rows[2].grad, data["grad_strong"])


@over("fixmatch_network*", "inputs_weak")
def test_fixmatch_with_a_network(path):
    data = Data(path)
    sizes = data["net_0.weight"].shape
    net = nn.Sequential(
        nn.Linear(sizes[1], sizes[0]),
        nn.BatchNorm1d(sizes[0]),
        nn.ReLU(),
        nn.Linear(sizes[0], data["num_classes"]),
    ).to(data["inputs_x"].dtype)
    net.load_state_dict(
        {k[4:]: v for k, v in data.items() if k.startswith("net_") and "after" not in k},
        strict=False,
    )
    names = [f"inputs_{kind}" for kind in ("x", "weak", "strong")]
    rows = [data.leaf(name) for name in names]
    logits = net(torch.cat(rows)).split([len(each) for each in rows])
    terms = fixmatch(data).terms(fixmatch_step(data, *logits))
    loss = terms["labels"] + data["lambda_u"] * terms["pseudo"]
    loss.backward()
    close(loss, data["loss"])
    for name, each in zip(names, rows, strict=True):
        close(each.grad, data[f"grad_{name}"])
    for name, parameter in net.named_parameters():
        close(parameter.grad, data[f"grad_net_{name}"])


# MixMatch and HierMatch


def mixed_rows(rows, data, level=None):
    """Rows of everything, each with its partner, and what was drawn for that."""
    lam, partners = data["lam_drawn"], data["permutation"]
    if level is not None:
        lam, partners = float(lam[min(level, len(lam) - 1)]), partners[min(level, len(lam) - 1)]
    lam, rows = max(lam, 1 - lam), torch.cat(rows)
    return lam * rows + (1 - lam) * rows[partners], {"share": lam, "partners": partners}


@over("mixmatch_*", "guessed")
def test_mixmatch(path):
    data = Data(path)
    weights = {k[4:]: v.clone().requires_grad_() for k, v in data.items() if k.startswith("net_")}

    def net(rows):
        hidden = functional.linear(rows, weights["l1.weight"], weights["l1.bias"]).tanh()
        return functional.linear(hidden, weights["l2.weight"], weights["l2.bias"])

    names = ("inputs_x", "inputs_u1", "inputs_u2")
    rows = [data.leaf(name) for name in names]
    with torch.no_grad():
        weak = torch.cat([net(each) for each in rows[1:]])
    mixed, drawn = mixed_rows(rows, data)
    objective = MixMatch(
        **VIEWS,
        guesses=2,
        temperature=data["temperature"],
        alpha=0.75,
        ramp=float(data["ramp_epochs"] > 0),
        among="current",
        teacher=[0.999, 0.999],
    )
    seen = {
        "weak": of(said(classifier=weak), 2),
        "mixed": of(said(classifier=net(mixed)), **drawn),
    }
    progress = data["epoch"] / max(data["ramp_epochs"], 1)
    terms = objective.terms(
        a_step(seen, len(rows[1]), data["num_classes"], labels=data["labels"], progress=progress)
    )
    loss = terms["labels"] + data["lambda_u_max"] * terms["guesses"]
    loss.backward()
    close(terms["labels"], data["loss_x"])
    close(loss, data["loss"])
    for name, each in zip(names, rows, strict=True):
        close(each.grad, data[f"grad_{name}"])
    for name, each in weights.items():
        close(each.grad, data[f"grad_net_{name}"])


def hiermatch(data, **given):
    levels = data["levels"]
    fine, coarse, *top = [len(data[f"head{level}_bias"]) for level in range(levels)]
    above = [min(i, top[0] - 1) for i in range(coarse)] if top else []
    if "parent_level2_of_fine" in data:
        parents = (data[f"parent_level{level}_of_fine"].tolist() for level in (1, 2))
        found = dict(zip(*parents, strict=True))
        above = [found.get(i, 0) for i in range(coarse)]
    values = {
        "coarse_classes": coarse,
        "top": above,
        "base": "mixmatch",
        "threshold": 0.95,
        "mixes": "shared",
        "guesses": 2,
        "temperature": data.get("temperature", 0.5),
        "alpha": 0.75,
        "ramp": 1.0,
        "among": "current",
        "teacher": [],
    }
    objective = HierMatch(**VIEWS, **values | given)
    heads = []
    for level, head in enumerate(objective.needs.heads):
        module = head.build(data["feature_dim"], torch.Generator())
        if isinstance(module, Classifier) and not level:
            module.grow(fine, torch.Generator())
        module = module.to(data["head0_weight"].dtype)
        module.load_state_dict({name: data[f"head{level}_{name}"] for name in ("weight", "bias")})
        heads.append(module)
    return objective, dict(zip(objective.levels, heads, strict=True))


@over("hiermatch_heads*", "features")
def test_heads_of_hiermatch(path):
    data = Data(path)
    _, heads = hiermatch(data)
    for level, (name, head) in enumerate(heads.items()):
        features = data.leaf("features")
        logits = head(features)
        close(logits, data[f"logits{level}"])
        loss = functional.cross_entropy(logits, data[f"labels{level}"])
        loss.backward()
        close(loss, data[f"loss{level}"])
        close(features.grad, data[f"grad_features_level{level}"])
        close(head.weight.grad, data[f"grad_head{level}_weight_level{level}"])
        if name != "fine":  # the zero cross-gradient
            assert not features.grad[:, heads["fine"].start :].any()


def check_heads(heads, data):
    for level, head in enumerate(heads.values()):
        close(head.weight.grad, data[f"grad_head{level}_weight"])
        close(head.bias.grad, data[f"grad_head{level}_bias"])


@over("hiermatch_step*", "features_x")
def test_hiermatch_with_one_pile(path):
    data = Data(path)
    objective, heads = hiermatch(data)
    names = ("features_x", "features_u1", "features_u2")
    rows = [data.leaf(name) for name in names]
    mixed, drawn = mixed_rows(rows, data, 0)
    with torch.no_grad():
        weak = said(**{name: head(torch.cat(rows[1:])) for name, head in heads.items()})
    seen = {
        "weak": of(weak, 2),
        "mixed_fine": of(said(**{name: head(mixed) for name, head in heads.items()}), **drawn),
    }
    step = a_step(
        seen,
        len(rows[1]),
        len(data["head0_bias"]),
        labels=data["labels0"],
        coarse=data["labels1"],
        progress=data["epoch"] / data["ramp_epochs"],
    )
    terms = objective.terms(step)
    loss = terms["labels"] + data["lambda_u_max"] * terms["guesses"]
    loss.backward()
    close(terms["labels"], sum(data[f"loss_x{level}"] for level in range(data["levels"])))
    close(loss, data["loss"])
    for name, each in zip(names, rows, strict=True):
        close(each.grad, data[f"grad_{name}"])
    check_heads(heads, data)


@over("hiermatch_step*", "features_x0")
def test_hiermatch_with_a_pile_for_each_level(path):
    data = Data(path)
    objective, heads = hiermatch(data, mixes="own")
    losses = []
    for level, (name, head) in enumerate(heads.items()):
        names = [f"features_{kind}{level}" for kind in ("x", "u1", "u2")]
        rows = [data.leaf(each) for each in names]
        mixed, drawn = mixed_rows(rows, data, level)
        with torch.no_grad():
            weak = said(**{name: head(torch.cat(rows[1:]))})
        seen = {"weak": of(weak, 2), f"mixed_{name}": of(said(**{name: head(mixed)}), **drawn)}
        coarse = data[f"labels{level}"] if level else torch.full_like(data["labels0"], -1)
        if level == 2:  # any coarse class that lies below
            coarse = torch.tensor([list(objective.top).index(int(each)) for each in coarse])
        step = a_step(
            seen,
            len(rows[1]),
            len(data["head0_bias"]),
            labels=data["labels0"],
            coarse=coarse,
            progress=data["epoch"] / data["ramp_epochs"],
        )
        terms = objective.terms(step)
        close(terms["labels"], data[f"loss_x{level}"])
        losses.append(terms["labels"] + data["lambda_u_max"] * terms["guesses"])
        losses[-1].backward()
        for each, row in zip(names, rows, strict=True):
            close(row.grad, data[f"grad_{each}"])
    close(sum(losses), data["loss"])
    check_heads(heads, data)


# t-ReX


def trex(data, memory):
    return Trex(
        labelled_views=1,
        small_views=data["crops"] - 1,
        supports_per_class=0,
        temperature=data["temperature"],
        memory=memory,
        hidden_layers=data["hidden_layers"],
        hidden=data["hidden_dim"],
        size=data["proj_dim"],
        teacher=[data["ema_momentum"]] * 2 if memory else [],
        one_queue=True,
        drop_overflow=True,
        absent_as_zero=True,
    )


def load_projector(module, data, who, step):
    """The parameters of a step, and their names in the file."""
    linear = [each for each in module if isinstance(each, nn.Linear)]
    norms = [each for each in module if isinstance(each, nn.BatchNorm1d)]
    named = {f"layers.{len(norms) + 1}.weight": linear[-1].weight}
    for i, (fc, norm) in enumerate(zip(linear[:-1], norms, strict=True), start=1):
        named |= {
            f"layers.{i}.fc.weight": fc.weight,
            f"layers.{i}.fc.bias": fc.bias,
            f"layers.{i}.bn.weight": norm.weight,
            f"layers.{i}.bn.bias": norm.bias,
        }
    for name, parameter in named.items():
        parameter.data.copy_(data[f"{who}_{name}_{step}"])
        parameter.grad = None
    return named


def crops(outputs, batch):
    """The first crop, and the others."""
    first = outputs.rows(slice(batch))
    rest = outputs.rows(slice(batch, None))
    count = len(rest) // batch
    seen = {"labelled": of(first)}
    return seen | ({"crops": of(rest, count)} if count else {})


@over("trex_ocm_*", "bank_labels")
def test_trex_with_a_memory(path):
    data = Data(path)
    objective = trex(data, data["bank_size"])
    batch, wide = data["labels"].shape[1], data["crops_raw"].dtype
    head = objective.needs.heads[0]
    student, slow = (
        head.build(data["crops_raw"].shape[2], torch.Generator()).to(wide) for _ in range(2)
    )
    objective.begin(experience(data["num_classes"]))
    objective.stored.hold(data["bank_features_0"], data["bank_labels"][0])
    objective.after_step()
    for t in range(data["steps"]):
        named = load_projector(student, data, "student", t)
        load_projector(slow, data, "ema", t + 1)
        close(objective.stored.directions()[0], data[f"prototypes_{t}"])
        rows = data["crops_raw"][t].clone().requires_grad_()
        seen = crops(said(expendable=student(rows)), batch)
        with torch.no_grad():
            first = said(expendable=slow(rows[:batch]))
        seen["labelled"] = Seen(student=seen["labelled"].student, teacher=first)
        labels = data["labels"][t]
        terms = objective.terms(a_step(seen, 0, data["num_classes"], labels=labels))
        terms["labels"].backward()
        objective.after_step()
        close(terms["labels"], data["loss"][t])
        close(rows.grad, data[f"grad_crops_{t}"])
        for name, parameter in named.items():
            close(parameter.grad, data[f"grad_student_{name}_{t}"])
        assert torch.equal(objective.stored.labels, data["bank_labels"][t + 1])
        assert int(objective.stored.written) == int(data["bank_ptr"][t + 1])
    close(objective.stored.rows, data["bank_features_final"])


@over("trex_plain_*", "class_weight_0")
def test_trex_with_learned_directions(path):
    data = Data(path)
    objective = trex(data, 0)
    batch, wide = data["labels"].shape[1], data["crops_raw"].dtype
    student = objective.needs.heads[0].build(data["crops_raw"].shape[2], None).to(wide)
    objective.begin(experience(data["num_classes"]))
    for t in range(data["steps"]):
        named = load_projector(student, data, "student", t)
        rows = data["crops_raw"][t].clone().requires_grad_()
        weight = data.leaf(f"class_weight_{t}")
        unit = functional.normalize if data["temperature"] else (lambda x: x)
        scores = functional.linear(unit(student(rows)), unit(weight))
        seen = crops(said(classes=scores), batch)
        terms = objective.terms(a_step(seen, 0, data["num_classes"], labels=data["labels"][t]))
        terms["labels"].backward()
        close(terms["labels"], data["loss"][t])
        close(rows.grad, data[f"grad_crops_{t}"])
        close(weight.grad, data[f"grad_class_weight_{t}"])
        for name, parameter in named.items():
            close(parameter.grad, data[f"grad_student_{name}_{t}"])


# Dynamic distillation


def dynamic_net(data, who, step):
    """A network of a step, and the names of its parameters in the file."""
    weight = data[f"{who}_0.0.weight_{step}"]
    parts = [nn.Linear(weight.shape[1], weight.shape[0])]
    parts += [nn.BatchNorm1d(len(weight))] if data["batch_norm"] else []
    body = nn.Sequential(*parts)
    net = nn.ModuleList([body, nn.Linear(len(weight), data["num_classes"])]).to(weight.dtype)
    for name, parameter in net.named_parameters():
        parameter.data.copy_(data[f"{who}_{name}_{step}"])
    return net, lambda rows: net[1](net[0](rows).tanh())


@over("dyn_*", "step_numbers")
def test_dynamic(path):
    data = Data(path)
    objective = Dynamic(
        **VIEWS,
        teacher=[data["ema_momentum"]] * 2,
        teacher_temperature=data["teacher_temperature"],
        at_border="keep",
        ramp=bool(data["cosine_weight"]),
        centre_momentum=data["centre_momentum"] if data["centre_on"] else 0.0,
        centre_twice=True,
        among="current",
        smoothing=0.0,
    )
    objective.begin(experience(data["num_classes"]))
    for t, number in enumerate(data["step_numbers"].tolist()):
        net, student = dynamic_net(data, "student", t)
        _, teacher = dynamic_net(data, "teacher", t + 1)
        labelled, strong = data["inputs_x"][t].clone(), data["inputs_strong"][t].clone()
        rows = [labelled.requires_grad_(), strong.requires_grad_()]
        logits = student(torch.cat(rows))
        with torch.no_grad():
            weak = said(classifier=teacher(data["inputs_weak"][t]))
        seen = {
            "labelled": of(said(classifier=logits[: len(labelled)])),
            "weak": Seen(teacher=weak),
            "strong": of(said(classifier=logits[len(labelled) :])),
        }
        progress = number / data["total_steps"]
        labels = data["labels"][t]
        terms = objective.terms(
            a_step(seen, len(strong), data["num_classes"], labels=labels, progress=progress)
        )
        loss = data["weight_ce"] * terms["labels"] + data["weight_u"] * terms["distillation"]
        loss.backward()
        objective.after_step()
        close(terms["labels"], data["loss_ce"][t])
        close(terms["distillation"], data["lambda_u"][t] * data["loss_u"][t])
        close(loss, data["loss"][t])
        close(rows[0].grad, data[f"grad_x_{t}"])
        close(rows[1].grad, data[f"grad_strong_{t}"])
        for name, parameter in net.named_parameters():
            close(parameter.grad, data[f"grad_student_{name}_{t}"])
        if data["centre_on"]:
            close(objective.centre, data[f"centre_{t + 1}"][0])


# CCIC


def ccic(data):
    return Ccic(
        **VIEWS,
        guesses=3,
        temperature=0.5,
        alpha=0.75,
        memory_weight=1.0,
        hardest=data["k"],
        margin=data.get("margin", 1.0),
        soft=bool(data.get("soft_margin", 0)),
        until=0.9,
        neighbours=data["k"],
    )


@over("ccic_triplet*", "embeddings")
def test_triplets_of_ccic(path):
    data = Data(path)
    rows = data.leaf("embeddings")
    seen = {"labelled": of(Outputs(rows, {}))}
    terms = ccic(data).terms(a_step(seen, 0, 9, labels=data["labels"]))
    (grad,) = torch.autograd.grad(terms["triplets"], rows)
    if "triplet_is_none" in data:
        assert terms["triplets"] == 0 and not grad.any()
    else:
        close(terms["triplets"], data["triplet_loss"])
        close(grad, data["triplet_grad"])


def test_ccic_as_released_averages_copies_of_different_images():
    """Copies a1 a2 b1 b2 read as a1 b1 a2 b2; squares of logits; no mixing of targets."""
    draw = torch.Generator().manual_seed(0)
    copies = torch.rand(4, 3, generator=draw).double()  # a1 b1 a2 b2, two copies of two images
    logits = torch.randn(7, 3, generator=draw).double().requires_grad_()
    labels, stored = torch.tensor([0, 2, 1]), torch.tensor([False, True, False])
    mixed = Seen(
        student=said(classifier=logits), share=0.6, partners=torch.tensor([3, 0, 1, 2, 6, 5, 4])
    )
    seen = {"weak": of(said(classifier=copies)), "mixed": mixed}
    step = a_step(seen, 2, 3, labels=labels, from_memory=stored)
    values = {"temperature": 0.5, "guesses": 2, "memory_weight": 0.5, "as_released": True}
    terms = replace(ccic({"k": 2}), **values).terms(step)
    a1, b1, a2, b2 = copies
    means = torch.stack([(a1 + b1) / 2, (a2 + b2) / 2]) ** 2
    guesses = means / means.sum(dim=1, keepdim=True)
    rows = -logits[:3].log_softmax(dim=1)[range(3), labels]
    close(terms["labels"], ((rows[0] + rows[2]) / 2 + 0.5 * rows[1]).detach())
    apart = (logits[3:] - torch.cat([guesses, guesses])).square().mean()
    close(terms["guesses"], apart.detach() / 3)


@over("ccic_triplet*", "negative_only_loss")
def test_distance_from_the_memory_of_ccic(path):
    data = Data(path)
    rows, stored = data.leaf("embeddings"), data["is_memory"] > 0
    seen = {
        "labelled": of(Outputs(rows[stored], {})),
        "between": of(Outputs(rows[stored], {})),
        "apart": of(Outputs(rows[~stored], {})),
    }
    step = a_step(
        seen,
        int((~stored).sum()),
        9,
        labels=data["labels"][stored],
        from_memory=torch.ones(int(stored.sum()), dtype=torch.bool),
        num_old=5,
    )
    loss = ccic(data).terms(step)["apart"]
    loss.backward()
    close(loss, data["negative_only_loss"])
    close(rows.grad, data["negative_only_grad"])


@over("ccic_knn*", "memory")
def test_predictions_of_ccic(path):
    data = Data(path)
    objective = ccic(data)
    seen = data["classes_per_task"] * data["tasks_seen"]
    objective.begin(experience(seen))
    scores = objective.predict(
        Outputs(data["features"], {}), (Outputs(data["memory"], {}), data["memory_labels"])
    )
    close(scores, data["scores"][:, :seen])
    assert torch.equal(scores.argmax(1), data["prediction"])
