"""SimReg and CaSSLe against their official codes, through the distillers."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from contsemi.distillers.cassle import Cassle
from contsemi.distillers.projected import Projected
from contsemi.distillers.simreg import SimReg
from contsemi.types import Outputs, Seen, Step

REFERENCE = Path(__file__).parents[1] / "reference" / "parts"
SIMREG = [p for p in sorted(REFERENCE.glob("simreg_*.npz")) if "student" in np.load(p)]
CASSLE = [p for p in sorted(REFERENCE.glob("cassle_*.npz")) if "distill_loss" in np.load(p)]
KINDS = ("predictive", "contrastive", "decorrelative", "mse", "knowledge")


def test_reference_files_are_there():
    assert len(SIMREG) >= 7
    assert {path.stem.split("_")[1] for path in CASSLE} == set(KINDS)


def read(path):
    with np.load(path, allow_pickle=False) as file:
        return {
            key: torch.from_numpy(np.asarray(value)) if value.ndim else value.item()
            for key, value in file.items()
        }


def close(found, expected):
    found = torch.as_tensor(found).detach()
    rtol, floor = (1e-9, 1e-11) if found.dtype == torch.float64 else (1e-4, 1e-5)
    expected = torch.as_tensor(expected, dtype=torch.float64)
    atol = max(floor * float(expected.abs().max()), floor)
    torch.testing.assert_close(found.double(), expected, rtol=rtol, atol=atol, check_stride=False)


def a_step(seen, batch):
    none = torch.empty(0, dtype=torch.int64)
    return Step(
        seen=seen,
        labels=none,
        labelled_ids=none,
        unlabelled_ids=torch.arange(batch),
        places=torch.arange(batch),
        columns=torch.arange(2, 4),
        num_old=2,
        num_seen=4,
        progress=0.5,
        draw=lambda purpose: torch.Generator(),
    )


def load(module, data, prefix):
    """The module's parameters from the file; their names there."""
    for name, parameter in module.named_parameters():
        parameter.data.copy_(data[f"{prefix}{name}"])


@pytest.mark.parametrize("path", SIMREG, ids=lambda path: path.stem)
def test_simreg(path):
    data = read(path)
    distiller = SimReg(
        shares=data["weights"].tolist(), layers=data["layers"], linear=data["layers"] == 2
    )
    student = data["student"].clone().requires_grad_()
    heads, said = [], {}
    for k, head in enumerate(distiller.needs.heads):
        module = head.build(student.shape[1], torch.Generator())
        module[-1] = nn.Linear(module[-1].in_features, data[f"teacher{k}"].shape[1])
        module = module.to(student.dtype)
        load(module, data, f"head{k}_")
        heads.append(module)
        said[head.name] = module(student)
    teachers = [data[f"teacher{k}"].clone().requires_grad_() for k in range(len(heads))]
    past = tuple(Outputs(each, {}) for each in teachers)
    seen = {"large": Seen(student=Outputs(student, said), past=past, number=1)}
    terms = distiller.terms(a_step(seen, len(student)))
    assert terms.keys() == {"regression"}
    terms["regression"].backward()
    close(terms["regression"], data["loss"])
    close(student.grad, data["grad_student"])
    assert all(each.grad is None for each in teachers)
    for k, module in enumerate(heads):
        for name, parameter in module.named_parameters():
            close(parameter.grad, data[f"grad_head{k}_{name}"])
        for name, buffer in module.named_buffers():
            if f"head{k}_{name}_after" in data:
                close(buffer, data[f"head{k}_{name}_after"])


