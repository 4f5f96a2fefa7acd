"""Host memory for storages and scratch: 64-byte aligned, and kept for the next tensor of about the same size.

A training step allocates the same sizes again and again; asking the system each time would cost page faults that
take longer than the kernels. A block returns to the pool only when nobody else (an ndarray view) refers to it.
"""

from __future__ import annotations

import functools
import threading

import numpy as np

ALIGNMENT = 64
POOL_BYTES = 1 << 30
"""At most this much memory waits in blocks from ``LARGE_BYTES`` on."""
LARGE_BYTES = 1 << 20
SMALL_POOL_BYTES = 1 << 24
"""At most this much memory waits in blocks of each size below."""


class Pool(list):
    """The blocks of one ``size`` in bytes that wait, each a uint8 array and its address; at most ``most`` of them.

    ``pop`` raises IndexError where none waits. Both it and ``append`` are atomic: a collection may begin anywhere, free
    a storage, and append its block."""

    __slots__ = ("most", "size")

    def __init__(self, size: int) -> None:
        self.size = size
        self.most = SMALL_POOL_BYTES // size

    def fresh(self) -> tuple[np.ndarray, int]:
        """A block from the system."""
        whole = np.empty(self.size + ALIGNMENT, np.uint8)
        address = whole.__array_interface__["data"][0]
        begin = -address % ALIGNMENT
        return whole[begin : begin + self.size], address + begin


class LargePool(Pool):
    """Blocks that count: together no more than ``POOL_BYTES`` wait."""

    __slots__ = ()

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.most = POOL_BYTES // size

    def pop(self) -> tuple[np.ndarray, int]:
        global _waiting
        with _lock:
            block = super().pop()
            _waiting -= self.size
        return block

    def append(self, block: tuple[np.ndarray, int]) -> None:
        global _waiting
        with _lock:
            if _waiting + self.size <= POOL_BYTES:
                _waiting += self.size
                super().append(block)


_pools: dict[int, Pool] = {}
_waiting = 0  # bytes in large pools
_lock = threading.RLock()  # a collection inside may free a storage, whose block comes back here


def size_class(nbytes: int) -> int:
    """nbytes rounded up to a multiple of an eighth of its power of two (waste below 14 %, and 1 MB), at least 256."""
    if nbytes <= 256:
        return 256
    step = 1 << min(max((nbytes - 1).bit_length() - 4, 6), 20)
    return (nbytes + step - 1) // step * step


@functools.lru_cache(maxsize=4096)
def pool_for(nbytes: int) -> Pool:
    """Where blocks of at least nbytes wait."""
    size = size_class(nbytes)
    with _lock:
        pool = _pools.get(size)
        if pool is None:
            pool = _pools[size] = (Pool if size < LARGE_BYTES else LargePool)(size)
    return pool


def take(pool: Pool) -> tuple[np.ndarray, int]:
    """A block and its address, a multiple of 64; contents undefined."""
    try:
        return pool.pop()
    except IndexError:
        return pool.fresh()


def empty_cache() -> None:
    """Give all waiting memory back to the system."""
    global _waiting
    with _lock:
        for pool in _pools.values():
            pool.clear()
        _waiting = 0


def pooled_bytes() -> int:
    """Memory that waits in the pools."""
    return sum(len(pool) * pool.size for pool in list(_pools.values()))
