"""Maxima over windows that share a picture out, and their gradient; a task is a plane.

Window i of n covers ⌊i·size/n⌋ … ⌈(i+1)·size/n⌉ − 1.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from numbanet.kernels.cpu.arguments import I64_FIELD, unpack
from numbanet.kernels.cpu.kernel import device_function, kernel
from numbanet.kernels.cpu.pool_max import LOWEST
from numbanet.kernels.cpu.pool_rows import fill
from numbanet.kernels.cpu.simd.pointers import F32, I32


class Adaptive(NamedTuple):
    """Arguments: planes of (height, width) become planes of (out_height, out_width), and back in the gradient."""

    out: F32
    indices: I32
    x: F32
    height: I64_FIELD
    width: I64_FIELD
    out_height: I64_FIELD
    out_width: I64_FIELD


@device_function
def begin_of(i, size, parts):
    """The first cell of window i."""
    return i * size // parts


@device_function
def end_of(i, size, parts):
    """The cell behind the last one of window i."""
    return ((i + 1) * size + parts - 1) // parts


@kernel(Adaptive)
def adaptive_maximum(start, stop, row, scratch):
    """out = maximum of each window, indices = where it is in its plane: the first, or the last NaN."""
    p = unpack(row, Adaptive)
    for plane in range(start, stop):
        x = p.x + plane * p.height * p.width
        for i in range(p.out_height):
            first, last = begin_of(i, p.height, p.out_height), end_of(i, p.height, p.out_height)
            for j in range(p.out_width):
                left, right = begin_of(j, p.width, p.out_width), end_of(j, p.width, p.out_width)
                best, where = LOWEST, first * p.width + left
                for line in range(first * p.width, last * p.width, p.width):
                    for cell in range(line + left, line + right):
                        value = x[cell]
                        if value > best or value != value:
                            best, where = value, cell
                at = (plane * p.out_height + i) * p.out_width + j
                p.out[at] = best
                p.indices[at] = np.int32(where)
    return 0


@kernel(Adaptive)
def adaptive_maximum_gradient(start, stop, row, scratch):
    """x (the gradient of the input) = 0, then out (that of the output) added at the indices."""
    p = unpack(row, Adaptive)
    size, out_size = p.height * p.width, p.out_height * p.out_width
    for plane in range(start, stop):
        x, out, indices = p.x + plane * size, p.out + plane * out_size, p.indices + plane * out_size
        fill(x, 0, size, np.float32(0))
        for i in range(out_size):
            x[indices[i]] += out[i]
    return 0
