"""A GPU that is none, so that what only a GPU shows is also seen where there is none.

A tensor on it wraps one of the host, and every operation is done there. What differs from the
host is kept: tensors of both sides do not mix, what comes home is a copy, random numbers have a
generator of the device, code that asks for the device's type takes the GPU's branch, and whatever
the host has to wait for is counted. Kernels, memory and speed are the host's, and autocast does not
know the device: what comes of those shows on a real GPU alone.
"""

import traceback
from collections import Counter

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import (
    TorchDispatchMode,
    _disable_current_modes,
    return_and_correct_aliasing,
)
from torch.utils._pytree import tree_flatten, tree_map_only

CUDA = torch.device("cuda", 0)
HOST = torch.device("cpu")
# What the C++ side takes such a tensor for; with CUDA, autograd would look for a thread of its own.
NOWHERE = torch.device("meta")

MOVES = ("_to_copy", "copy_")
INDEXING = ("index", "index_put", "index_put_", "_index_put_impl_")  # indices may be of the host
WAITS = (
    "_local_scalar_dense",
    "_unique2",
    "bincount",
    "equal",
    "is_nonzero",
    "masked_select",
    "nonzero",
    "unique_consecutive",
    "unique_dim",
)


class OnGpu(Tensor):
    """A tensor of the pretended GPU around one of the host, which holds its numbers."""

    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, inner):
        with _disable_current_modes():
            count = inner.untyped_storage().nbytes() // inner.element_size()
            blank = torch.empty(count, dtype=inner.dtype, device=NOWHERE)
            blank = blank.as_strided(inner.shape, inner.stride(), inner.storage_offset())
        return Tensor._make_subclass(
            cls, blank, inner.requires_grad, dispatch_device=True, device_for_backend_keys=CUDA
        )

    def __init__(self, inner):
        self.inner = inner

    @classmethod
    def __torch_dispatch__(cls, function, types, args=(), kwargs=None):
        return Gpu.here.run(function, args, kwargs or {})

    device = property(lambda self: CUDA)
    is_cuda = property(lambda self: True)
    is_meta = property(lambda self: False)

    @property
    def data(self):
        return self.detach()

    @data.setter
    def data(self, value):
        Tensor.data.__set__(self, value)
        self.inner = value.inner

    def to(self, *args, **kwargs):
        made = Tensor.to(self, *args, **kwargs)
        asked = kwargs.get("copy") or kwargs.get("memory_format")
        there = isinstance(made, OnGpu) and made.dtype == self.dtype
        return self if there and not asked else made

    def tolist(self):
        return self.cpu().tolist()

    def numpy(self, *args, **kwargs):
        raise TypeError("can't convert cuda:0 device type tensor to numpy")

    __array__ = numpy

    def untyped_storage(self):
        return self.inner.untyped_storage()

    def __getitem__(self, index):
        return Tensor.__getitem__(self, index_on_gpu(index))

    def __setitem__(self, index, value):
        Tensor.__setitem__(self, index_on_gpu(index), value)

    def __deepcopy__(self, memo):
        made = self.detach().clone().requires_grad_(self.requires_grad)
        made.__dict__ |= {key: x for key, x in self.__dict__.items() if key != "inner"}
        memo[id(self)] = made
        return made

    def __repr__(self):
        return f"OnGpu({self.inner!r})"


def index_on_gpu(index):
    """Lists of places as tensors: C++ would make them where it takes the indexed tensor to be."""
    if isinstance(index, tuple):
        return tuple(map(index_on_gpu, index))
    places = isinstance(index, list | range) and all(isinstance(each, int) for each in index)
    return torch.tensor(list(index), device=CUDA) if places else index


