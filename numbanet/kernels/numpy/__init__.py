"""The NumPy back end: every function of the contract, readable; the fallback and the reference.

Each function takes ndarrays where the contract has Arrays. A program is a list of calls with their ndarrays.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.lib.stride_tricks import as_strided

from numbanet.kernels.array import Array, Storage, pooled_storage
from numbanet.kernels.contract import CONTRACT
from numbanet.kernels.memory import pool_for
from numbanet.kernels.numpy import (
    additive_decoder,
    attention,
    augment,
    augment_colour,
    clip,
    conv,
    conv_pool,
    embedding,
    gemm,
    indexing,
    local,
    norm,
    optim,
    pointwise,
    pointwise_loss,
    pool,
    random,
    recurrent,
    reduce,
    softmax,
)

if TYPE_CHECKING:
    from numbanet.kernels.numpy.assembly import NumpyAssembly

_MODULES = (
    pointwise,
    reduce,
    indexing,
    embedding,
    gemm,
    conv,
    conv_pool,
    local,
    pool,
    norm,
    softmax,
    pointwise_loss,
    attention,
    optim,
    clip,
    random,
    augment,
    augment_colour,
    recurrent,
    additive_decoder,
)


def _collect() -> dict[str, Callable]:
    """The functions of this package by name; a line that a user has declared is implemented by ``add_kernel``."""
    found = {name: [vars(module)[name] for module in _MODULES if name in vars(module)] for name in CONTRACT}
    return {name: functions[0] for name, functions in found.items() if functions}


def as_ndarray(value: object) -> object:
    """The ndarray of an Array, the tuple of ndarrays of a tuple; everything else as it is."""
    kind = type(value)
    if kind is Array:
        if value.size == 0:
            return np.empty(value.shape, value.dtype)
        itemsize = value.dtype.itemsize
        if value.is_contiguous:
            return np.ndarray(value.shape, value.dtype, value.storage.buffer, value.offset * itemsize)
        strides = [stride * itemsize for stride in value.strides]
        return np.ndarray(value.shape, value.dtype, value.storage.buffer, value.offset * itemsize, strides)
    if kind is tuple:
        return tuple(map(as_ndarray, value))
    return value


class NumpyProgram:
    """A list of calls. Its methods are the functions of the contract: each appends a call."""

    __slots__ = ("calls",)

    def __init__(self) -> None:
        self.calls: list[tuple[Callable, list, dict]] = []

    def run(self) -> None:
        for function, arguments, keywords in self.calls:
            function(*arguments, **keywords)

    def clear(self) -> None:
        self.calls.clear()


def _appender(name: str, function: Callable) -> Callable:
    def append(self: NumpyProgram, *arguments: object, **keywords: object) -> None:
        if keywords:
            keywords = {name: as_ndarray(value) for name, value in keywords.items()}
        self.calls.append((function, [as_ndarray(value) for value in arguments], keywords))

    append.__name__ = name
    append.__doc__ = CONTRACT[name].summary
    return append


class NumpyBackend:
    """Allocates aligned host memory and runs programs of NumPy calls."""

    name = "numpy"
    remembers = False
    compile_seconds = 0.0

    def __init__(self) -> None:
        self._local = threading.local()

    def allocate(self, nbytes: int) -> Storage:
        return pooled_storage(self, nbytes, pool_for(nbytes))

    def from_buffer(self, array: np.ndarray) -> Array:
        return share(self, array)

    def program(self) -> NumpyProgram:
        return NumpyProgram()

    def assembly(self) -> NumpyAssembly:
        """A program to be put together from calls."""
        from numbanet.kernels.numpy.assembly import NumpyAssembly

        return NumpyAssembly()

    def eager(self) -> NumpyProgram:
        try:
            return self._local.program
        except AttributeError:
            program = self._local.program = NumpyProgram()
            return program


def share(backend: object, array: np.ndarray) -> Array:
    """An Array over the memory of an ndarray; a copy of what is read-only, byte-swapped or strided backwards."""
    dtype = np.dtype(array.dtype.type)  # the one object for this dtype, which back ends compare by identity
    itemsize = dtype.itemsize
    plain = array.flags.writeable and array.flags.aligned and array.dtype.isnative
    if not plain or any(stride < 0 or stride % itemsize for stride in array.strides):
        array = np.array(array, dtype=dtype, order="C", copy=True)
    if array.size == 0:
        return Array(Storage(backend, np.empty(0, np.uint8), array.ctypes.data, 0), array.shape, dtype)
    if array.flags.c_contiguous:
        flat = array.reshape(-1).view(np.uint8)
        return Array(Storage(backend, flat, flat.__array_interface__["data"][0], flat.nbytes), array.shape, dtype)
    strides = tuple(stride // itemsize for stride in array.strides)
    extent = 1 + sum((size - 1) * stride for size, stride in zip(array.shape, strides, strict=True))
    flat = as_strided(array, (extent,), (itemsize,)).view(np.uint8)
    storage = Storage(backend, flat, flat.__array_interface__["data"][0], flat.nbytes)
    return Array(storage, array.shape, dtype, strides)


KERNELS: dict[str, Callable] = {}


def add_kernel(name: str, function: Callable) -> None:
    """Make ``function`` what the contract's line ``name`` does on this back end."""
    KERNELS[name] = function
    setattr(NumpyProgram, name, _appender(name, function))


for _name, _function in _collect().items():
    add_kernel(_name, _function)

BACKEND = NumpyBackend()
