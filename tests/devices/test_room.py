"""Device memory that runs out, whoever says so."""

import pytest
import torch

from contsemi.devices.ranks import alive
from contsemi.devices.room import out_of_memory, outside_torch, with_room
from contsemi.errors import OutOfDeviceMemory, RankLost, StepTooLarge
from contsemi.learner.learner import Learner
from contsemi.learner.loop import fit
from contsemi.models.network import Network
from contsemi.pipeline.smaller_parts import with_smaller_parts

OUTSIDE = [
    "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
    "CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`",
    "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
    "cuDNN error: CUDNN_STATUS_NOT_INITIALIZED",
    "Error in virtual void* faiss::gpu::StandardGpuResourcesImpl::allocMemory(const AllocRequest&)"
    ": Error: 'err == cudaSuccess' failed: StandardGpuResources: alloc fail type IVFLists",
    "Error in faiss: Error: 'err == cudaSuccess' failed: cudaMalloc error out of memory [2]",
    "GET was unable to find an engine to execute this computation",  # of a convolution
    "cuFFT error: CUFFT_ALLOC_FAILED",
    "CUDA error: out of memory",
    "CUDA driver error: out of memory",
    "Triton Error [CUDA]: out of memory",
    "NCCL error in: ProcessGroupNCCL.cpp:3384, unhandled cuda error, NCCL version 2.27.5\n"
    "ncclUnhandledCudaError: Call to CUDA function failed.\nLast error:\n"
    "Failed to CUDA calloc async 4 bytes: Cuda failure 2 'out of memory'",
]
OTHERS = ["shapes do not match", "CUDA error: an illegal memory access was encountered"]


def test_every_kind_of_error_that_means_it():
    assert out_of_memory(torch.OutOfMemoryError("CUDA out of memory."))
    assert not outside_torch(torch.OutOfMemoryError("CUDA error: out of memory"))
    for text in OUTSIDE:
        assert out_of_memory(RuntimeError(text)) and outside_torch(RuntimeError(text))
    for text in OTHERS:
        assert not out_of_memory(RuntimeError(text))
    assert not out_of_memory(ValueError(OUTSIDE[0]))


@pytest.mark.parametrize("failures", [0, 1, 2])
@pytest.mark.parametrize("text", [OUTSIDE[0], "torch"])
def test_what_has_no_room_is_tried_once_more_and_named(text, failures):
    calls = []

    def make():
        calls.append(1)
        if len(calls) <= failures:
            raise torch.OutOfMemoryError if text == "torch" else RuntimeError(text)
        return "made"

    if failures < 2:
        assert with_room(make, "the index", "lower it") == "made"
    else:
        with pytest.raises(OutOfDeviceMemory, match="while making the index; lower it"):
            with_room(make, "the index", "lower it")
    assert len(calls) == min(failures + 1, 2)
    with pytest.raises(RuntimeError, match="shapes"):
        with_room(lambda: (_ for _ in ()).throw(RuntimeError(OTHERS[0])), "it", "lower it")


@pytest.mark.thorough
def test_images_are_embedded_in_halves_that_fit(small, stream_of, monkeypatch):
    """The same features, whatever fits; less than one image does not."""
    config = small("precision=fp32", "batch.test=32")
    stream, test = stream_of(config)
    learner = Learner(config)
    learner.begin(stream.experiences[0], stream.images)
    expected = learner.inference.look(test.images[:50]).features
    real, most = Network.forward, [5]

    def narrow(self, images, heads):
        if len(images) > most[0]:
            raise RuntimeError(OUTSIDE[2])
        return real(self, images, heads)

    monkeypatch.setattr(Network, "forward", narrow)
    torch.testing.assert_close(learner.inference.look(test.images[:50]).features, expected)
    most[0] = 0
    with pytest.raises(
        OutOfDeviceMemory, match=r"features of 1 images; take a device with more memory"
    ):
        learner.inference.look(test.images[:50])


def test_a_step_without_room_outside_of_torch_is_too_large(small, stream_of, monkeypatch):
    config = small("precision=fp32")
    stream, _ = stream_of(config)
    for text, again in ((OUTSIDE[0], True), (None, False)):

        def full(*_, text=text):
            raise torch.OutOfMemoryError if text is None else RuntimeError(text)

        monkeypatch.setattr(Learner, "forward", full)
        with pytest.raises(StepTooLarge) as caught:
            fit(Learner(config), stream.experiences[0], stream.images)
        assert caught.value.again is again


def test_the_same_step_is_tried_once_more_before_it_is_halved():
    tried, notes = [], []

    def attempt(pieces):
        tried.append(pieces)
        if len(tried) < 4:
            raise StepTooLarge("cuda:0", pieces, again=True)
        return "done"

    assert with_smaller_parts(attempt, 1, notes.append) == "done"
    assert tried == [1, 1, 2, 4]


@pytest.mark.parametrize("text", [*OUTSIDE, "torch", *OTHERS])
def test_memory_that_runs_out_in_a_collective_operation_is_not_a_lost_rank(text):
    error = torch.OutOfMemoryError() if text == "torch" else RuntimeError(text)
    with pytest.raises(RankLost if text in OTHERS else type(error)), alive():
        raise error