class Gpu(TorchDispatchMode):
    """Does all operations of :class:`OnGpu` tensors, and makes those that are asked for.

    Attributes:
        waits: operations for which the host waits, with the line of contsemi that asked.
    """

    here = None  # the only one

    def __init__(self):
        super().__init__()
        self.waits = Counter()
        Gpu.here = self

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        return self.run(function, args, kwargs or {})

    def run(self, function, args, kwargs):
        """One operation."""
        if function is torch.ops.prim.device.default:
            return NOWHERE
        tensors = [each for each in tree_flatten((args, kwargs))[0] if isinstance(each, Tensor)]
        there = [each for each in tensors if isinstance(each, OnGpu)]
        asked = None if kwargs.get("device") is None else torch.device(kwargs["device"])
        if not there and (asked is None or asked == HOST):
            return function(*args, **kwargs)
        name = function.overloadpacket.__name__
        if there:
            self._check(name, [each for each in tensors if not isinstance(each, OnGpu)])
            if self._waits(name, args, asked):
                late = name in MOVES and (kwargs.get("non_blocking") or args[2:3] == (True,))
                assert not late, f"{name}: read at home before the copy is there"
                self.waits[f"{name} at {place()}"] += 1
        home = asked == HOST or (name == "copy_" and not isinstance(args[0], OnGpu))
        if asked is not None:
            kwargs = kwargs | {"device": HOST}
        inner_args, inner_kwargs = tree_map_only(OnGpu, lambda x: x.inner, (args, kwargs))
        made = function(*inner_args, **inner_kwargs)
        if home:
            return made
        made = tree_map_only(Tensor, OnGpu, made)
        return return_and_correct_aliasing(function, args, kwargs, made) if there else made

    @staticmethod
    def _check(name, strangers):
        for each in strangers:
            assert not each.is_meta, f"{name}: numbers were lost on their way to the pretended GPU"
            if each.ndim and name not in MOVES and name not in INDEXING:
                problem = f"{name}: expected all tensors to be on the same device, found cuda:0"
                raise RuntimeError(f"{problem} and cpu, {list(each.shape)}")

    @staticmethod
    def _waits(name, args, asked):
        if name in INDEXING:
            return any(isinstance(each, Tensor) and each.dtype == torch.bool for each in args[1])
        comes_home = asked == HOST if name == "_to_copy" else not isinstance(args[0], OnGpu)
        return name in WAITS or (name in MOVES and comes_home)


def place():
    """The line of contsemi that is run."""
    lines = [each for each in traceback.extract_stack() if "/contsemi/" in each.filename]
    return "no line" if not lines else f"{lines[-1].filename}:{lines[-1].lineno}"


class Event:
    """A point that the pretended GPU has always passed."""

    def record(self):
        pass

    def query(self):
        return True

    def synchronize(self):
        pass


class Generator(torch.Generator):
    """The host's, by another name: so the same numbers are drawn on both."""

    def __new__(cls, device=HOST):
        return super().__new__(cls, HOST)

    def __init__(self, device=HOST):
        self.there = torch.device(device)

    device = property(lambda self: self.there)


@pytest.fixture
def gpu(monkeypatch):
    """The pretended GPU, ``cuda:0``, as long as the test lasts."""
    if torch.cuda.is_available():
        pytest.skip("a real GPU is here")
    torch._C._ensureCUDADeviceGuardSet()  # one that does nothing, as there is no driver to ask
    real_tensor, real_as_tensor, real_empty = torch.tensor, torch.as_tensor, torch.empty

    def tensor(data, *, device=None, **rest):
        made = real_tensor(data, **rest)
        return made if device is None else made.to(device)

    def as_tensor(data, dtype=None, device=None):
        made = data if isinstance(data, OnGpu) else real_as_tensor(data)
        return made.to(device or made.device, dtype or made.dtype)

    def empty(*size, pin_memory=False, **rest):
        return real_empty(*size, **rest)

    def compatible(input: torch.Tensor, from_: torch.Tensor) -> bool:
        return isinstance(input, OnGpu) == isinstance(from_, OnGpu)

    for name, answer in {
        "_lazy_init": None,
        "current_device": 0,
        "device_count": 1,
        "empty_cache": None,
        "get_device_name": "pretended",
        "is_available": True,
        "is_bf16_supported": True,
        "mem_get_info": (1 << 36, 1 << 36),
        "set_device": None,
        "synchronize": None,
    }.items():
        monkeypatch.setattr(torch.cuda, name, lambda *_, answer=answer, **__: answer)
    monkeypatch.setattr(torch, "Generator", Generator)
    monkeypatch.setattr(torch, "tensor", tensor)
    monkeypatch.setattr(torch, "as_tensor", as_tensor)
    monkeypatch.setattr(torch, "empty", empty)
    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch, "inference_mode", torch.no_grad)  # whose tensors have no versions
    monkeypatch.setattr(torch, "_has_compatible_shallow_copy_type", compatible)
    monkeypatch.setattr(Tensor, "pin_memory", lambda self, *_: self)
    monkeypatch.setattr(torch.backends.cudnn, "enabled", False)
    with Gpu() as device:
        yield device
