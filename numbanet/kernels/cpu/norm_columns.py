"""Batch norm of short planes, those of a matrix (n, c) above all: 16 lanes run over columns, the sums over samples.

A column is one place (channel, position) of a sample; a channel's row has the parts of all its columns as units.
"""

from __future__ import annotations

import numpy as np

from numbanet.kernels.cpu.arguments import is_null, unpack, workspace
from numbanet.kernels.cpu.kernel import device_function, kernel
from numbanet.kernels.cpu.norm_common import (
    RELU_OF_INPUT,
    RELU_OF_OUTPUT,
    Norm,
    join_gradients,
    join_moments,
)
from numbanet.kernels.cpu.simd.tails import load_upto, store_upto
from numbanet.kernels.cpu.simd.vector import fma, interleave, load, select, splat, store, store_first
from numbanet.kernels.cpu.simd.wide import narrow, splat_wide, sqrt_wide, widen

PART = 256
"""Samples of a part: one float32 sum a lane."""
CHUNK = 4096
"""Elements of a task of the passes that write, at least."""
COLUMNS = 128
"""Columns of a task of the passes that sum, at most: of whole rows."""
SCRATCH = 3 * COLUMNS
SAMPLES_OF_A_SHIFT = 16


@device_function
def column_task(p, task):
    """(first row, row after the last, part) of a task."""
    blocks = (p.rows + p.lines - 1) // p.lines
    first = task % blocks * p.lines
    return first, min(first + p.lines, p.rows), task // blocks


@device_function
def unit_of(p, column, part):
    """Where a column's two numbers of a part lie."""
    return 2 * (column * p.parts + part)


@device_function
def column_means(x, width, columns, samples, memory):
    """memory[:columns] = the mean of each column over some samples, roughly."""
    share = splat(np.float32(1) / np.float32(samples))
    for j in range(0, columns, 16):
        total = splat(np.float32(0))
        for i in range(samples):
            total = total + load_upto(x, i * width + j, columns - j)
        store(memory, j, total * share)
        store(memory, COLUMNS + j, splat(np.float32(0)))
        store(memory, 2 * COLUMNS + j, splat(np.float32(0)))


@device_function
def sums_of_columns(p, first_line, last_line, part, memory):
    """In memory the mean of the first samples of a part, Σ of the distances from it and Σ of their squares, for the
    columns of some rows; returns the number of samples.

    Samples are taken four at a time, so that the sums, which lie in memory, are not moved as often as the numbers."""
    width, column = p.rows * p.row_stride, first_line * p.row_stride
    columns, first = (last_line - first_line) * p.row_stride, part * p.planes_a_part
    size, x = min(p.planes - first, p.planes_a_part), p.x + (first * width + column)
    column_means(x, width, columns, min(size, SAMPLES_OF_A_SHIFT), memory)
    for i in range(0, size, 4):
        for j in range(0, columns, 16):
            n = columns - j
            shift, total, squares = load(memory, j), load(memory, COLUMNS + j), load(memory, 2 * COLUMNS + j)
            for sample in range(i, min(i + 4, size)):
                d = load_upto(x, sample * width + j, n) - shift
                total, squares = total + d, fma(d, d, squares)
            store(memory, COLUMNS + j, total)
            store(memory, 2 * COLUMNS + j, squares)
    return size


@device_function
def part_moments(p, first_line, last_line, part, memory):
    """Mean and Σ(x − mean)² of the columns of some rows in a part, by distances from the mean of the first samples."""
    share = 1 / sums_of_columns(p, first_line, last_line, part, memory)
    column = first_line * p.row_stride
    for j in range((last_line - first_line) * p.row_stride):
        total, unit = np.float64(memory[COLUMNS + j]), unit_of(p, column + j, part)
        mean = total * share
        spread = np.float64(memory[2 * COLUMNS + j]) - total * mean
        p.partial[unit] = np.float64(memory[j]) + mean
        p.partial[unit + 1] = 0.0 if spread < 0 else spread


@kernel(Norm)
def moments_across_samples(start, stop, row, scratch):
    """Mean and Σ(x − mean)² of every part of every column."""
    p = unpack(row, Norm)
    for task in range(start, stop):
        first, last, part = column_task(p, task)
        part_moments(p, first, last, part, workspace(row, scratch))
    return 0


