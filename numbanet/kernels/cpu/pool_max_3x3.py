"""Maxima of windows of 3 × 3 cells two apart (AlexNet's, and the first of ResNets and many others).

Two loads are split into even and odd columns by shuffles. A line's maxima of three neighbours serve the window above
and the one below it, so that a walk down a plane takes two lines a row of windows.
"""

from __future__ import annotations

import numpy as np

from numbanet.kernels.cpu.arguments import unpack, workspace
from numbanet.kernels.cpu.kernel import device_function, kernel
from numbanet.kernels.cpu.pool_lines import HALF, in_halves, over_planes
from numbanet.kernels.cpu.pool_max import LOWEST
from numbanet.kernels.cpu.pool_max_2x2 import better_of
from numbanet.kernels.cpu.pool_rows import Pool
from numbanet.kernels.cpu.simd.lanes import as_bytes, load_second_halves, store_bytes, store_halves
from numbanet.kernels.cpu.simd.prefetch import prefetch
from numbanet.kernels.cpu.simd.vector import select, splat, store


@device_function
def maxima_of_line(x, low, high, begin):
    """Maximum and column of three cells each of a line; ``begin`` is the first column that lies in the picture."""
    one = splat(np.int32(1))
    first = select(begin == one, splat(LOWEST), load_second_halves(x, low, high, 0))
    best, where = better_of(first, begin, load_second_halves(x, low, high, 1), one)
    return better_of(best, where, load_second_halves(x, low + 2, high + 2, 0), splat(np.int32(2)))


@device_function
def store_maxima(out, positions, low, high, best, where, count, spare):
    """Eight maxima and their positions from low and from high on, or only the first ``count`` of them."""
    if count >= HALF:
        store_halves(out, low, high, best)
        store_bytes(positions, low, high, where)
        return
    store(spare, 0, best)
    store_bytes(as_bytes(spare), 64, 64 + HALF, where)
    for at, lane in ((low, 0), (high, HALF)):
        for i in range(count):
            out[at + i] = spare[lane + i]
            positions[at + i] = as_bytes(spare)[64 + lane + i]


@device_function
def maxima_down(p, x, pitch, x_size, first_plane, plane, j, next_plane, next_j, first, last, ahead, spare):
    """The rows first … last − 1 of two halves of windows, from j on in a plane and from next_j on in next_plane, both
    counted from the first plane.

    x has the lines from the first one's on, ``ahead`` those that will be read when this is done."""
    three, six, zero = splat(np.int32(3)), splat(np.int32(6)), splat(np.int32(0))
    begin = select(in_halves(j, next_j) == zero, splat(np.int32(p.pad_x)), zero)
    out_size, size = p.out_height * p.out_width, p.height * p.width
    out, positions = p.out + first_plane * out_size, p.positions + first_plane * out_size
    low, high = plane * x_size + 2 * j, next_plane * x_size + 2 * next_j
    to, next_to = plane * out_size + j, next_plane * out_size + next_j
    later, next_later = plane * size + 2 * j, next_plane * size + 2 * next_j
    if first == 0 and p.pad_y:
        best, where = splat(LOWEST), begin + three
    else:
        best, where = maxima_of_line(x, low, high, begin)
    for y in range(first, last):
        for line in (2 * (y - first) * p.width, (2 * (y - first) + 1) * p.width):
            prefetch(ahead, later + line)
            prefetch(ahead, next_later + line)
        value, place = maxima_of_line(x, low + pitch, high + pitch, begin)
        best, where = better_of(best, where, value, place + three)
        low, high = low + 2 * pitch, high + 2 * pitch
        value, place = maxima_of_line(x, low, high, begin)
        best, where = better_of(best, where, value, place + six)
        at = y * p.out_width
        count = p.out_width if at + HALF > out_size else HALF
        store_maxima(out, positions, to + at, next_to + at, best, where, count, spare)
        best, where = value, place


_maxima_walk = over_planes(maxima_down, LOWEST)


@kernel(Pool)
def max_pool_3x3(start, stop, row, scratch):
    """out = maximum of each window, positions = 3·ky + kx of the first maximum, or of the last NaN."""
    return _maxima_walk(unpack(row, Pool), start, stop, workspace(row, scratch))
