"""FixMatch against the arrays of its code."""

import torch
from replayed import VIEWS, Data, a_step, close, gradients_close, of, over, said
from torch import nn

from contsemi.objectives.fixmatch import FixMatch


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


@over("fixmatch_*", "logits_weak", 9)
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


@over("fixmatch_network*", "inputs_weak", 1)
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
    gradients_close([*net.named_parameters()], lambda name: data[f"grad_net_{name}"])
