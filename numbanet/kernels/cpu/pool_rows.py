"""What the pooling kernels share: their arguments, and copies and fills that end exactly where they should."""

from __future__ import annotations

from typing import NamedTuple

from numbanet.kernels.cpu.arguments import I64_FIELD
from numbanet.kernels.cpu.kernel import device_function
from numbanet.kernels.cpu.simd.pointers import F32, I32, U8
from numbanet.kernels.cpu.simd.vector import splat, store


class Pool(NamedTuple):
    """Arguments of the kernels of maxima: planes of (height, width) become planes of (out_height, out_width).

    A kernel has the outputs' side in ``out`` and the inputs' in ``x``, whichever of them it writes. The place of a
    maximum in its window is in ``positions``, or in ``wide`` where a byte cannot hold it; the other one is null.
    ``band`` is the number of lines that a task does at once."""

    out: F32
    positions: U8
    wide: I32
    x: F32
    planes: I64_FIELD
    height: I64_FIELD
    width: I64_FIELD
    out_height: I64_FIELD
    out_width: I64_FIELD
    kernel_y: I64_FIELD
    kernel_x: I64_FIELD
    stride_y: I64_FIELD
    stride_x: I64_FIELD
    pad_y: I64_FIELD
    pad_x: I64_FIELD
    dilation_y: I64_FIELD
    dilation_x: I64_FIELD
    band: I64_FIELD


@device_function
def fill(out, begin, end, value):
    """out[begin:end] = value."""
    vector = splat(value)
    for i in range(begin, end - 15, 16):
        store(out, i, vector)
    for i in range(max(begin, end - (end - begin) % 16), end):
        out[i] = value


@device_function
def safe_rows(rows, stride, reach, size):
    """How many of ``rows`` rows that lie ``stride`` apart can be reached over by ``reach`` elements each without
    leaving ``size`` elements."""
    return max(0, min(rows, (size - reach) // stride + 1)) if size >= reach else 0
