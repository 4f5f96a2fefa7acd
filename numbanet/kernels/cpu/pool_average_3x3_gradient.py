"""The gradient of means of windows of 3 × 3 cells two apart, with vectors along lines.

Of two neighbouring lines (and columns) one lies in the middle of a row of windows, the other where two rows meet. So a
line is spread from the shares of one row, or from the sum of two, and along it is the same: each cell takes one share,
or the sum of two that lie side by side. The shares of some rows are written before any is read one element further: a
load across two stores waits for both.
"""

from __future__ import annotations

import numpy as np

from numbanet.kernels.cpu.arguments import unpack, workspace
from numbanet.kernels.cpu.kernel import device_function, kernel
from numbanet.kernels.cpu.pool_average_3x3 import Average3x3, cells_of_columns, cells_of_row
from numbanet.kernels.cpu.pool_rows import fill
from numbanet.kernels.cpu.simd.tails import load_upto, store_upto
from numbanet.kernels.cpu.simd.vector import interleave, lane_index, load, select, splat, store

APART = 32
"""Zeros between rows of shares."""


@kernel(Average3x3)
def average_pool_3x3_gradient(start, stop, row, scratch):
    """x (the gradient of the input) = out (that of the output) spread evenly over each window; a task is a plane."""
    p = unpack(row, Average3x3)
    width = (p.out_width + 15) // 16 * 16
    parts, pitch, cells = workspace(row, scratch), width + APART, 0
    fill(parts, width, width + 16 + (p.band + 1) * pitch, np.float32(0))
    shares = parts + (width + 16)
    for plane in range(start, stop):
        x, out = p.x + plane * p.height * p.width, p.out + plane * p.out_height * p.out_width
        for first in range(0, p.out_height + 1, p.band):
            last = min(first + p.band, p.out_height + 1)
            for y in range(first - 1, last):
                cells = shares_of_row(p, out, y, shares + (y - first + 1) * pitch, parts, cells)
            for line in range(max(2 * first - p.pad_y, 0), min(2 * last - p.pad_y, p.height)):
                y = (line + p.pad_y) // 2
                spread_to_line(p, shares + (y - first) * pitch, pitch, (line + p.pad_y) % 2 == 0, x, line)
    return 0


@device_function(inlined=True)
def shares_of_row(p, grad, y, shares, parts, cells):
    """shares[j] = what each cell of window j in row y is given; zeros where there is no such row.

    ``parts`` holds 1 / cells of the windows whose lines are ``cells``; which these are now."""
    if not 0 <= y < p.out_height:
        for j in range(0, p.out_width, 16):
            store(shares, j, splat(np.float32(0)))
        return cells
    lines, one = cells_of_row(p, y), splat(np.float32(1))
    for j in range(0, p.out_width, 16):
        if lines != cells:
            columns = cells_of_columns(p, lane_index() + splat(np.int32(j)))
            store(parts, j, one / (select(columns < one, one, columns) * splat(np.float32(lines))))
        store(shares, j, load_upto(grad, y * p.out_width + j, p.out_width - j) * load(parts, j))
    return lines


@device_function(inlined=True)
def spread_to_line(p, shares, pitch, is_between, x, line):
    """x[line] from the sum of the shares of the two rows of windows that it lies between, or from the lower one's."""
    to, size = line * p.width, p.height * p.width
    for i in range(0, (p.width + 1) // 2, 16):
        at = i + p.pad_x
        left, right = load(shares, pitch + at - 1), load(shares, pitch + at)
        if is_between:
            left, right = load(shares, at - 1) + left, load(shares, at) + right
        total = left + right
        even, odd = (left, total) if p.pad_x else (total, right)
        store_in_plane(x, to + 2 * i, interleave(even, odd, 0), p.width - 2 * i, size)
        if 2 * i + 16 < p.width:
            store_in_plane(x, to + 2 * i + 16, interleave(even, odd, 1), p.width - 2 * i - 16, size)


@device_function
def store_in_plane(x, at, value, count, size):
    """x[at : at + 16] = value; only ``count`` of them where the plane ends: else the next line overwrites the rest."""
    if at + 16 <= size:
        store(x, at, value)
    else:
        store_upto(x, at, value, count)
