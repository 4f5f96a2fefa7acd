"""Storage and Array: the memory that kernels read and write, described without saying whose memory it is."""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING

import numpy as np

from numbanet.kernels.memory import release

if TYPE_CHECKING:
    from numbanet.kernels.backend import Backend

Shape = tuple[int, ...]


class Storage:
    """A block of memory that belongs to one back end.

    ``buffer`` is the back end's own handle (a one-dimensional ``uint8`` array on the CPU back ends), ``address`` is
    where it lies, taken once. ``version`` counts in-place changes: a gradient formula that needs the value from
    before such a change sees it and says so. A ``pooled`` buffer goes back to the memory pool when its storage dies.
    """

    __slots__ = ("__weakref__", "address", "backend", "buffer", "nbytes", "pooled", "version")

    def __init__(
        self, backend: Backend | None, buffer: object, address: int, nbytes: int, pooled: bool = False
    ) -> None:
        self.backend = backend
        self.buffer = buffer
        self.address = address
        self.nbytes = nbytes
        self.pooled = pooled
        self.version = 0

    def __del__(self) -> None:
        if self.pooled:
            release(self.buffer, self.address)


class Array:
    """A strided view of a :class:`Storage`: ``shape``, ``strides`` and ``offset`` count elements of ``dtype``."""

    __slots__ = ("dtype", "is_contiguous", "offset", "shape", "size", "storage", "strides")

    def __init__(
        self,
        storage: Storage,
        shape: Shape,
        dtype: np.dtype,
        strides: Shape | None = None,
        offset: int = 0,
    ) -> None:
        self.storage = storage
        self.shape = shape
        self.dtype = dtype
        self.offset = offset
        self.size = math.prod(shape)
        if strides is None:
            self.strides = contiguous_strides(shape)
            self.is_contiguous = True
        else:
            self.strides = strides
            self.is_contiguous = _is_contiguous(shape, strides, self.size)

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def address(self) -> int:
        """Address of the first element in bytes."""
        return self.storage.address + self.offset * self.dtype.itemsize

    def view(self, shape: Shape, strides: Shape | None = None, offset: int | None = None) -> Array:
        """Another view of the same storage; contiguous when ``strides`` is None."""
        return Array(self.storage, shape, self.dtype, strides, self.offset if offset is None else offset)

    def numpy(self) -> np.ndarray:
        """The same memory as an ndarray; only for back ends whose storages lie in host memory."""
        itemsize = self.dtype.itemsize
        if self.size == 0:
            return np.empty(self.shape, self.dtype)
        return np.ndarray(
            self.shape,
            self.dtype,
            self.storage.buffer,
            self.offset * itemsize,
            tuple(stride * itemsize for stride in self.strides),
        )

    def __repr__(self) -> str:
        return f"Array(shape={self.shape}, dtype={self.dtype}, strides={self.strides}, offset={self.offset})"


@functools.lru_cache(maxsize=4096)
def contiguous_strides(shape: Shape) -> Shape:
    """Row-major strides in elements."""
    strides, step = [], 1
    for extent in reversed(shape):
        strides.append(step)
        step *= max(extent, 1)
    return tuple(reversed(strides))


def _is_contiguous(shape: Shape, strides: Shape, size: int) -> bool:
    if size <= 1:
        return True
    step = 1
    for extent, stride in zip(reversed(shape), reversed(strides), strict=True):
        if extent != 1:
            if stride != step:
                return False
            step *= extent
    return True