@device_function
def spread_row(p, line):
    """coefficients = mean, ρ·weight and bias of a row for each of its columns, as often as spread has room."""
    mean, scale = p.statistics[line], p.statistics[p.rows + line]
    if not is_null(p.weight):
        scale *= p.weight[line]
    bias = np.float32(0) if is_null(p.bias) else p.bias[line]
    column = line * p.row_stride
    while column < p.spread:
        for place in range(column, column + p.row_stride):
            p.coefficients[place] = mean
            p.coefficients[p.spread + place] = scale
            p.coefficients[2 * p.spread + place] = bias
        column += p.rows * p.row_stride


@kernel(Norm)
def spread_columns(start, stop, row, scratch):
    """The coefficients that are known from the statistics, for the columns of each row."""
    p = unpack(row, Norm)
    for line in range(start, stop):
        spread_row(p, line)
    return 0


@device_function
def normal_at(p, i, column, n):
    """(x − mean)·scale + bias, and what follows, for n elements from i on."""
    value = load_upto(p.x, i, n) - load_upto(p.coefficients, column, n)
    value = fma(
        value, load_upto(p.coefficients, p.spread + column, n), load_upto(p.coefficients, 2 * p.spread + column, n)
    )
    if not is_null(p.residual):
        value = value + load_upto(p.residual, i, n)
    if p.relu:
        value = select(value < splat(np.float32(0)), splat(np.float32(0)), value)
    return value


@device_function
def normalise_run(p, begin, column, n):
    """out from x for n elements from begin on, with the coefficients from column on.

    The last vector overlaps the one before, which writes the same numbers twice."""
    for j in range(0, n - 15, 16):
        store(p.out, begin + j, normal_at(p, begin + j, column + j, 16))
    if n < 16:
        store_first(p.out, begin, normal_at(p, begin, column, n), n)
    elif n % 16:
        store(p.out, begin + n - 16, normal_at(p, begin + n - 16, column + n - 16, 16))


