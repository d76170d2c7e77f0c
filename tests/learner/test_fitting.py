"""A state that does not fit, and memory that runs out while it is taken back."""

import pytest
import torch

from contsemi.errors import StateDamaged
from contsemi.learner.fitting import fitting


@pytest.mark.parametrize("error", [KeyError("network"), RuntimeError("shapes do not match")])
def test_what_does_not_fit_is_named(error):
    said = r"^here: the saved state does not fit \(.*(network|shapes).*\); take a copy$"
    with pytest.raises(StateDamaged, match=said), fitting("here", "take a copy"):
        raise error


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory."),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes."),
    ],
)
def test_a_lack_of_memory_says_nothing_of_the_state(error):
    with pytest.raises(type(error)) as caught, fitting("here", "take a copy"):
        raise error
    assert caught.value is error
