"""What a part chosen by name returned, as its contract wants it."""

from collections.abc import Callable
from typing import Any

from torch import Tensor

from contsemi.errors import MethodFailed


def tensor_of(call: Callable[..., Any], value: object, *shape: int) -> Tensor:
    """``value`` if it is a tensor of that shape.

    Args:
        call: what returned it.
        value: what it returned.
        shape: that the contract wants.

    Raises:
        MethodFailed: it is anything else.
    """
    if not isinstance(value, Tensor) or value.shape != shape:
        raise MethodFailed.returned(call, value, f"a tensor {list(shape)}")
    return value
