"""Dynamic distillation against the arrays of its code."""

import torch
from replayed import VIEWS, Data, a_step, close, experience, gradients_close, of, over, said
from torch import nn

from contsemi.objectives.dynamic import Dynamic
from contsemi.types import Seen


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


@over("dyn_*", "step_numbers", 7)
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
        named = [*net.named_parameters()]
        gradients_close(named, lambda name, t=t: data[f"grad_student_{name}_{t}"])
        if data["centre_on"]:
            close(objective.centre, data[f"centre_{t + 1}"][0])
