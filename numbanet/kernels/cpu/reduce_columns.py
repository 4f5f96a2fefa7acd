"""Reductions whose inner axis is kept: whole lines are put together, one chain a column.

A task is ``COLUMNS`` columns of one part (``lines`` of the reduced lines) of one outer line.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from numbanet.kernels.cpu import fold
from numbanet.kernels.cpu.arguments import F64_FIELD, I64_FIELD, unpack
from numbanet.kernels.cpu.kernel import Kernel, device_function, kernel
from numbanet.kernels.cpu.reduce_rows import offset
from numbanet.kernels.cpu.simd.pointers import F32, INT64
from numbanet.kernels.cpu.simd.vector import load, load_first, splat, store, store_first

COLUMNS = 256
"""Columns of a task: what is there so far stays in the first-level cache, and lines are read a kilobyte at a time."""
LINES = 256
"""Lines of a part: as long as a chain of additions gets."""


class Columns(NamedTuple):
    """out (outer, parts, inner) of x; offsets as in ``axes``; ``out_stride`` is between outer lines of out."""

    out: F32
    x: F32
    outer_table: INT64
    outer_stride: I64_FIELD
    out_stride: I64_FIELD
    reduced_table: INT64
    reduced_stride: I64_FIELD
    reduced: I64_FIELD
    inner: I64_FIELD
    lines: I64_FIELD
    divisor: F64_FIELD


@device_function
def fold_wide(p, x, out, first, last, width, together, identity):
    """``width`` columns (a multiple of 16), four lines at a time; what is there so far lies in out."""
    left = (last - first) % 4
    for j in range(0, width, 16):
        total = splat(identity)
        for r in range(first, first + left):
            total = together(total, load(x + offset(p.reduced_table, p.reduced_stride, r), j))
        store(out, j, total)
    for r in range(first + left, last, 4):
        x0 = x + offset(p.reduced_table, p.reduced_stride, r)
        x1 = x + offset(p.reduced_table, p.reduced_stride, r + 1)
        x2 = x + offset(p.reduced_table, p.reduced_stride, r + 2)
        x3 = x + offset(p.reduced_table, p.reduced_stride, r + 3)
        for j in range(0, width, 16):
            total = together(together(load(out, j), load(x0, j)), load(x1, j))
            store(out, j, together(together(total, load(x2, j)), load(x3, j)))


@device_function
def fold_few(p, x, first, last, width, together, identity):
    """Fewer than 16 columns: four chains of lines, which are put together at last."""
    a, b, c, d = splat(identity), splat(identity), splat(identity), splat(identity)
    for r in range(first, last - 3, 4):
        a = together(a, load_first(x + offset(p.reduced_table, p.reduced_stride, r), 0, width))
        b = together(b, load_first(x + offset(p.reduced_table, p.reduced_stride, r + 1), 0, width))
        c = together(c, load_first(x + offset(p.reduced_table, p.reduced_stride, r + 2), 0, width))
        d = together(d, load_first(x + offset(p.reduced_table, p.reduced_stride, r + 3), 0, width))
    for r in range(last - (last - first) % 4, last):
        a = together(a, load_first(x + offset(p.reduced_table, p.reduced_stride, r), 0, width))
    return together(together(a, c), together(b, d))


@device_function
def fold_columns(start, stop, row, together, identity):
    """The tasks start … stop − 1."""
    p = unpack(row, Columns)
    blocks = (p.inner + COLUMNS - 1) // COLUMNS
    parts = (p.reduced + p.lines - 1) // p.lines
    divisor = splat(np.float32(p.divisor))
    block, part, outer = start % blocks, start // blocks % parts, start // (blocks * parts)
    for _ in range(start, stop):
        j = block * COLUMNS
        width = min(COLUMNS, p.inner - j)
        x = p.x + (offset(p.outer_table, p.outer_stride, outer) + j)
        out = p.out + (outer * p.out_stride + part * p.inner + j)
        first = part * p.lines
        last = min(first + p.lines, p.reduced)
        whole = width // 16 * 16
        if whole > 0:
            fold_wide(p, x, out, first, last, whole, together, identity)
            if p.divisor != 1:
                for i in range(0, whole, 16):
                    store(out, i, load(out, i) / divisor)
        if whole < width:
            total = fold_few(p, x + whole, first, last, width - whole, together, identity)
            store_first(out, whole, total / divisor, width - whole)
        block += 1
        if block == blocks:
            block, part = 0, part + 1
            if part == parts:
                part, outer = 0, outer + 1
    return 0


@kernel(Columns)
def sum_columns(start, stop, row, scratch):
    """out = Σ x / divisor."""
    return fold_columns(start, stop, row, fold.add, np.float32(0))


@kernel(Columns)
def product_columns(start, stop, row, scratch):
    """out = Π x."""
    return fold_columns(start, stop, row, fold.multiply, np.float32(1))


@kernel(Columns)
def max_columns(start, stop, row, scratch):
    """out = maximum of x."""
    return fold_columns(start, stop, row, fold.larger, np.float32(-np.inf))


@kernel(Columns)
def min_columns(start, stop, row, scratch):
    """out = minimum of x."""
    return fold_columns(start, stop, row, fold.smaller, np.float32(np.inf))


KERNELS: dict[str, Kernel] = {"sum": sum_columns, "prod": product_columns, "max": max_columns, "min": min_columns}
