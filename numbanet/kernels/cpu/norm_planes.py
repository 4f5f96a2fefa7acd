"""Normalisation in 16 lanes over neighbouring elements: for rows whose planes are long enough (``norm`` chooses).

The variance is taken of the distances from a shift near the mean: that of the block of elements before, and for the
first block the mean of its beginning. With Σd² of a block thus never much above the squares that its variance and the
distance of the means of two blocks explain, nothing cancels, whatever the mean is; memory is read once. Blocks are
joined by Chan's formula in float64.
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
    scale_and_bias,
)
from numbanet.kernels.cpu.simd.prefetch import prefetch
from numbanet.kernels.cpu.simd.vector import (
    fma,
    lane_index,
    lane_sum,
    load,
    load_first,
    select,
    splat,
    store,
    store_first,
)

BLOCK = 4096
"""Elements of a plane that go into one float32 sum at most; sums are closed when there are half as many."""
AHEAD = 256
"""Elements that are fetched ahead: planes are shorter than what the processor needs to notice that it could."""
FETCHED = 1 << 16
"""Elements of rows of which the next ones are fetched while these are written: both fit into the second cache."""
SUMS = 48
"""float32 of scratch a row: the shift, and two sums in lanes."""


@device_function
def task_place(p, task):
    """(first row, row after the last, part) of a task: neighbouring tasks lie in neighbouring memory."""
    if p.row_stride > p.plane_stride:
        first, part = task // p.parts * p.lines, task % p.parts
    else:
        blocks = (p.rows + p.lines - 1) // p.lines
        first, part = task % blocks * p.lines, task // blocks
    return first, min(first + p.lines, p.rows), part


@device_function
def plane_size(p, plane):
    return p.last_plane if plane == p.planes - 1 else p.plane


@device_function
def mean_of(x, size):
    """The mean of a few neighbouring elements, roughly."""
    total = splat(np.float32(0))
    for i in range(0, size, 16):
        total = total + load_first(x, i, size - i)
    return lane_sum(total) / np.float32(size)


@device_function
def add_distances(x, size, shift, total, squares):
    """Add x − shift and its square to two pairs of sums in lanes, taken in turn; the second pair begins at 0."""
    middle = splat(shift)
    total2, squares2 = splat(np.float32(0)), splat(np.float32(0))
    for i in range(0, size - 31, 32):
        prefetch(x, i + AHEAD)
        prefetch(x, i + AHEAD + 16)
        d, e = load(x, i) - middle, load(x, i + 16) - middle
        total, total2 = total + d, total2 + e
        squares, squares2 = fma(d, d, squares), fma(e, e, squares2)
    i = size // 32 * 32
    if size - i >= 16:
        d = load(x, i) - middle
        total, squares = total + d, fma(d, d, squares)
        i += 16
    if i < size:
        inside = lane_index() < splat(np.int32(size - i))
        d = select(inside, load_first(x, i, size - i) - middle, splat(np.float32(0)))
        total2, squares2 = total2 + d, fma(d, d, squares2)
    return total, squares, total2, squares2


@device_function
def close_moments(p, line, part, memory, count, waiting):
    """Join the sums of a row that wait in memory with the mean and Σ(x − mean)² of the part, and begin anew."""
    shift, unit = np.float64(memory[0]), 2 * (line * p.units + part)
    total, squares = np.float64(lane_sum(load(memory, 16))), np.float64(lane_sum(load(memory, 32)))
    mean = shift + total / waiting
    distance = mean - p.partial[unit] if count else 0.0
    # Rounding could leave less than nothing; a NaN stays.
    spread = squares - total * total / waiting
    spread = (0.0 if spread < 0 else spread) + distance * distance * count * waiting / (count + waiting)
    if count:
        p.partial[unit] += distance * waiting / (count + waiting)
        p.partial[unit + 1] += spread
    else:
        p.partial[unit] = mean
        p.partial[unit + 1] = spread
    memory[0] = np.float32(mean)
    store(memory, 16, splat(np.float32(0)))
    store(memory, 32, splat(np.float32(0)))


@device_function
def part_moments(p, first_line, last_line, part, memory):
    """Mean and Σ(x − mean)² of a part of some rows, into their units."""
    first, last = part * p.planes_a_part, min((part + 1) * p.planes_a_part, p.planes)
    zero = splat(np.float32(0))
    for line in range(first_line, last_line):
        mine = memory + (line - first_line) * SUMS
        x = p.x + (line * p.row_stride + first * p.plane_stride)
        mine[0] = mean_of(x, min(plane_size(p, first), BLOCK))
        store(mine, 16, zero)
        store(mine, 32, zero)
    count, waiting = 0, 0
    for plane in range(first, last):
        size = plane_size(p, plane)
        for begin in range(0, size, BLOCK):
            n = min(BLOCK, size - begin)
            for line in range(first_line, last_line):
                mine = memory + (line - first_line) * SUMS
                x = p.x + (line * p.row_stride + plane * p.plane_stride + begin)
                total, squares, total2, squares2 = add_distances(x, n, mine[0], load(mine, 16), load(mine, 32))
                store(mine, 16, total + total2)
                store(mine, 32, squares + squares2)
            waiting += n
            if waiting >= BLOCK // 2 or (plane == last - 1 and begin + n == size):
                for line in range(first_line, last_line):
                    close_moments(p, line, part, memory + (line - first_line) * SUMS, count, waiting)
                count, waiting = count + waiting, 0


@kernel(Norm)
def plane_moments(start, stop, row, scratch):
    """Mean and Σ(x − mean)² of every part of every row."""
    p = unpack(row, Norm)
    for task in range(start, stop):
        first, last, part = task_place(p, task)
        part_moments(p, first, last, part, workspace(row, scratch))
    return 0


@device_function
def finished(p, value, i):
    """The residual added, negative numbers cut off, where wanted."""
    if not is_null(p.residual):
        value = value + load(p.residual, i)
    if p.relu:
        value = select(value < splat(np.float32(0)), splat(np.float32(0)), value)
    return value


@device_function
def normalise_part(p, first_line, last_line, part, ahead):
    """out = (x − μ)·scale + bias, then what follows, on the planes of a part of some rows; x is fetched so far ahead.

    The last vector of a plane overlaps the one before, which writes the same numbers twice; planes have 16 elements."""
    for plane in range(part * p.planes_a_part, min((part + 1) * p.planes_a_part, p.planes)):
        for line in range(first_line, last_line):
            plane_scale, plane_bias = scale_and_bias(p, line, plane)
            mean, scale, bias = splat(p.statistics[line]), splat(plane_scale), splat(plane_bias)
            begin = line * p.row_stride + plane * p.plane_stride
            end = begin + plane_size(p, plane)
            for i in range(begin, end - 15, 16):
                if ahead:
                    prefetch(p.x, i + ahead)
                store(p.out, i, finished(p, fma(load(p.x, i) - mean, scale, bias), i))
            if (end - begin) % 16:
                i = end - 16
                store(p.out, i, finished(p, fma(load(p.x, i) - mean, scale, bias), i))


@kernel(Norm)
def normalise_planes(start, stop, row, scratch):
    """out from x and the statistics; a task is a part of some rows."""
    p = unpack(row, Norm)
    for task in range(start, stop):
        first, last, part = task_place(p, task)
        normalise_part(p, first, last, part, 0)
    return 0


@kernel(Norm)
def normalise_rows(start, stop, row, scratch):
    """Statistics and out of some whole rows: what the second pass reads lies in the cache still.

    While it writes, the next rows are fetched: memory would be idle."""
    p = unpack(row, Norm)
    for task in range(start, stop):
        first, last = task * p.lines, min((task + 1) * p.lines, p.rows)
        for part in range(p.parts):
            part_moments(p, first, last, part, workspace(row, scratch))
        for line in range(first, last):
            join_moments(p, line)
        ahead = p.lines * p.row_stride if p.lines * p.size <= FETCHED else 0
        for part in range(p.parts):
            normalise_part(p, first, last, part, ahead)
    return 0


@device_function
def behind_activation(p, g, distance, scale, bias, i, n):
    """The gradient where the output is not at or below 0; it is written for the residual."""
    zero = splat(np.float32(0))
    if p.relu == RELU_OF_INPUT:
        g = select(fma(distance, scale, bias) <= zero, zero, g)
    elif p.relu == RELU_OF_OUTPUT:
        g = select(load_first(p.y, i, n) <= zero, zero, g)
        if not is_null(p.residual):
            store_first(p.residual, i, g, n)
    return g


@device_function
def behind_activation_16(p, g, distance, scale, bias, i):
    """As behind_activation, for a whole vector."""
    zero = splat(np.float32(0))
    if p.relu == RELU_OF_INPUT:
        g = select(fma(distance, scale, bias) <= zero, zero, g)
    elif p.relu == RELU_OF_OUTPUT:
        g = select(load(p.y, i) <= zero, zero, g)
        if not is_null(p.residual):
            store(p.residual, i, g)
    return g


@device_function(inlined=True)
def add_products(p, begin, size, mean, scale, bias, total, products):
    """Add g and g·(x − μ) to two pairs of sums in lanes, taken in turn; the second pair begins at 0."""
    end = begin + size
    total2, products2 = splat(np.float32(0)), splat(np.float32(0))
    for i in range(begin, end - 31, 32):
        for ahead in (i + AHEAD, i + AHEAD + 16):
            prefetch(p.x, ahead)
            prefetch(p.grad, ahead)
        d, e = load(p.x, i) - mean, load(p.x, i + 16) - mean
        g = behind_activation_16(p, load(p.grad, i), d, scale, bias, i)
        h = behind_activation_16(p, load(p.grad, i + 16), e, scale, bias, i + 16)
        total, total2 = total + g, total2 + h
        products, products2 = fma(g, d, products), fma(h, e, products2)
    i = begin + size // 32 * 32
    if end - i >= 16:
        d = load(p.x, i) - mean
        g = behind_activation_16(p, load(p.grad, i), d, scale, bias, i)
        total, products = total + g, fma(g, d, products)
        i += 16
    if i < end:
        n = end - i
        d = select(lane_index() < splat(np.int32(n)), load_first(p.x, i, n) - mean, splat(np.float32(0)))
        g = behind_activation(p, load_first(p.grad, i, n), d, scale, bias, i, n)
        total2, products2 = total2 + g, fma(g, d, products2)
    return total, products, total2, products2


@device_function
def part_gradient_sums(p, first_line, last_line, part, memory):
    """Σ g and Σ g·(x − μ) of a part of some rows, into their units; g for the residual."""
    first, last = part * p.planes_a_part, min((part + 1) * p.planes_a_part, p.planes)
    zero = splat(np.float32(0))
    for line in range(first_line, last_line):
        mine, unit = memory + (line - first_line) * SUMS, 2 * (line * p.units + part)
        store(mine, 16, zero)
        store(mine, 32, zero)
        p.partial[unit] = 0.0
        p.partial[unit + 1] = 0.0
    waiting = 0
    for plane in range(first, last):
        size = plane_size(p, plane)
        for begin in range(0, size, BLOCK):
            n = min(BLOCK, size - begin)
            for line in range(first_line, last_line):
                mine = memory + (line - first_line) * SUMS
                scale, bias = scale_and_bias(p, line, plane)
                total, products, total2, products2 = add_products(
                    p, line * p.row_stride + plane * p.plane_stride + begin, n, splat(p.statistics[line]),
                    splat(scale), splat(bias), load(mine, 16), load(mine, 32),
                )  # fmt: skip
                store(mine, 16, total + total2)
                store(mine, 32, products + products2)
            waiting += n
            if waiting >= BLOCK // 2 or (plane == last - 1 and begin + n == size):
                waiting = 0
                for line in range(first_line, last_line):
                    mine, unit = memory + (line - first_line) * SUMS, 2 * (line * p.units + part)
                    p.partial[unit] += np.float64(lane_sum(load(mine, 16)))
                    p.partial[unit + 1] += np.float64(lane_sum(load(mine, 32)))
                    store(mine, 16, zero)
                    store(mine, 32, zero)


@kernel(Norm)
def plane_gradient_sums(start, stop, row, scratch):
    """Σ g and Σ g·(x − μ) of every part of every row."""
    p = unpack(row, Norm)
    for task in range(start, stop):
        first, last, part = task_place(p, task)
        part_gradient_sums(p, first, last, part, workspace(row, scratch))
    return 0


@device_function
def gradient_at(p, i, mean, scale, bias, factor, constant):
    """scale·g + factor·(x − μ) + constant, or scale·g where the statistics were given."""
    zero = splat(np.float32(0))
    distance = load(p.x, i) - mean
    if p.relu == RELU_OF_INPUT:
        g = select(fma(distance, scale, bias) <= zero, zero, load(p.grad, i))
    elif p.relu == RELU_OF_OUTPUT and is_null(p.residual):
        g = select(load(p.y, i) <= zero, zero, load(p.grad, i))
    elif p.relu == RELU_OF_OUTPUT:
        g = load(p.residual, i)
    else:
        g = load(p.grad, i)
    return fma(scale, g, fma(factor, distance, constant)) if p.training else scale * g


@device_function
def gradient_part(p, first_line, last_line, part):
    """The gradient for x on the planes of a part of some rows; the last vector of a plane overlaps the one before."""
    for plane in range(part * p.planes_a_part, min((part + 1) * p.planes_a_part, p.planes)):
        for line in range(first_line, last_line):
            plane_scale, plane_bias = scale_and_bias(p, line, plane)
            mean, scale, bias = splat(p.statistics[line]), splat(plane_scale), splat(plane_bias)
            factor, constant = splat(p.coefficients[line]), splat(p.coefficients[p.rows + line])
            begin = line * p.row_stride + plane * p.plane_stride
            end = begin + plane_size(p, plane)
            for i in range(begin, end - 15, 16):
                prefetch(p.x, i + AHEAD)
                prefetch(p.grad, i + AHEAD)
                store(p.out, i, gradient_at(p, i, mean, scale, bias, factor, constant))
            if (end - begin) % 16:
                store(p.out, end - 16, gradient_at(p, end - 16, mean, scale, bias, factor, constant))


@kernel(Norm)
def gradient_planes(start, stop, row, scratch):
    """The gradient for x from the coefficients of each row; a task is a part of some rows."""
    p = unpack(row, Norm)
    for task in range(start, stop):
        first, last, part = task_place(p, task)
        gradient_part(p, first, last, part)
    return 0


@kernel(Norm)
def gradient_rows(start, stop, row, scratch):
    """All gradients of some whole rows: what the second pass reads lies in the cache still."""
    p = unpack(row, Norm)
    for task in range(start, stop):
        first, last = task * p.lines, min((task + 1) * p.lines, p.rows)
        for part in range(p.parts):
            part_gradient_sums(p, first, last, part, workspace(row, scratch))
        for line in range(first, last):
            join_gradients(p, line)
        for part in range(p.parts):
            gradient_part(p, first, last, part)
    return 0
