"""t-ReX against the arrays of its code."""

import torch
from replayed import Data, a_step, close, experience, gradients_close, of, over, said
from torch import nn
from torch.nn import functional

from contsemi.objectives.trex import Trex
from contsemi.types import Seen


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


@over("trex_ocm_*", "bank_labels", 5)
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
        gradients_close([*named.items()], lambda name, t=t: data[f"grad_student_{name}_{t}"])
        assert torch.equal(objective.stored.labels, data["bank_labels"][t + 1])
        assert int(objective.stored.written) == int(data["bank_ptr"][t + 1])
    close(objective.stored.rows, data["bank_features_final"])


@over("trex_plain_*", "class_weight_0", 2)
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
        gradients_close([*named.items()], lambda name, t=t: data[f"grad_student_{name}_{t}"])
