"""Whole vectors, or the first lanes of one at the end of an array: for loops that are written once."""

from numbanet.kernels.cpu.kernel import device_function
from numbanet.kernels.cpu.simd.vector import load, load_first, store, store_first


@device_function
def load_upto(pointer, i, n):
    """Sixteen elements from i on, or only the first n if that is less (the others count as zeros)."""
    return load(pointer, i) if n >= 16 else load_first(pointer, i, n)


@device_function
def store_upto(pointer, i, value, n):
    """Sixteen lanes, or only the first n; a masked store of a whole vector is slow on some machines."""
    if n >= 16:
        store(pointer, i, value)
    else:
        store_first(pointer, i, value, n)
