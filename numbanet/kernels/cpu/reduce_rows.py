"""Reductions whose inner axis is put together too: 4 · 16 virtual lanes over lines of elements that lie side by side.

A part is ``lines`` of the reduced lines, and of each ``block`` elements. A task is up to PARTS_A_TASK parts of one
output, one after the other; what tasks make of one output is reduced in turn. Lines of fewer than 16 elements are one
chain of scalars: a processor runs many of them at once.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from numbanet.kernels.cpu import fold
from numbanet.kernels.cpu.arguments import F64_FIELD, I64_FIELD, is_null, unpack
from numbanet.kernels.cpu.kernel import Kernel, device_function, kernel
from numbanet.kernels.cpu.simd.pointers import F32, INT64
from numbanet.kernels.cpu.simd.vector import lane_index, load, load_first, select, splat

BLOCK = 1 << 14
"""Elements of a part: the chain of one of its 64 lanes is 256 additions."""

PARTS_A_TASK = 4
"""So what one thread reduces by itself (``reduce.ELEMENTS_ALONE``) needs no second level."""

MIDDLE = 256
"""Elements of a line from which on four vectors at a time are worth their putting together."""


class Rows(NamedTuple):
    """out (outer, tasks) of x; offsets as in ``axes``; a part is ``lines`` × ``block`` of ``reduced`` × ``inner``."""

    out: F32
    x: F32
    outer_table: INT64
    outer_stride: I64_FIELD
    reduced_table: INT64
    reduced_stride: I64_FIELD
    reduced: I64_FIELD
    inner: I64_FIELD
    lines: I64_FIELD
    block: I64_FIELD
    divisor: F64_FIELD


@device_function
def offset(table, stride, i):
    """Where line i begins."""
    return i * stride if is_null(table) else table[i]


@device_function
def fold_lines(p, x, first, last, begin, length, together, scalars, across, identity):
    """The reduction of the elements begin … begin + length − 1 of the lines first … last − 1."""
    if length < 16:
        total = identity
        for r in range(first, last):
            line = x + (offset(p.reduced_table, p.reduced_stride, r) + begin)
            for j in range(length):
                total = scalars(total, line[j])
        return total
    empty = splat(identity)
    a, b, c, d = empty, empty, empty, empty
    whole = length // 64 * 64
    vectors = length // 16 * 16
    for r in range(first, last):
        line = x + (offset(p.reduced_table, p.reduced_stride, r) + begin)
        for j in range(0, whole, 64):
            a = together(a, load(line, j))
            b = together(b, load(line, j + 16))
            c = together(c, load(line, j + 32))
            d = together(d, load(line, j + 48))
        for j in range(whole, vectors, 16):
            a = together(a, load(line, j))
        if vectors < length:
            rest = load_first(line, vectors, length - vectors)
            b = together(b, select(lane_index() < splat(np.int32(length - vectors)), rest, empty))
    return across(together(together(a, c), together(b, d)))


@device_function
def fold_short_lines(p, start, stop, scalars, identity):
    """One chain of scalars an output, for outputs of one line of fewer than 16 elements."""
    divisor = np.float32(p.divisor)
    for task in range(start, stop):
        x = p.x + offset(p.outer_table, p.outer_stride, task)
        total = identity
        for j in range(p.inner):
            total = scalars(total, x[j])
        p.out[task] = total / divisor


@device_function
def fold_middle_lines(p, start, stop, together, across, identity):
    """16 lanes an output, for outputs of one line of 16 … MIDDLE elements."""
    divisor = np.float32(p.divisor)
    vectors = p.inner // 16 * 16
    left = p.inner - vectors
    empty, wanted = splat(identity), lane_index() < splat(np.int32(left))
    for task in range(start, stop):
        x = p.x + offset(p.outer_table, p.outer_stride, task)
        total = load(x, 0)
        for j in range(16, vectors, 16):
            total = together(total, load(x, j))
        if left > 0:
            total = together(total, select(wanted, load_first(x, vectors, left), empty))
        p.out[task] = across(total) / divisor


@device_function
def fold_parts(p, x, first_part, last_part, together, scalars, across, identity):
    """The reduction of some parts of one output, one after the other."""
    blocks = (p.inner + p.block - 1) // p.block
    total = identity
    for part in range(first_part, last_part):
        first, begin = part // blocks * p.lines, part % blocks * p.block
        last, length = min(first + p.lines, p.reduced), min(p.block, p.inner - begin)
        total = scalars(total, fold_lines(p, x, first, last, begin, length, together, scalars, across, identity))
    return total


@device_function
def fold_rows(start, stop, row, together, scalars, across, identity):
    """The tasks start … stop − 1."""
    p = unpack(row, Rows)
    if p.reduced == 1 and p.inner < 16:
        fold_short_lines(p, start, stop, scalars, identity)
        return 0
    if p.reduced == 1 and p.inner < MIDDLE:
        fold_middle_lines(p, start, stop, together, across, identity)
        return 0
    divisor = np.float32(p.divisor)
    parts = (p.reduced + p.lines - 1) // p.lines * ((p.inner + p.block - 1) // p.block)
    if parts == 1:
        for task in range(start, stop):
            x = p.x + offset(p.outer_table, p.outer_stride, task)
            p.out[task] = fold_lines(p, x, 0, p.reduced, 0, p.inner, together, scalars, across, identity) / divisor
        return 0
    tasks = (parts + PARTS_A_TASK - 1) // PARTS_A_TASK
    for task in range(start, stop):
        x = p.x + offset(p.outer_table, p.outer_stride, task // tasks)
        part = task % tasks * PARTS_A_TASK
        total = fold_parts(p, x, part, min(part + PARTS_A_TASK, parts), together, scalars, across, identity)
        p.out[task] = total / divisor
    return 0


@kernel(Rows)
def sum_rows(start, stop, row, scratch):
    """out = Σ x / divisor."""
    return fold_rows(start, stop, row, fold.add, fold.add, fold.sum_across, np.float32(0))


@kernel(Rows)
def product_rows(start, stop, row, scratch):
    """out = Π x."""
    return fold_rows(start, stop, row, fold.multiply, fold.multiply, fold.product_across, np.float32(1))


@kernel(Rows)
def max_rows(start, stop, row, scratch):
    """out = maximum of x."""
    return fold_rows(start, stop, row, fold.larger, fold.larger_scalar, fold.max_across, np.float32(-np.inf))


@kernel(Rows)
def min_rows(start, stop, row, scratch):
    """out = minimum of x."""
    return fold_rows(start, stop, row, fold.smaller, fold.smaller_scalar, fold.min_across, np.float32(np.inf))


KERNELS: dict[str, Kernel] = {"sum": sum_rows, "prod": product_rows, "max": max_rows, "min": min_rows}


def parts_of(reduced: int, inner: int) -> tuple[int, int, int]:
    """Lines of a part, elements of each, and the number of parts: about BLOCK elements each, by the shape alone."""
    block = min(inner, BLOCK)
    lines = max(1, min(reduced, BLOCK // block))
    return lines, block, -(-reduced // lines) * -(-inner // block)
