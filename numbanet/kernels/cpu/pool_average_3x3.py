"""Means of windows of 3 × 3 cells two apart: as in ``pool_max_3x3.py`` a line's sums serve two rows of windows."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from numbanet.kernels.cpu.arguments import I64_FIELD, unpack, workspace
from numbanet.kernels.cpu.kernel import device_function, kernel
from numbanet.kernels.cpu.pool_lines import HALF, halves_of, in_halves, lines_with_border, planes_at_once
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
def means_down(p, x, pitch, x_size, plane, j, next_plane, next_j, out, first, last, ahead, spare):
    """The rows first … last − 1 of two halves of windows, as ``maxima_down``."""
    windows, out_size, size = in_halves(j, next_j), p.out_height * p.out_width, p.height * p.width
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


@device_function
def means_of_planes(p, x, pitch, x_size, planes, out, first, last, ahead, spare):
    """The rows first … last − 1 of windows of one or two planes, which lie x_size apart from x on."""
    halves, most = halves_of(p.out_width), max(p.out_width - HALF, 0)
    end = planes * halves - 1
    for half in range(0, end + 1, 2):
        following = min(half + 1, end)
        j, next_j = min(half % halves * HALF, most), min(following % halves * HALF, most)
        means_down(p, x, pitch, x_size, half // halves, j, following // halves, next_j, out, first, last, ahead, spare)


@kernel(Average3x3)
def average_pool_3x3(start, stop, row, scratch):
    """out = sum of each window divided by its cells."""
    p = unpack(row, Average3x3)
    spare = workspace(row, scratch)
    band, pitch = spare + 32, p.pad_x + p.width + 3
    size, out_size, room = p.height * p.width, p.out_height * p.out_width, (2 * p.band + 1) * pitch
    reach = 2 * p.out_height * p.width + 2 * max(p.out_width - HALF, 0) + 18
    is_between = 2 * p.out_height - p.pad_y < p.height and 2 * p.out_width - p.pad_x < p.width
    plane = start
    while plane < stop:
        planes = planes_at_once(halves_of(p.out_width), stop - plane)
        x, out, available = p.x + plane * size, p.out + plane * out_size, (p.planes - plane) * size
        is_inside = is_between and plane >= p.pad_x and (planes - 1) * size + reach <= available
        for y in range(0, p.out_height, p.band):
            last = min(y + p.band, p.out_height)
            top, bottom = 2 * y - p.pad_y, 2 * last - p.pad_y + 1
            ahead = x + (bottom - 1) * p.width if last < p.out_height else x + planes * size
            if is_inside:
                means_of_planes(p, x + (top * p.width - p.pad_x), p.width, size, planes, out, y, last, ahead, spare)
                continue
            for i in range(planes):
                lines_with_border(
                    band + i * room, pitch, p.pad_x, x + i * size, p.width, top, bottom, p.height, np.float32(0),
                    available - i * size,
                )  # fmt: skip
            means_of_planes(p, band, pitch, room, planes, out, y, last, ahead, spare)
        plane += planes
    return 0
