"""Mean and variance over any axes: Σ x / n, then Σ (x − mean)² of each part while it is in the cache; parts are merged.

The sum of the squares is corrected by what is left of Σ (x − mean), which is 0 but for rounding; the merge of parts is
Chan's, in float64: M = Σ Mₚ + Σ nₚ (meanₚ − mean)². So a mean that is large against the deviations does no harm.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from numbanet.kernels.array import Array
from numbanet.kernels.cpu import fold
from numbanet.kernels.cpu.arguments import F64_FIELD, I64_FIELD, unpack
from numbanet.kernels.cpu.axes import Form, form_of
from numbanet.kernels.cpu.kernel import device_function, kernel
from numbanet.kernels.cpu.pointwise import FLOAT32
from numbanet.kernels.cpu.reduce import chunk_of, contiguous
from numbanet.kernels.cpu.reduce_columns import LINES
from numbanet.kernels.cpu.reduce_rows import fold_lines, offset, parts_of
from numbanet.kernels.cpu.simd.pointers import F32, INT64
from numbanet.kernels.cpu.simd.vector import lane_index, lane_sum, load, load_first, select, splat, store, store_first

COLUMNS = 32
"""Columns of a task where the inner axis is kept: a part of them stays in the second-level cache."""


class Moments(NamedTuple):
    """means and squares (outer, parts) or (outer, parts, inner) of x; offsets as in ``axes``, parts as in ``reduce``.

    squares holds Σ (x − mean)² / divisor."""

    means: F32
    squares: F32
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


class Merge(NamedTuple):
    """Arguments of merge_moments: variance and mean (outer, inner) of means and squares (outer, parts, inner)."""

    variance: F32
    mean: F32
    means: F32
    squares: F32
    parts: I64_FIELD
    inner: I64_FIELD
    reduced: I64_FIELD
    lines: I64_FIELD
    width: I64_FIELD
    block: I64_FIELD
    divisor: F64_FIELD


@device_function
def deviations(p, x, first, last, begin, length, mean):
    """Σ (x − mean) and Σ (x − mean)² of the elements begin … begin + length − 1 of the lines first … last − 1."""
    zero, shift = splat(np.float32(0)), splat(mean)
    a, b, c, d = zero, zero, zero, zero
    whole = length // 32 * 32
    for r in range(first, last):
        line = x + (offset(p.reduced_table, p.reduced_stride, r) + begin)
        for j in range(0, whole, 32):
            u, v = load(line, j) - shift, load(line, j + 16) - shift
            a, b = a + u, b + u * u
            c, d = c + v, d + v * v
        for j in range(whole, length, 16):
            wanted = lane_index() < splat(np.int32(length - j))
            u = select(wanted, load_first(line, j, length - j) - shift, zero)
            a, b = a + u, b + u * u
    return lane_sum(a + c), lane_sum(b + d)


@kernel(Moments)
def row_moments(start, stop, row, scratch):
    """Mean and squares of one part of one output."""
    p = unpack(row, Moments)
    blocks = (p.inner + p.block - 1) // p.block
    parts = (p.reduced + p.lines - 1) // p.lines * blocks
    zero, divisor = np.float32(0), np.float32(p.divisor)
    for task in range(start, stop):
        output, part = (task // parts, task % parts) if parts > 1 else (task, 0)
        x = p.x + offset(p.outer_table, p.outer_stride, output)
        first, begin = (part // blocks * p.lines, part % blocks * p.block) if parts > 1 else (0, 0)
        last, length = min(first + p.lines, p.reduced), min(p.block, p.inner - begin)
        count = np.float32((last - first) * length)
        mean = fold_lines(p, x, first, last, begin, length, fold.add, fold.add, fold.sum_across, zero) / count
        left, squares = deviations(p, x, first, last, begin, length, mean)
        p.means[task] = mean + left / count if left == left else mean
        p.squares[task] = (squares - left * left / count) / divisor
    return 0


@device_function
def corrected(mean, left):
    """mean + left, but an infinite mean stays so: there left is inf − inf."""
    return select(left == left, mean + left, mean)


@device_function
def two_vectors(p, x, first, last, at, divisor):
    """Mean and squares of 32 columns, to p.means and p.squares from ``at`` on."""
    count, zero = splat(np.float32(last - first)), splat(np.float32(0))
    a, b = zero, zero
    for r in range(first, last):
        line = x + offset(p.reduced_table, p.reduced_stride, r)
        a, b = a + load(line, 0), b + load(line, 16)
    mean, other = a / count, b / count
    a, b, c, d = zero, zero, zero, zero
    for r in range(first, last):
        line = x + offset(p.reduced_table, p.reduced_stride, r)
        u, v = load(line, 0) - mean, load(line, 16) - other
        a, b = a + u, b + u * u
        c, d = c + v, d + v * v
    store(p.means, at, corrected(mean, a / count))
    store(p.means, at + 16, corrected(other, c / count))
    store(p.squares, at, (b - a * a / count) / divisor)
    store(p.squares, at + 16, (d - c * c / count) / divisor)


@device_function
def few_columns(p, x, first, last, at, n, divisor):
    """As two_vectors, of n ≤ 16 columns."""
    count, zero = splat(np.float32(last - first)), splat(np.float32(0))
    total = zero
    for r in range(first, last):
        total = total + load_first(x + offset(p.reduced_table, p.reduced_stride, r), 0, n)
    mean = total / count
    a, b = zero, zero
    for r in range(first, last):
        u = load_first(x + offset(p.reduced_table, p.reduced_stride, r), 0, n) - mean
        a, b = a + u, b + u * u
    store_first(p.means, at, corrected(mean, a / count), n)
    store_first(p.squares, at, (b - a * a / count) / divisor, n)


@kernel(Moments)
def column_moments(start, stop, row, scratch):
    """Mean and squares of COLUMNS columns of one part of one outer line."""
    p = unpack(row, Moments)
    blocks = (p.inner + COLUMNS - 1) // COLUMNS
    parts = (p.reduced + p.lines - 1) // p.lines
    divisor = splat(np.float32(p.divisor))
    for task in range(start, stop):
        j, part, output = task % blocks * COLUMNS, task // blocks % parts, task // (blocks * parts)
        x = p.x + (offset(p.outer_table, p.outer_stride, output) + j)
        first, left = part * p.lines, p.inner - j
        last = min(first + p.lines, p.reduced)
        at = (output * parts + part) * p.inner + j
        if left >= COLUMNS:
            two_vectors(p, x, first, last, at, divisor)
        else:
            for i in range(0, left, 16):
                few_columns(p, x + i, first, last, at + i, min(16, left - i), divisor)
    return 0


@device_function
def part_size(p, part):
    """Elements of a part."""
    blocks = (p.width + p.block - 1) // p.block
    lines = min(p.lines, p.reduced - part // blocks * p.lines)
    return np.float64(lines * min(p.block, p.width - part % blocks * p.block))


@kernel(Merge)
def merge_moments(start, stop, row, scratch):
    """Mean and variance of one output from those of its parts."""
    p = unpack(row, Merge)
    for task in range(start, stop):
        begin = task // p.inner * p.parts * p.inner + task % p.inner
        mean, squares = 0.0, 0.0
        for part in range(p.parts):
            mean += part_size(p, part) * np.float64(p.means[begin + part * p.inner])
        mean /= np.float64(p.reduced * p.width)
        for part in range(p.parts):
            distance = np.float64(p.means[begin + part * p.inner]) - mean
            squares += np.float64(p.squares[begin + part * p.inner]) + part_size(p, part) * distance * distance
        p.mean[task] = np.float32(mean)
        p.variance[task] = np.float32(squares / p.divisor)
    return 0


def _append(program, out: Array, mean: Array, x: Array, form: Form, divisor: float) -> None:
    outer, reduced, inner = form.outer, form.reduced, form.inner
    if form.by_rows:
        lines, block, parts = parts_of(reduced.count, inner)
        which, outputs, width, kept = row_moments, outer.count * parts, inner, 1
    else:
        parts = 1 if reduced.count < 2 * LINES else -(-reduced.count // LINES)
        lines, block = reduced.count if parts == 1 else LINES, 1
        which, outputs, width, kept = column_moments, outer.count * parts * -(-inner // COLUMNS), 1, inner
    shape = (outer.count, parts, kept)
    means, squares = (mean, out) if parts == 1 else (program.workspace(shape), program.workspace(shape))
    args = Moments(
        means, squares, x, outer.table, outer.stride, reduced.table, reduced.stride, reduced.count, inner, lines, block,
        divisor if parts == 1 else 1.0,
    )  # fmt: skip
    elements = lines * (block if form.by_rows else COLUMNS)
    program.append(which, outputs, args, chunk=chunk_of(outputs, elements))
    if parts > 1:
        args = Merge(out, mean, means, squares, parts, kept, reduced.count, lines, width, block, divisor)
        tasks = outer.count * kept
        program.append(merge_moments, tasks, args, chunk=chunk_of(tasks, 8 * parts))


def variance(program, out, mean, x, axes, correction):
    if x.dtype is not FLOAT32 or not (out.is_contiguous and mean.is_contiguous):
        return f"dtype {x.dtype}, or strided"
    if x.size == 0:
        program.fill(out, math.nan)
        program.fill(mean, math.nan)
        return None
    divisor = float(max(0, math.prod([x.shape[axis] for axis in axes]) - correction))
    form = form_of(x.shape, x.strides, axes)
    if form is None and not x.is_contiguous:
        x = contiguous(program, x)
        form = form_of(x.shape, x.strides, axes)
    if form is None:
        return "too many lines for a table of their offsets"
    for offsets in (form.outer, form.reduced):
        if offsets.table is not None:
            program.keep(offsets.table)
    _append(program, out, mean, x, form, divisor)
    return None


FUNCTIONS = (variance,)
