"""Means of overlapping windows and their gradient with vectors along lines: a sum of lines, then along it.

A window is so many lines times so many columns, so its sum has two steps: the lines of a row of windows are added,
column by column, which all windows of the row share; then the columns of windows that are one or two apart. The
gradient goes the other way: along a line first, then to all lines of the windows. A task is a plane.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from numbanet.kernels.cpu.arguments import I64_FIELD, unpack, workspace
from numbanet.kernels.cpu.kernel import device_function, kernel
from numbanet.kernels.cpu.pool_average import rows_around
from numbanet.kernels.cpu.pool_rows import fill
from numbanet.kernels.cpu.simd.lanes import load_second_halves
from numbanet.kernels.cpu.simd.pointers import F32, I32
from numbanet.kernels.cpu.simd.tails import load_upto, store_upto
from numbanet.kernels.cpu.simd.vector import interleave, load, splat, store


class AverageLines(NamedTuple):
    """Arguments: planes of (height, width) become planes of (out_height, out_width), and back in the gradient.

    ``rows`` and ``columns`` hold (first cell, behind the last, cells to divide by) of each row or column of windows;
    ``row_covers`` (first, behind the last) of the rows of windows that a line lies in. ``kernel``, ``stride`` (1 or 2)
    and ``pad`` are those along lines. ``band`` is the number of rows of windows, or of lines in the gradient, that are
    done at once, ``pitch`` how far apart the sums of their lines lie in scratch memory."""

    out: F32
    x: F32
    rows: I32
    columns: I32
    row_covers: I32
    height: I64_FIELD
    width: I64_FIELD
    out_height: I64_FIELD
    out_width: I64_FIELD
    kernel: I64_FIELD
    stride: I64_FIELD
    pad: I64_FIELD
    band: I64_FIELD
    pitch: I64_FIELD


@device_function
def cells_of_columns(p, cells):
    """cells[j] = how many columns of window j count; ones up to a whole vector."""
    fill(cells, 0, (p.out_width + 15) // 16 * 16, np.float32(1))
    for j in range(p.out_width):
        cells[j] = np.float32(p.columns[3 * j + 2])


# --- forward ---------------------------------------------------------------------------------------------------------
@kernel(AverageLines)
def average_pool_lines(start, stop, row, scratch):
    """out = sum of each window divided by its cells."""
    p = unpack(row, AverageLines)
    cells = workspace(row, scratch)
    sums = cells + (p.out_width + 31) // 16 * 16
    cells_of_columns(p, cells)
    fill(sums, 0, p.band * p.pitch, np.float32(0))
    for plane in range(start, stop):
        x, out = p.x + plane * p.height * p.width, p.out + plane * p.out_height * p.out_width
        for y in range(0, p.out_height, p.band):
            end = min(y + p.band, p.out_height)
            for i in range(y, end):
                sum_of_lines(p, x, sums + ((i - y) * p.pitch + p.pad), i)
            for i in range(y, end):
                means_along_line(p, sums + (i - y) * p.pitch, cells, out, i)
    return 0


@device_function
def sum_of_lines(p, x, sums, y):
    """sums[c] = Σ of column c over the lines of the windows of row y; zeros behind the last column."""
    first, last = np.int64(p.rows[3 * y]) * p.width, np.int64(p.rows[3 * y + 1]) * p.width
    for c in range(0, p.width - 15, 16):
        total = splat(np.float32(0))
        for at in range(first + c, last + c, p.width):
            total = total + load(x, at)
        store(sums, c, total)
    rest = p.width % 16
    if rest:
        c, total = p.width - rest, splat(np.float32(0))
        for at in range(first + c, last + c, p.width):
            total = total + load_upto(x, at, rest)
        store(sums, c, total)


@device_function
def means_along_line(p, sums, cells, out, y):
    """The means of a row of windows; sums[0] is the first column of the padding."""
    to, divisor, size = y * p.out_width, np.float32(p.rows[3 * y + 2]), p.out_height * p.out_width
    for j in range(0, p.out_width, 16):
        total = sum_of_columns(p, sums, j) if p.stride == 1 else sum_of_second_columns(p, sums, 2 * j)
        mean = total / (load(cells, j) * splat(divisor))
        if to + j + 16 <= size:  # what is too much the next row overwrites
            store(out, to + j, mean)
        else:
            store_upto(out, to + j, mean, p.out_width - j)


@device_function
def sum_of_columns(p, sums, begin):
    """Sixteen windows that are one column apart."""
    total = splat(np.float32(0))
    for c in range(begin, begin + p.kernel):
        total = total + load(sums, c)
    return total


@device_function
def sum_of_second_columns(p, sums, begin):
    """Sixteen windows that are two columns apart."""
    total = splat(np.float32(0))
    for c in range(begin, begin + p.kernel - 1, 2):
        total = total + load_second_halves(sums, c, c + 16, 0) + load_second_halves(sums, c, c + 16, 1)
    if p.kernel % 2:
        c = begin + p.kernel - 1
        total = total + load_second_halves(sums, c, c + 16, 0)
    return total


# --- gradient --------------------------------------------------------------------------------------------------------
@kernel(AverageLines)
def average_pool_lines_gradient(start, stop, row, scratch):
    """x (the gradient of the input) = out (that of the output) spread evenly over each window."""
    p = unpack(row, AverageLines)
    cells = workspace(row, scratch)
    shares = cells + (p.out_width + 31) // 16 * 16
    lines = shares + (2 * p.kernel + p.out_width + 63) // 16 * 16
    cells_of_columns(p, cells)
    fill(shares, 0, 2 * p.kernel + p.out_width + 48, np.float32(0))
    for plane in range(start, stop):
        x, out = p.x + plane * p.height * p.width, p.out + plane * p.out_height * p.out_width
        for top in range(0, p.height, p.band):
            bottom = min(top + p.band, p.height)
            first, last = rows_around(p, top, bottom)
            for y in range(first, last):
                spread_along_line(p, out + y * p.out_width, cells, shares, lines + (y - first) * p.pitch, y)
            for line in range(top, bottom):
                spread_to_line(p, lines + (p.pad - first * p.pitch), x, line)
    return 0


@device_function
def spread_along_line(p, grad, cells, shares, line, y):
    """line[c] = Σ of the shares of the windows of row y that column c lies in; line[0] is where padding begins."""
    divisor, before = np.float32(p.rows[3 * y + 2]), (p.kernel + 15) // 16 * 16
    for j in range(0, p.out_width, 16):
        grads = load_upto(grad, j, p.out_width - j)  # zeros behind the last window
        share = grads / (load(cells, j) * splat(divisor))
        store(shares, before + j, share)
    if p.stride == 1:
        for c in range(0, p.pad + p.width, 16):
            total = splat(np.float32(0))
            for at in range(before + c, before + c - p.kernel, -1):
                total = total + load(shares, at)
            store(line, c, total)
        return
    for c in range(0, (p.pad + p.width + 1) // 2, 16):
        even, odd = splat(np.float32(0)), splat(np.float32(0))
        for at in range(before + c, before + c - p.kernel // 2, -1):
            even, odd = even + load(shares, at), odd + load(shares, at)
        if p.kernel % 2:
            even = even + load(shares, before + c - p.kernel // 2)
        store(line, 2 * c, interleave(even, odd, 0))
        store(line, 2 * c + 16, interleave(even, odd, 1))


@device_function
def spread_to_line(p, lines, x, line):
    """x[line] = Σ of what the rows of windows that cover the line give it; lines[0] is column 0 of row 0."""
    first, last = np.int64(p.row_covers[2 * line]) * p.pitch, np.int64(p.row_covers[2 * line + 1]) * p.pitch
    to, size = line * p.width, p.height * p.width
    for c in range(0, p.width, 16):
        total = splat(np.float32(0))
        for at in range(first + c, last + c, p.pitch):
            total = total + load(lines, at)
        if to + c + 16 <= size:  # what is too much the next line overwrites
            store(x, to + c, total)
        else:
            store_upto(x, to + c, total, p.width - c)
