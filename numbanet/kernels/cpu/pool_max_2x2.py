"""Maxima of windows of 2 × 2 that lie side by side, by far the commonest pools, and their gradient.

Two loads of a row are split into even and odd columns by a shuffle. Rows are narrow (28, 14 or 10 columns in LeNet), so
vectors run over the end of a row, and the next row's store puts right what they wrote there: whole vectors, no masks,
which some processors store slowly. Only the last rows of a thread's planes are done element by element.
"""

from __future__ import annotations

import numpy as np

from numbanet.kernels.cpu.arguments import unpack
from numbanet.kernels.cpu.kernel import device_function, kernel
from numbanet.kernels.cpu.pool_2x2 import (
    NARROW,
    clear_last_column,
    clear_last_line,
    fast_rows,
    planes_apart,
    rows_at_once,
)
from numbanet.kernels.cpu.pool_rows import Pool
from numbanet.kernels.cpu.simd.lanes import load_bytes, load_halves, store_bytes, store_halves
from numbanet.kernels.cpu.simd.vector import every_second, interleave, load, select, splat, store


@device_function
def better_of(best, where, value, place):
    """The larger of best and value and its place; a later NaN wins, an equal value does not."""
    better = (value > best) | (value != value)
    return select(better, value, best), select(better, place, where)


@device_function
def maxima(x, top, below, step):
    """Maximum and position of the windows whose rows begin at top and below; the upper eight lie ``step`` further."""
    low, high = load(x, top), load(x, top + step)
    first, where = better_of(
        every_second(low, high, 0), splat(np.int32(0)), every_second(low, high, 1), splat(np.int32(1))
    )
    low, high = load(x, below), load(x, below + step)
    second, place = better_of(
        every_second(low, high, 0), splat(np.int32(2)), every_second(low, high, 1), splat(np.int32(3))
    )
    return better_of(first, where, second, place)


@device_function
def scalar_maxima(x, width, out, positions, out_width):
    """One row of windows, element by element."""
    for j in range(out_width):
        best, where = x[2 * j], np.uint8(0)
        for tap in range(1, 4):
            value = x[2 * j + tap // 2 * width + tap % 2]
            if value > best or value != value:
                best, where = value, np.uint8(tap)
        out[j] = best
        positions[j] = where


@device_function
def rows_of_maxima(x, x_size, out, positions, out_size, width, out_width, rows):
    """``rows`` rows of windows of two rows of x each; no access leaves x_size and out_size elements."""
    fast = fast_rows(rows, width, out_width, x_size, out_size)
    if out_width <= NARROW:
        for y in range(0, fast, 2):
            best, where = maxima(x, 2 * y * width, (2 * y + 1) * width, 2 * width)
            store_halves(out, y * out_width, (y + 1) * out_width, best)
            store_bytes(positions, y * out_width, (y + 1) * out_width, where)
    else:
        for y in range(fast):
            for left in range(0, out_width, 16):
                top, at = 2 * (y * width + left), y * out_width + left
                best, where = maxima(x, top, top + width, 16)
                store(out, at, best)
                store_bytes(positions, at, at + 8, where)
    for y in range(fast, rows):
        scalar_maxima(x + 2 * y * width, width, out + y * out_width, positions + y * out_width, out_width)


@kernel(Pool)
def max_pool_2x2(start, stop, row, scratch):
    """out = maximum of each window, positions = 0, 1, 2 or 3 for where it is."""
    p = unpack(row, Pool)
    size, out_size = p.height * p.width, p.out_height * p.out_width
    planes, rows = planes_apart(p, stop - start)
    for plane in range(planes):
        x, at = p.x + (start + plane) * size, (start + plane) * out_size
        left_in, left_out = (stop - start - plane) * size, (stop - start - plane) * out_size
        rows_of_maxima(x, left_in, p.out + at, p.positions + at, left_out, p.width, p.out_width, rows)
    return 0


@device_function
def chosen(where, position, gradient):
    """The gradient where the maximum is at the position (a vector of it), 0 elsewhere."""
    return select(where == position, gradient, splat(np.float32(0)))


@device_function
def scalar_spread(x, width, gradient, positions, out_width):
    """One row of windows, element by element."""
    for j in range(out_width):
        for tap in range(4):
            value = gradient[j] if positions[j] == tap else np.float32(0)
            x[2 * j + tap // 2 * width + tap % 2] = value


@device_function
def spread_pair(x, gradient, positions, top, at, width, out_width):
    """Two narrow rows of windows, begun at x[top] and gradient[at]; what the stores write too much they overwrite."""
    value = load_halves(gradient, at, at + out_width)
    where = load_bytes(positions, at, at + out_width)
    zero, one = splat(np.int32(0)), splat(np.int32(1))
    a, b = chosen(where, zero, value), chosen(where, one, value)
    c, d = chosen(where, splat(np.int32(2)), value), chosen(where, splat(np.int32(3)), value)
    store(x, top, interleave(a, b, 0))
    store(x, top + width, interleave(c, d, 0))
    store(x, top + 2 * width, interleave(a, b, 1))
    store(x, top + 3 * width, interleave(c, d, 1))


@device_function
def spread_row(x, gradient, positions, top, at, width, out_width):
    """A row of windows: all of its upper row is written before the lower one."""
    for below in range(2):
        even, odd = splat(np.int32(2 * below)), splat(np.int32(2 * below + 1))
        for left in range(0, out_width, 16):
            value = load(gradient, at + left)
            where = load_bytes(positions, at + left, at + left + 8)
            a, b = chosen(where, even, value), chosen(where, odd, value)
            store(x, top + below * width + 2 * left, interleave(a, b, 0))
            store(x, top + below * width + 2 * left + 16, interleave(a, b, 1))


@device_function
def spread_rows(x, x_size, gradient, positions, out_size, width, out_width, rows):
    """``rows`` rows of windows into two rows of x each; no access leaves x_size and out_size elements."""
    fast, step = fast_rows(rows, width, out_width, x_size, out_size), rows_at_once(out_width)
    for y in range(0, fast, step):
        if step == 2:
            spread_pair(x, gradient, positions, 2 * y * width, y * out_width, width, out_width)
        else:
            spread_row(x, gradient, positions, 2 * y * width, y * out_width, width, out_width)
        clear_last_column(x, width, out_width, 2 * y, 2 * (y + step))
    for y in range(fast, rows):
        at = y * out_width
        scalar_spread(x + 2 * y * width, width, gradient + at, positions + at, out_width)
        clear_last_column(x, width, out_width, 2 * y, 2 * y + 2)


@kernel(Pool)
def max_pool_2x2_gradient(start, stop, row, scratch):
    """x (the gradient of the input) = out (that of the output) at positions, 0 elsewhere: each element is written."""
    p = unpack(row, Pool)
    size, out_size = p.height * p.width, p.out_height * p.out_width
    planes, rows = planes_apart(p, stop - start)
    for plane in range(planes):
        x, at = p.x + (start + plane) * size, (start + plane) * out_size
        left_in, left_out = (stop - start - plane) * size, (stop - start - plane) * out_size
        spread_rows(x, left_in, p.out + at, p.positions + at, left_out, p.width, p.out_width, rows)
        clear_last_line(p, x, rows)
    return 0
