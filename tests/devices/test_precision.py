"""Devices, precisions and threads."""

import os

import pytest
import torch
from torch import nn

from contsemi.devices.precision import (
    autocast,
    channels_last,
    choose_device,
    choose_precision,
    set_deterministic,
)
from contsemi.errors import InputError

CPU = torch.device("cpu")


def test_auto_takes_the_gpu_where_there_is_one(monkeypatch):
    monkeypatch.setattr(torch.cuda, "set_device", lambda device: None)
    for there in (True, False):
        monkeypatch.setattr(torch.cuda, "is_available", lambda there=there: there)
        monkeypatch.setattr(torch.cuda, "device_count", lambda there=there: int(there))
        assert choose_device("auto").type == ("cuda" if there else "cpu")
    assert choose_device("cpu") == CPU


@pytest.mark.parametrize(("name", "found"), [("cuda", 0), ("cuda:1", 1), ("cuda:7", 2)])
def test_a_gpu_that_is_not_there_is_said(name, found, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: found)
    with pytest.raises(InputError, match=rf"device: {name} asked for, {found} GPUs found; use dev"):
        choose_device(name)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 8)
    chosen = []
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    expected = torch.device("cuda:0" if name == "cuda" else name)
    assert choose_device(name) == expected
    assert chosen == [expected]


def test_precision_by_name_and_by_chip(monkeypatch):
    assert choose_precision("bf16", CPU) == torch.bfloat16
    assert choose_precision("fp32", CPU) == torch.float32
    for first, second in ((True, False), (False, True), (False, False)):
        monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda first=first: first)
        monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda second=second: second)
        expected = torch.bfloat16 if first or second else torch.float32
        assert choose_precision("auto", CPU) == expected
    for fast in (True, False):
        # Emulated bfloat16, which older GPUs have, is slower than float32.
        monkeypatch.setattr(
            torch.cuda, "is_bf16_supported", lambda emulated, fast=fast: fast or emulated
        )
        for capability, other in (((7, 5), torch.float16), ((6, 1), torch.float32)):
            monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _, c=capability: c)
            expected = torch.bfloat16 if fast else other
            assert choose_precision("auto", torch.device("cuda")) == expected


@pytest.mark.parametrize("name", ["tf32", "fp32", "auto", "bf16", "fp16"])
def test_float32_is_float32_unless_tf32_is_asked_for(name):
    flags = torch.backends.cuda.matmul, torch.backends.cudnn
    for before in (True, False):
        for each in flags:
            each.allow_tf32 = before
        choose_precision(name, CPU)
        assert [each.allow_tf32 for each in flags] == [name == "tf32"] * 2
    choose_precision("fp32", CPU)


def test_deterministic_algorithms_are_asked_for_by_the_key(monkeypatch):
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", "")
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG")
    for on in (True, False):
        set_deterministic(on)
        assert torch.are_deterministic_algorithms_enabled() is on
        assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"


@pytest.mark.parametrize("precision", [torch.bfloat16, torch.float16, torch.float32])
def test_products_run_in_the_precision_and_parameters_stay(precision):
    layer = nn.Linear(4, 4)
    with autocast(CPU, precision):
        product = layer(torch.randn(2, 4))
    assert product.dtype == precision
    product.sum().backward()
    assert layer.weight.dtype == layer.weight.grad.dtype == torch.float32


def test_convolutions_get_their_memory_format():
    layer = channels_last(nn.Conv2d(3, 4, 3))
    assert layer.weight.is_contiguous(memory_format=torch.channels_last)
