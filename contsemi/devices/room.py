"""Memory of a device that runs out: every kind of error that says so, and what is done then.

torch gives its own cache back and tries again before it raises. cuBLAS, cuDNN and FAISS cannot:
they fail for memory that torch keeps in reserve, and so are worth a second try.
"""

import gc
import re
from collections.abc import Callable
from typing import TypeVar

import torch

from contsemi.errors import OutOfDeviceMemory

_T = TypeVar("_T")

_OUTSIDE = re.compile(
    r"CUBLAS_STATUS_(ALLOC_FAILED|NOT_INITIALIZED)"  # its workspace or handle had no room
    r"|CUDNN_STATUS_(ALLOC_FAILED|NOT_INITIALIZED|INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED)"
    # torch tries one after another, swallows that each had no room, and says but that
    r"|unable to find an engine to execute this computation"
    r"|StandardGpuResources.*(alloc|memory)"  # FAISS
    r"|cudaMalloc error"
    r"|(cusolver|CUFFT).*ALLOC_FAILED"
    r"|CUDA[^:]*: out of memory"  # of the runtime, the driver, or Triton
    r"|NCCL.*out of memory",
    re.IGNORECASE | re.DOTALL,
)


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that a device has no memory left, whoever says it.

    >>> out_of_memory(RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling ..."))
    True
    >>> out_of_memory(RuntimeError("shapes do not match"))
    False
    """
    return isinstance(error, torch.OutOfMemoryError) or outside_torch(error)


def outside_torch(error: BaseException) -> bool:
    """Whether memory ran out for a library that does not share torch's reserve."""
    own = isinstance(error, torch.OutOfMemoryError)
    return isinstance(error, RuntimeError) and not own and bool(_OUTSIDE.search(str(error)))


def free() -> None:
    """Gives back what nobody refers to any more, and what torch keeps in reserve."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def with_room(make: Callable[[], _T], what: str, remedy: str) -> _T:
    """What ``make`` returns; where memory runs out, it is freed and tried once more.

    Args:
        make: can be called again; what it had made when it failed is of no use.
        what: is being made, for the user.
        remedy: what to do where there is no room.

    Raises:
        OutOfDeviceMemory: there is no room for it; the error names it.
    """
    try:
        return make()
    except RuntimeError as error:
        if not out_of_memory(error):
            raise
    # outside of the handler, whose error holds the frames and with them what they had made
    free()
    try:
        return make()
    except RuntimeError as error:
        if not out_of_memory(error):
            raise
        raise OutOfDeviceMemory(f"device: out of memory while making {what}; {remedy}") from error
