"""Means of windows of 3 × 3 cells two apart: as in ``pool_max_3x3.py`` a line's sums serve two rows of windows."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from numbanet.kernels.cpu.arguments import I64_FIELD, unpack, workspace
from numbanet.kernels.cpu.kernel import device_function, kernel
from numbanet.kernels.cpu.pool_lines import HALF, in_halves, over_planes
from numbanet.kernels.cpu.simd.lanes import load_second_halves, store_halves
from numbanet.kernels.cpu.simd.pointers import F32
from numbanet.kernels.cpu.simd.prefetch import prefetch
from numbanet.kernels.cpu.simd.vector import select, splat, store, to_float


class Average3x3(NamedTuple):
    """Arguments: planes of (height, width) become planes of (out_height, out_width), ``band`` rows at a time.

    ``counted`` says whether the cells of the padding count."""

    out: F32
    x: F32
    planes: I64_FIELD
    height: I64_FIELD
    width: I64_FIELD
    out_height: I64_FIELD
    out_width: I64_FIELD
    pad_y: I64_FIELD
    pad_x: I64_FIELD
    counted: I64_FIELD
    band: I64_FIELD


@device_function
def sum_of_line(x, low, high, is_padding):
    """Σ of three cells each of a line, of which the first counts as 0 where it lies in the padding."""
    first = select(is_padding, splat(np.float32(0)), load_second_halves(x, low, high, 0))
    return first + load_second_halves(x, low, high, 1) + load_second_halves(x, low + 2, high + 2, 0)


@device_function
def cells_of_row(p, y):
    """How many lines of the windows of row y count."""
    begin, end = 2 * y - p.pad_y, min(2 * y - p.pad_y + 3, p.height + p.pad_y)
    return end - begin if p.counted else min(end, p.height) - max(begin, 0)


@device_function
def cells_of_columns(p, windows):
    """How many columns of each window count, as float32."""
    zero = splat(np.int32(0))
    begin = windows + windows - splat(np.int32(p.pad_x))
    end, limit = begin + splat(np.int32(3)), splat(np.int32(p.width + p.pad_x if p.counted else p.width))
    end = select(end < limit, end, limit)
    begin = begin if p.counted else select(begin < zero, zero, begin)
    return to_float(end - begin)


@device_function
def means_down(p, x, pitch, x_size, first_plane, plane, j, next_plane, next_j, first, last, ahead, spare):
    """The rows first … last − 1 of two halves of windows, as ``maxima_down``."""
    windows, out_size, size = in_halves(j, next_j), p.out_height * p.out_width, p.height * p.width
    out = p.out + first_plane * out_size
    is_padding, cells = windows < splat(np.int32(p.pad_x)), cells_of_columns(p, windows)
    low, high = plane * x_size + 2 * j, next_plane * x_size + 2 * next_j
    to, next_to = plane * out_size + j, next_plane * out_size + next_j
    later, next_later = plane * size + 2 * j, next_plane * size + 2 * next_j
    if first == 0 and p.pad_y:
        line_sum = splat(np.float32(0))
    else:
        line_sum = sum_of_line(x, low, high, is_padding)
    for y in range(first, last):
        for line in (2 * (y - first) * p.width, (2 * (y - first) + 1) * p.width):
            prefetch(ahead, later + line)
            prefetch(ahead, next_later + line)
        total = line_sum + sum_of_line(x, low + pitch, high + pitch, is_padding)
        low, high = low + 2 * pitch, high + 2 * pitch
        line_sum = sum_of_line(x, low, high, is_padding)
        mean, at = (total + line_sum) / (cells * splat(np.float32(cells_of_row(p, y)))), y * p.out_width
        if at + HALF <= out_size:
            store_halves(out, to + at, next_to + at, mean)
        else:
            store(spare, 0, mean)
            for i in range(p.out_width):
                out[to + at + i] = spare[i]
                out[next_to + at + i] = spare[HALF + i]


_means_walk = over_planes(means_down, np.float32(0))


@kernel(Average3x3)
def average_pool_3x3(start, stop, row, scratch):
    """out = sum of each window divided by its cells."""
    return _means_walk(unpack(row, Average3x3), start, stop, workspace(row, scratch))
