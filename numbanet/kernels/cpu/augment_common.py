"""What the kernels of augmentations share: rounding, borders, and how pictures are cut into tasks."""

from __future__ import annotations

import numpy as np

from numbanet.kernels.array import Array
from numbanet.kernels.cpu.kernel import device_function
from numbanet.kernels.cpu.simd.vector import as_int_bits, splat

BYTES = np.dtype(np.uint8)
ROUNDING_BITS = np.int32(0x4B400000)
CHUNK_BYTES = 1 << 14
"""Bytes of pictures that a thread claims at once, at least."""
BORDERS = ("constant", "edge", "reflect", "symmetric")
CONSTANT, EDGE, REFLECT = range(3)
ROUNDING = np.float32(12582912)  # 1.5 · 2²³: what is left of x + it is the nearest integer, ties to even


@device_function
def rounded(x):
    """The nearest integer of a float32 below 2²², ties to even, as float32."""
    return (x + ROUNDING) - ROUNDING


@device_function
def nearest_bits(x):
    """Sixteen lanes whose lowest byte is that of the nearest integer of float32 below 2²²."""
    return as_int_bits(x + splat(ROUNDING))


@device_function
def as_whole(x):
    """Sixteen whole float32 as int32; those beyond ±2²² stay beyond on their side."""
    return nearest_bits(x) - splat(ROUNDING_BITS)


@device_function
def folded(i, n, border):
    """Where in 0 … n − 1 the border takes position i from, which may lie outside."""
    if border == EDGE:
        return min(max(i, 0), n - 1)
    if border == REFLECT:
        if n == 1:
            return 0
        i = i % (2 * n - 2)
        return i if i < n else 2 * n - 2 - i
    i = i % (2 * n)
    return i if i < n else 2 * n - 1 - i


def bytes_contiguous(*arrays: Array) -> str | None:
    """Why these arrays are not for the kernels here; None if they are."""
    return None if all(a.dtype == BYTES and a.is_contiguous for a in arrays) else "not contiguous bytes"


def chunk_of(nbytes: int) -> int:
    """How many tasks of ``nbytes`` are claimed at once."""
    return max(1, CHUNK_BYTES // max(nbytes, 1))
