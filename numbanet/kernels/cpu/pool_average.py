"""Means of windows and their gradient; a task is sixteen planes, or, for means over whole planes, a plane.

What the windows are is in tables, a row or column of windows an entry, so average pools of any kernel, stride and
padding and adaptive ones are the same kernel. Sums go in the order of the window.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from numbanet.kernels.cpu.arguments import I64_FIELD, unpack, workspace
from numbanet.kernels.cpu.kernel import device_function, kernel
from numbanet.kernels.cpu.pool_lanes import PLANES, gather_planes, scatter_planes
from numbanet.kernels.cpu.pool_rows import fill
from numbanet.kernels.cpu.simd.pointers import F32, I32
from numbanet.kernels.cpu.simd.vector import lane_sum, load, load_first, splat, store


class Average(NamedTuple):
    """Arguments: planes of (height, width) become planes of (out_height, out_width), and back in the gradient.

    ``rows`` and ``columns`` hold (first cell, behind the last, cells to divide by) of each row or column of windows;
    ``row_covers`` and ``column_covers`` (first, behind the last) of the windows that a line or column lies in.
    ``band`` is the number of rows of windows, or of lines in the gradient, that are done at once."""

    out: F32
    x: F32
    rows: I32
    columns: I32
    row_covers: I32
    column_covers: I32
    planes: I64_FIELD
    height: I64_FIELD
    width: I64_FIELD
    out_height: I64_FIELD
    out_width: I64_FIELD
    band: I64_FIELD


@kernel(Average)
def average_pool_planes(start, stop, row, scratch):
    """out = sum of each window divided by its cells."""
    p = unpack(row, Average)
    spare = workspace(row, scratch)
    values = spare + 256
    band = values + (p.band * p.out_width + 15) // 16 * 16 * PLANES
    size, out_size = p.height * p.width, p.out_height * p.out_width
    for group in range(start, stop):
        x, out = p.x + group * PLANES * size, p.out + group * PLANES * out_size
        planes = p.planes - group * PLANES
        for y in range(0, p.out_height, p.band):
            end = min(y + p.band, p.out_height)
            first, last = np.int64(p.rows[3 * y]), np.int64(p.rows[3 * end - 2])
            begin, count = first * p.width, (last - first) * p.width
            gather_planes(band, x + begin, size, count, min(planes, PLANES), planes * size - begin)
            for i in range(y, end):
                means_of_row(p, band + -begin * PLANES, values + (i - y) * p.out_width * PLANES, i)
            begin, count = y * p.out_width, (end - y) * p.out_width
            scatter_planes(out + begin, out_size, count, min(planes, PLANES), values, spare)
    return 0


@device_function
def means_of_row(p, band, values, y):
    """A row of windows of sixteen planes; band[0] is the first column of line 0."""
    first, last = np.int64(p.rows[3 * y]), np.int64(p.rows[3 * y + 1])
    for j in range(p.out_width):
        begin, end = np.int64(p.columns[3 * j]), np.int64(p.columns[3 * j + 1])
        total = splat(np.float32(0))
        for line in range(first * p.width, last * p.width, p.width):
            for at in range((line + begin) * PLANES, (line + end) * PLANES, PLANES):
                total = total + load(band, at)
        cells = p.rows[3 * y + 2] * p.columns[3 * j + 2]
        store(values, j * PLANES, total / splat(np.float32(cells)))


@kernel(Average)
def average_pool_gradient(start, stop, row, scratch):
    """x (the gradient of the input) = out (that of the output) spread evenly over each window."""
    p = unpack(row, Average)
    spare = workspace(row, scratch)
    band = spare + 256
    shares = band + (p.band * p.width + 15) // 16 * 16 * PLANES
    size, out_size = p.height * p.width, p.out_height * p.out_width
    for group in range(start, stop):
        x, out = p.x + group * PLANES * size, p.out + group * PLANES * out_size
        planes = p.planes - group * PLANES
        for y in range(0, p.height, p.band):
            end = min(y + p.band, p.height)
            first, last = rows_around(p, y, end)
            begin, count = first * p.out_width, (last - first) * p.out_width
            gather_planes(shares, out + begin, out_size, count, min(planes, PLANES), planes * out_size - begin)
            divide_shares(p, shares, first, last)
            for line in range(y, end):
                spread_line(p, shares + -begin * PLANES, band + (line - y) * p.width * PLANES, line)
            scatter_planes(x + y * p.width, size, (end - y) * p.width, min(planes, PLANES), band, spare)
    return 0


@device_function
def rows_around(p, first_line, last_line):
    """The rows of windows that cover any of the lines: (first, behind the last)."""
    first, last = p.out_height, np.int64(0)
    for line in range(first_line, last_line):
        if p.row_covers[2 * line] < p.row_covers[2 * line + 1]:
            first = min(first, np.int64(p.row_covers[2 * line]))
            last = max(last, np.int64(p.row_covers[2 * line + 1]))
    return min(first, last), last


@device_function
def divide_shares(p, shares, first, last):
    """Divide the gradients of the rows of windows first … last − 1 by the cells of their windows."""
    for y in range(first, last):
        for j in range(p.out_width):
            at = ((y - first) * p.out_width + j) * PLANES
            cells = p.rows[3 * y + 2] * p.columns[3 * j + 2]
            store(shares, at, load(shares, at) / splat(np.float32(cells)))


@device_function
def spread_line(p, shares, band, line):
    """band[c] = Σ of the shares of the windows that cell c of the line lies in."""
    first, last = np.int64(p.row_covers[2 * line]), np.int64(p.row_covers[2 * line + 1])
    for c in range(p.width):
        begin, end = np.int64(p.column_covers[2 * c]), np.int64(p.column_covers[2 * c + 1])
        total = splat(np.float32(0))
        for y in range(first * p.out_width, last * p.out_width, p.out_width):
            for at in range((y + begin) * PLANES, (y + end) * PLANES, PLANES):
                total = total + load(shares, at)
        store(band, c * PLANES, total)


class Means(NamedTuple):
    """Arguments of the kernels of means over whole planes of ``size`` elements."""

    out: F32
    x: F32
    size: I64_FIELD


@kernel(Means)
def plane_means(start, stop, row, scratch):
    """out[plane] = mean of the plane: four vectors of sixteen chains, then the tree of the lanes."""
    p = unpack(row, Means)
    whole, divisor = p.size // 64 * 64, np.float32(p.size)
    for plane in range(start, stop):
        x = p.x + plane * p.size
        zero = splat(np.float32(0))
        a, b, c, d = zero, zero, zero, zero
        for i in range(0, whole, 64):
            a, b = a + load(x, i), b + load(x, i + 16)
            c, d = c + load(x, i + 32), d + load(x, i + 48)
        for i in range(whole, p.size - 15, 16):
            a = a + load(x, i)
        if p.size % 16:
            b = b + load_first(x, p.size // 16 * 16, p.size % 16)
        p.out[plane] = lane_sum((a + b) + (c + d)) / divisor
    return 0


@kernel(Means)
def plane_means_gradient(start, stop, row, scratch):
    """x (the gradient of the input) = out (that of the output) / size in the whole plane."""
    p = unpack(row, Means)
    for plane in range(start, stop):
        fill(p.x + plane * p.size, 0, p.size, p.out[plane] / np.float32(p.size))
    return 0
