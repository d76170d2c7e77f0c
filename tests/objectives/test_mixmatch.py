"""MixMatch against the arrays of its code."""

import torch
from replayed import VIEWS, Data, a_step, close, gradients_close, mixed_rows, of, over, said
from torch.nn import functional

from contsemi.objectives.mixmatch import MixMatch


@over("mixmatch_*", "guessed", 8)
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
    gradients_close([*weights.items()], lambda name: data[f"grad_net_{name}"])
