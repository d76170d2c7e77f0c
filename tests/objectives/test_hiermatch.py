"""HierMatch against the arrays of its code."""

import torch
from replayed import VIEWS, Data, a_step, close, mixed_rows, of, over, said
from torch.nn import functional

from contsemi.models.heads import Classifier
from contsemi.objectives.hiermatch import HierMatch
from contsemi.types import Seen


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


@over("hiermatch_heads*", "features", 5)
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


@over("hiermatch_step*", "features_x", 2)
def test_hiermatch_with_one_pile(path):
    data = Data(path)
    objective, heads = hiermatch(data)
    names = ("features_x", "features_u1", "features_u2")
    rows = [data.leaf(name) for name in names]
    mixed, drawn = mixed_rows(rows, data, 0)
    with torch.no_grad():
        weak = said(**{name: head(torch.cat(rows[1:])) for name, head in heads.items()})
    seen = {
        "labelled": Seen(coarse=data["labels1"]),
        "weak": of(weak, 2),
        "mixed_fine": of(said(**{name: head(mixed) for name, head in heads.items()}), **drawn),
    }
    step = a_step(
        seen,
        len(rows[1]),
        len(data["head0_bias"]),
        labels=data["labels0"],
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


@over("hiermatch_step*", "features_x0", 2)
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
        seen["labelled"] = Seen(coarse=coarse)
        step = a_step(
            seen,
            len(rows[1]),
            len(data["head0_bias"]),
            labels=data["labels0"],
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