@pytest.mark.parametrize("path", CASSLE, ids=lambda path: path.stem)
def test_cassle(path):
    data = read(path)
    kind = path.stem.split("_")[1]
    distiller = Cassle(
        kind=kind,
        hidden=data["hidden_dim"],
        temperature=data.get("temperature", 0.2),
        off_diagonal=data.get("distill_barlow_lamb", 0.005),
        scale=data.get("distill_scale_loss", 0.1),
        host="clusters",
    )
    heads = {h.name: h for h in distiller.needs.heads if not isinstance(h, str)}
    views = [data[f"z{i}"].clone().requires_grad_() for i in (1, 2)]
    wide = views[0].dtype
    predictor = heads["predicted_past"].build(data["dim"], torch.Generator()).to(wide)
    load(predictor, data, "predictor_")
    predicted = torch.cat([predictor(view) for view in views])  # by view, as there
    then = torch.cat([data[f"frozen_z{i}"] for i in (1, 2)])
    now, past = {"predicted_past": predicted}, {"projector": then}
    if kind == "knowledge":
        directions = heads["past_directions"].build(data["dim"], torch.Generator()).to(wide)
        directions.weight = nn.Parameter(data["distill_prototypes_weight_v"].clone())
        directions.gain = nn.Parameter(data["distill_prototypes_weight_g"][:, 0].clone())
        now["past_directions"] = directions(predicted)
        frozen = functional.normalize(data["frozen_prototypes_weight_v"], dim=1)
        frozen = frozen * data["frozen_prototypes_weight_g"]
        past["clusters"] = functional.linear(functional.normalize(then, dim=1), frozen)
    seen = {
        "large": Seen(student=Outputs(predicted[:, :0], now), past=(Outputs(then, past),), number=2)
    }
    terms = distiller.terms(a_step(seen, data["batch"]))
    assert terms.keys() == {"embeddings"}
    (data["lam"] * terms["embeddings"]).backward()
    close(terms["embeddings"], data["distill_loss"])
    for i, view in enumerate(views, start=1):
        close(view.grad, data[f"grad_z{i}"])
    for name, parameter in predictor.named_parameters():
        close(parameter.grad, data[f"grad_predictor_{name}"])
    if kind == "knowledge":
        close(directions.weight.grad, data["grad_distill_prototypes_weight_v"])
        close(directions.gain.grad, data["grad_distill_prototypes_weight_g"][:, 0])


@pytest.mark.parametrize(
    "distiller",
    [
        SimReg(shares=[1.0], layers=4, linear=False),
        Projected(hidden=8, of="past"),
        Projected(hidden=8, of="start"),
        Cassle(
            kind="predictive",
            hidden=8,
            temperature=0.1,
            off_diagonal=1.0,
            scale=1.0,
            host="clusters",
        ),
    ],
    ids=lambda distiller: type(distiller).__name__,
)
def test_no_past_no_term(distiller):
    rows = Outputs(torch.zeros(2, 3), {})
    assert distiller.terms(a_step({"large": Seen(student=rows)}, 2)) == {}
    assert distiller.terms(a_step({}, 0)) == {}


@pytest.mark.parametrize("of", ["past", "start"])
def test_projected_is_held_to_the_frozen_network_that_is_named(of):
    draw = torch.Generator().manual_seed(0)
    read_off, past, start = (torch.randn(6, 3, generator=draw) for _ in range(3))
    read_off.requires_grad_()
    student = Outputs(torch.zeros(6, 3), {"projected": read_off})
    seen = Seen(student=student, past=(Outputs(past, {}),), start=Outputs(start, {}))
    distiller = Projected(hidden=8, of=of)
    found = distiller.terms(a_step({"large": seen}, 6))["projected"]
    then = (past if of == "past" else start).double().numpy()
    apart = read_off.detach().double().numpy() - then
    close(found, np.mean(apart**2) / np.mean((then - then.mean(0)) ** 2))
    found.backward()
    close(read_off.grad, 2 * apart / apart.size / np.mean((then - then.mean(0)) ** 2))
    assert (distiller.needs.pasts, distiller.needs.start) == ((1, 0) if of == "past" else (0, 1))


def test_several_pasts_are_weighed_and_those_that_are_missing_left_out():
    distiller = SimReg(shares=[1.0, 0.5], layers=4, linear=False)
    here, there = torch.eye(2), torch.eye(2).flip(0)
    said = Outputs(here, {"regressed_0": here, "regressed_1": here})
    both = Seen(student=said, past=(Outputs(there, {}), Outputs(-here, {})), number=1)
    assert distiller.terms(a_step({"large": both}, 2))["regression"] == 2 + 0.5 * 4
    one = Seen(student=said, past=(Outputs(there, {}),), number=1)
    assert distiller.terms(a_step({"large": one}, 2))["regression"] == 2