@kernel(Norm)
def normalise_columns(start, stop, row, scratch):
    """out from x and the coefficients; a task is some runs of ``spread`` elements."""
    p = unpack(row, Norm)
    step = max(1, CHUNK // p.spread) * p.spread
    for begin in range(start * step, min(stop * step, p.size * p.rows), p.spread):
        normalise_run(p, begin, 0, min(p.spread, p.size * p.rows - begin))
    return 0


@device_function
def finish_sixteen(p, line, memory):
    """What part_moments, join_moments and spread_row do, for sixteen rows of one column and one part each.

    The same operations in the same order: the bits are theirs."""
    size = splat_wide(np.float64(p.planes))
    share = splat_wide(1 / p.planes)
    total = widen(load(memory, COLUMNS))
    nearby = total * share
    spread = widen(load(memory, 2 * COLUMNS)) - total * nearby
    spread = select(spread < splat_wide(0.0), splat_wide(0.0), spread)
    unit = widen(load(memory, 0)) + nearby
    mean = size * unit * share
    distance = unit - mean
    var = (spread + size * distance * distance) * share
    rstd = narrow(splat_wide(1.0) / sqrt_wide(var + splat_wide(p.eps)))
    store(p.partial, 2 * line, interleave(mean, var, 0))
    store(p.partial, 2 * line + 16, interleave(mean, var, 1))
    store(p.statistics, line, narrow(mean))
    store(p.statistics, p.rows + line, rstd)
    store(p.coefficients, line, narrow(mean))
    store(p.coefficients, p.spread + line, rstd if is_null(p.weight) else rstd * load(p.weight, line))
    store(p.coefficients, 2 * p.spread + line, splat(np.float32(0)) if is_null(p.bias) else load(p.bias, line))


@device_function
def statistics_of_rows(p, first, last, memory):
    """Statistics and coefficients of some rows; those of a matrix of few samples are finished sixteen at a time."""
    if p.parts == 1 and p.row_stride == 1 and last - first >= 16:
        sums_of_columns(p, first, last, 0, memory)
        for line in range(first, last, 16):
            line = min(line, last - 16)
            finish_sixteen(p, line, memory + (line - first))
        return
    for part in range(p.parts):
        part_moments(p, first, last, part, memory)
    for line in range(first, last):
        join_moments(p, line)
        spread_row(p, line)


@kernel(Norm)
def normalise_column_rows(start, stop, row, scratch):
    """Statistics and out of the columns of some rows: what the second pass reads lies in the cache still."""
    p = unpack(row, Norm)
    for task in range(start, stop):
        first, last = task * p.lines, min((task + 1) * p.lines, p.rows)
        statistics_of_rows(p, first, last, workspace(row, scratch))
        column, n = first * p.row_stride, (last - first) * p.row_stride
        for sample in range(p.planes):
            normalise_run(p, sample * p.plane_stride + column, column, n)
    return 0


@device_function
def gradient_behind(p, i, distance, scale, bias, n):
    """The gradient of n elements from i on where the output is not at or below 0."""
    zero = splat(np.float32(0))
    g = load_upto(p.grad, i, n)
    if p.relu == RELU_OF_INPUT:
        g = select(fma(distance, scale, bias) <= zero, zero, g)
    elif p.relu == RELU_OF_OUTPUT:
        g = select(load_upto(p.y, i, n) <= zero, zero, g)
    return g


@device_function
def part_gradient_sums(p, first_line, last_line, part, memory):
    """Σ g and Σ g·(x − μ) of the columns of some rows in a part; g for the residual. Samples are taken by fours."""
    width, column = p.rows * p.row_stride, first_line * p.row_stride
    columns, first = (last_line - first_line) * p.row_stride, part * p.planes_a_part
    last, zero = min(first + p.planes_a_part, p.planes), splat(np.float32(0))
    for i in range(first, last, 4):
        for j in range(0, columns, 16):
            n, at = columns - j, column + j
            mean, scale = load_upto(p.coefficients, at, n), load_upto(p.coefficients, p.spread + at, n)
            bias = load_upto(p.coefficients, 2 * p.spread + at, n)
            total = load(memory, j) if i > first else zero
            products = load(memory, COLUMNS + j) if i > first else zero
            for sample in range(i, min(i + 4, last)):
                place = sample * width + at
                distance = load_upto(p.x, place, n) - mean
                g = gradient_behind(p, place, distance, scale, bias, n)
                if not is_null(p.residual):
                    store_upto(p.residual, place, g, n)
                total, products = total + g, fma(g, distance, products)
            store(memory, j, total)
            store(memory, COLUMNS + j, products)
    for j in range(columns):
        unit = unit_of(p, column + j, part)
        p.partial[unit] = memory[j]
        p.partial[unit + 1] = memory[COLUMNS + j]


@kernel(Norm)
def column_gradient_sums(start, stop, row, scratch):
    """Σ g and Σ g·(x − μ) of every part of every column."""
    p = unpack(row, Norm)
    for task in range(start, stop):
        first, last, part = column_task(p, task)
        part_gradient_sums(p, first, last, part, workspace(row, scratch))
    return 0


@device_function
def column_gradient_at(p, i, column, n):
    """scale·g + factor·(x − mean) + constant, or scale·g where the statistics were given."""
    c = p.coefficients
    distance, scale = load_upto(p.x, i, n) - load_upto(c, column, n), load_upto(c, p.spread + column, n)
    g = gradient_behind(p, i, distance, scale, load_upto(c, 2 * p.spread + column, n), n)
    if p.training == 0:
        return scale * g
    factor, constant = load_upto(c, 3 * p.spread + column, n), load_upto(c, 4 * p.spread + column, n)
    return fma(scale, g, fma(factor, distance, constant))


@device_function
def gradient_run(p, begin, column, n):
    """The gradient for x, as normalise_run."""
    for j in range(0, n - 15, 16):
        store(p.out, begin + j, column_gradient_at(p, begin + j, column + j, 16))
    if n < 16:
        store_first(p.out, begin, column_gradient_at(p, begin, column, n), n)
    elif n % 16:
        store(p.out, begin + n - 16, column_gradient_at(p, begin + n - 16, column + n - 16, 16))


@kernel(Norm)
def gradient_columns(start, stop, row, scratch):
    """The gradient for x from the coefficients, as normalise_columns."""
    p = unpack(row, Norm)
    step = max(1, CHUNK // p.spread) * p.spread
    for begin in range(start * step, min(stop * step, p.size * p.rows), p.spread):
        gradient_run(p, begin, 0, min(p.spread, p.size * p.rows - begin))
    return 0


@kernel(Norm)
def gradient_column_rows(start, stop, row, scratch):
    """All gradients of the columns of some rows: what the second pass reads lies in the cache still."""
    p = unpack(row, Norm)
    for task in range(start, stop):
        first, last = task * p.lines, min((task + 1) * p.lines, p.rows)
        for line in range(first, last):
            spread_row(p, line)
        for part in range(p.parts):
            part_gradient_sums(p, first, last, part, workspace(row, scratch))
        for line in range(first, last):
            join_gradients(p, line)
        column, n = first * p.row_stride, (last - first) * p.row_stride
        for sample in range(p.planes):
            gradient_run(p, sample * p.plane_stride + column, column, n)
    return 0
