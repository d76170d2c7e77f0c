"""bfloat16 is tried before ``precision=auto`` takes it."""

import pytest
import torch
from torch import nn

from contsemi.devices import trial
from contsemi.devices.trial import settled, why_not_reduced


class Fickle(nn.Module):
    """A layer whose gradients are wrong in bfloat16 in some way."""

    num_features = 4

    def __init__(self, wrong):
        super().__init__()
        self.layer, self.wrong, self.calls = nn.Linear(3, 4), wrong, 0

    def forward(self, images):
        found = self.layer(images.mean((2, 3)))
        self.calls += 1
        if found.dtype == torch.float32 or self.wrong == "nothing":
            return found
        return found * (torch.nan if self.wrong == "nan" else self.calls)


PROBLEMS = {"nothing": "", "nan": "not finite", "drift": "other gradients each time"}


@pytest.fixture
def bf16_is_fast(monkeypatch):
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


@pytest.mark.parametrize("wrong", PROBLEMS)
def test_what_is_wrong_is_found(wrong):
    found = why_not_reduced(Fickle(wrong), [(8, 4), (4, 2)], torch.bfloat16)
    assert PROBLEMS[wrong] in found and bool(found) == bool(PROBLEMS[wrong])


@pytest.mark.parametrize("wrong", PROBLEMS)
def test_auto_falls_back_to_float32_and_says_so(wrong, small, monkeypatch, bf16_is_fast):
    monkeypatch.setattr(trial, "build_backbone", lambda *_: Fickle(wrong))
    config, remark = settled(small("precision=auto"))
    assert config.precision == ("auto" if wrong == "nothing" else "fp32")
    assert PROBLEMS[wrong] in remark and bool(remark) == bool(PROBLEMS[wrong])
    assert settled(small("precision=bf16"))[0].precision == "bf16"  # who asks for it gets it


def test_a_model_that_cannot_be_built_is_not_tried(small, bf16_is_fast):
    config = small("precision=auto")
    broken = config.model_copy(update={"model": {"name": "nobody"}})
    assert settled(broken) == (broken, "")
