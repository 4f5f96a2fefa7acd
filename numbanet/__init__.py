"""numbanet: deep learning that is Python all the way down.

    >>> import numbanet as nb
    >>> x = nb.randn(8, 3, requires_grad=True)
    >>> (x.relu() ** 2).sum().backward()
    >>> x.grad.shape
    (8, 3)

The names are PyTorch's. The sub-packages (``nn``, ``optim``, ``data``, ``datasets``, ``models``, ``interop``,
``training``) are imported when they are first used.
"""

from __future__ import annotations

import importlib

import numpy as np

from numbanet import autograd, random
from numbanet.autograd import enable_grad, is_grad_enabled, no_grad, set_grad_enabled
from numbanet.backends import get_backend, set_backend
from numbanet.creation import (
    arange,
    as_tensor,
    cat,
    empty,
    empty_like,
    eye,
    from_numpy,
    full,
    full_like,
    linspace,
    matmul,
    maximum,
    minimum,
    ones,
    ones_like,
    rand,
    randint,
    randn,
    stack,
    tensor,
    where,
    zeros,
    zeros_like,
)
from numbanet.random import initial_seed, manual_seed
from numbanet.serialization import load, save
from numbanet.tensor import Tensor
from numbanet.version import __version__

float32, float64 = np.dtype(np.float32), np.dtype(np.float64)
int8, int16, int32, int64 = np.dtype(np.int8), np.dtype(np.int16), np.dtype(np.int32), np.dtype(np.int64)
uint8, bool = np.dtype(np.uint8), np.dtype(np.bool_)

_PACKAGES = ("data", "datasets", "graph", "interop", "kernels", "models", "nn", "ops", "optim", "training")


def set_num_threads(threads: int) -> None:
    """How many threads the kernels of the cpu back end may use. The results do not depend on it."""
    from numbanet.kernels import threads as module

    module.set_num_threads(threads)


def get_num_threads() -> int:
    """How many threads the kernels of the cpu back end may use."""
    from numbanet.kernels import threads as module

    return module.get_num_threads()


def __getattr__(name: str) -> object:
    if name == "compile":
        from numbanet.graph import compile

        return compile
    if name in _PACKAGES:
        return importlib.import_module(f"numbanet.{name}")
    raise AttributeError(f"module 'numbanet' has no attribute {name!r}")


__all__ = [
    "Tensor",
    "__version__",
    "arange",
    "as_tensor",
    "autograd",
    "bool",
    "cat",
    "compile",
    "empty",
    "empty_like",
    "enable_grad",
    "eye",
    "float32",
    "float64",
    "from_numpy",
    "full",
    "full_like",
    "get_backend",
    "get_num_threads",
    "initial_seed",
    "int8",
    "int16",
    "int32",
    "int64",
    "is_grad_enabled",
    "linspace",
    "load",
    "manual_seed",
    "matmul",
    "maximum",
    "minimum",
    "no_grad",
    "ones",
    "ones_like",
    "rand",
    "randint",
    "randn",
    "random",
    "save",
    "set_backend",
    "set_grad_enabled",
    "set_num_threads",
    "stack",
    "tensor",
    "uint8",
    "where",
    "zeros",
    "zeros_like",
]
