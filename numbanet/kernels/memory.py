"""Host memory for storages and scratch: 64-byte aligned, and kept for the next tensor of about the same size.

A training step allocates the same sizes again and again; asking the system each time would cost page faults that
take longer than the kernels. A block returns to the pool only when nobody else (an ndarray view) refers to it.
"""

from __future__ import annotations

import functools
import sys
import threading

import numpy as np

ALIGNMENT = 64
POOL_BYTES = 1 << 30
"""At most this much memory waits in the pool."""

_free: dict[int, list[tuple[np.ndarray, int]]] = {}
_pooled = 0
_lock = threading.RLock()  # a collection inside may free a storage, whose block comes back here


@functools.lru_cache(maxsize=4096)
def size_class(nbytes: int) -> int:
    """nbytes rounded up to a multiple of an eighth of its power of two (waste below 14 %), at least 256."""
    if nbytes <= 256:
        return 256
    step = 1 << max((nbytes - 1).bit_length() - 4, 6)
    return (nbytes + step - 1) // step * step


def allocate(nbytes: int) -> tuple[np.ndarray, int]:
    """A uint8 array of at least nbytes and its address, a multiple of 64; contents undefined."""
    global _pooled
    size = size_class(nbytes)
    waiting = _free.get(size)
    if waiting:
        with _lock:
            if waiting:
                _pooled -= size
                return waiting.pop()
    whole = np.empty(size + ALIGNMENT, np.uint8)
    address = whole.__array_interface__["data"][0]
    begin = -address % ALIGNMENT
    return whole[begin : begin + size], address + begin


# What getrefcount says of a block and of the array that it is a slice of when only the caller of release holds it.
_LONE_BLOCK: int
_LONE_OWNER: int


def _references(block: np.ndarray) -> tuple[int, int]:
    return sys.getrefcount(block), sys.getrefcount(block.base)


def release(block: np.ndarray, address: int) -> None:
    """Give a block back; it is dropped, not pooled, if anybody else still refers to it or the pool is full."""
    global _pooled
    if _references(block) != (_LONE_BLOCK, _LONE_OWNER):
        return
    size = block.size
    if _pooled + size <= POOL_BYTES:
        with _lock:
            _pooled += size
            _free.setdefault(size, []).append((block, address))


def empty_cache() -> None:
    """Give all waiting memory back to the system."""
    global _pooled
    with _lock:
        for waiting in _free.values():
            waiting.clear()  # the lists stay: another thread may be about to take from one
        _pooled = 0


def pooled_bytes() -> int:
    """Memory that waits in the pool."""
    return _pooled


class _Probe:
    """A stand-in for a Storage, to learn the reference counts of a block that nobody else holds."""

    def __init__(self) -> None:
        self.buffer, self.address = allocate(1)

    def __del__(self) -> None:
        global _LONE_BLOCK, _LONE_OWNER
        _LONE_BLOCK, _LONE_OWNER = _count_as_release(self.buffer, self.address)


def _count_as_release(block: np.ndarray, address: int) -> tuple[int, int]:
    return _references(block)


_probe = _Probe()
del _probe
