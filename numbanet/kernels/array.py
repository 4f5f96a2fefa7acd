"""Storage and Array: the memory that kernels read and write, described without saying whose memory it is."""

from __future__ import annotations

import functools
import math
import sys
from typing import TYPE_CHECKING

import numpy as np

from numbanet.kernels.memory import Pool, pool_for, take

if TYPE_CHECKING:
    from numbanet.kernels.backend import Backend

Shape = tuple[int, ...]
_new = object.__new__


# --- storages --------------------------------------------------------------------------------------------------------
class Storage:
    """A block of memory that belongs to one back end.

    ``buffer`` is the back end's own handle (a one-dimensional ``uint8`` array on the CPU back ends), ``address`` is
    where it lies, taken once. ``version`` counts in-place changes: a gradient formula that needs the value from
    before such a change sees it and says so. A buffer that came from a ``pool`` goes back when its storage dies, unless
    anybody else still refers to it.
    """

    __slots__ = ("__weakref__", "address", "backend", "buffer", "nbytes", "pool", "version")

    def __init__(
        self, backend: Backend | None, buffer: object, address: int, nbytes: int, pool: Pool | None = None
    ) -> None:
        self.backend = backend
        self.buffer = buffer
        self.address = address
        self.nbytes = nbytes
        self.pool = pool
        self.version = 0

    def __del__(self, references=sys.getrefcount) -> None:
        pool = self.pool
        if pool is not None:
            buffer = self.buffer
            if references(buffer) == _LONE and references(buffer.base) == _LONE_BASE and len(pool) < pool.most:
                pool.append((buffer, self.address))


def pooled_storage(backend: Backend | None, nbytes: int, pool: Pool) -> Storage:
    """A storage of nbytes in a block of the pool, which must be one for so many."""
    storage = _new(Storage)
    storage.buffer, storage.address = take(pool)
    storage.backend = backend
    storage.nbytes = nbytes
    storage.pool = pool
    storage.version = 0
    return storage


# What getrefcount says in ``Storage.__del__`` of a buffer, and of the array that it is a slice of, when nobody else
# holds them. It is None when the interpreter ends, and then nothing is pooled.
_LONE: int
_LONE_BASE: int


class _Probe:
    """A stand-in for a Storage, to learn these numbers."""

    def __init__(self) -> None:
        self.buffer, self.address = take(pool_for(1))

    def __del__(self, references=sys.getrefcount) -> None:
        global _LONE, _LONE_BASE
        buffer = self.buffer
        _LONE, _LONE_BASE = references(buffer), references(buffer.base)


_probe = _Probe()
del _probe


# --- layouts ---------------------------------------------------------------------------------------------------------
class Layout:
    """How arrays lie: back end, ``shape``, ``dtype`` and ``strides``, and what follows from them.

    There is one object for all arrays that agree in these, so it serves as a key."""

    __slots__ = ("backend", "dtype", "is_contiguous", "nbytes", "pool", "shape", "size", "strides")

    def __init__(self, backend: Backend | None, shape: Shape, dtype: np.dtype, strides: Shape | None) -> None:
        self.backend = backend
        self.shape = shape
        self.dtype = dtype
        self.strides = contiguous_strides(shape) if strides is None else strides
        self.size = math.prod(shape)
        self.nbytes = self.size * dtype.itemsize
        self.is_contiguous = strides is None or _is_contiguous(shape, strides, self.size)
        self.pool = pool_for(self.nbytes)

    def array(self, storage: Storage) -> Array:
        """An array at the begin of a storage of this back end."""
        array = _new(Array)
        array.storage = storage
        array.layout = self
        array.shape = self.shape
        array.dtype = self.dtype
        array.strides = self.strides
        array.size = self.size
        array.is_contiguous = self.is_contiguous
        array.offset = array.begin = 0
        return array


_layouts: dict[tuple, Layout] = {}
MOST_LAYOUTS = 1 << 15


def layout_of(backend: Backend | None, shape: Shape, dtype: np.dtype, strides: Shape | None = None) -> Layout:
    """The one layout of these; contiguous when ``strides`` is None."""
    layout = _layouts.get((backend, shape, dtype, strides))
    if layout is None:
        if len(_layouts) >= MOST_LAYOUTS:
            _layouts.clear()
        # one object for a dtype, which back ends compare by identity, and plain numbers, whoever comes first
        made = Layout(backend, tuple(map(int, shape)), np.dtype(dtype.type), strides)
        layout = _layouts.setdefault((backend, shape, dtype, made.strides), made)
        _layouts[backend, shape, dtype, strides] = layout
    return layout


def new_array(backend: Backend, shape: Shape, dtype: np.dtype) -> Array:
    """A contiguous array in memory of its own, contents undefined."""
    layout = layout_of(backend, shape, dtype)
    return layout.array(backend.allocate(layout.nbytes))


def copied(backend: Backend, values: np.ndarray, dtype: np.dtype) -> Array:
    """A contiguous array with the values of an ndarray, in memory that is aligned as kernels like it: theirs are loads
    of whole vectors, and each that lies across two lines of the cache takes twice as long."""
    array = new_array(backend, values.shape, np.dtype(dtype.type))
    array.numpy()[...] = values
    return array


# --- arrays ----------------------------------------------------------------------------------------------------------
class Array:
    """A strided view of a :class:`Storage`.

    ``shape``, ``strides`` and ``offset`` count elements of ``dtype``; ``begin`` is the offset in bytes."""

    __slots__ = ("begin", "dtype", "is_contiguous", "layout", "offset", "shape", "size", "storage", "strides")

    def __init__(
        self,
        storage: Storage,
        shape: Shape,
        dtype: np.dtype,
        strides: Shape | None = None,
        offset: int = 0,
    ) -> None:
        self.storage = storage
        self.layout = layout = layout_of(storage.backend, shape, dtype, strides)
        self.shape = layout.shape
        self.dtype = layout.dtype
        self.strides = layout.strides
        self.size = layout.size
        self.is_contiguous = layout.is_contiguous
        self.offset = offset
        self.begin = offset * dtype.itemsize if offset else 0

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def address(self) -> int:
        """Address of the first element in bytes."""
        return self.storage.address + self.begin

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
            self.begin,
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
