"""Means of windows of 2 × 2 that lie side by side, and their gradient: along rows, as in ``pool_max_2x2.py``."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from numbanet.kernels.cpu.arguments import I64_FIELD, unpack
from numbanet.kernels.cpu.kernel import device_function, kernel
from numbanet.kernels.cpu.pool_2x2 import (
    NARROW,
    clear_last_column,
    clear_last_line,
    fast_rows,
    planes_apart,
    rows_at_once,
)
from numbanet.kernels.cpu.simd.lanes import load_halves, store_halves
from numbanet.kernels.cpu.simd.pointers import F32
from numbanet.kernels.cpu.simd.vector import every_second, interleave, load, splat, store

QUARTER = np.float32(0.25)


class Average2x2(NamedTuple):
    """Arguments: planes of (height, width) become planes of (out_height, out_width), and back in the gradient."""

    out: F32
    x: F32
    height: I64_FIELD
    width: I64_FIELD
    out_height: I64_FIELD
    out_width: I64_FIELD


@device_function
def means(x, top, below, step):
    """The means of the windows whose rows begin at top and below; the upper eight lie ``step`` further."""
    low, high = load(x, top), load(x, top + step)
    total = every_second(low, high, 0) + every_second(low, high, 1)
    low, high = load(x, below), load(x, below + step)
    return (total + every_second(low, high, 0) + every_second(low, high, 1)) * splat(QUARTER)


@device_function
def rows_of_means(x, x_size, out, out_size, width, out_width, rows):
    """``rows`` rows of windows of two rows of x each; no access leaves x_size and out_size elements."""
    fast = fast_rows(rows, width, out_width, x_size, out_size)
    if out_width <= NARROW:
        for y in range(0, fast, 2):
            mean = means(x, 2 * y * width, (2 * y + 1) * width, 2 * width)
            store_halves(out, y * out_width, (y + 1) * out_width, mean)
    else:
        for y in range(fast):
            for left in range(0, out_width, 16):
                top = 2 * (y * width + left)
                store(out, y * out_width + left, means(x, top, top + width, 16))
    for y in range(fast, rows):
        for j in range(out_width):
            at = 2 * (y * width + j)
            out[y * out_width + j] = (x[at] + x[at + 1] + x[at + width] + x[at + width + 1]) * QUARTER


@kernel(Average2x2)
def average_pool_2x2(start, stop, row, scratch):
    """out = mean of each window; a task is a plane."""
    p = unpack(row, Average2x2)
    size, out_size = p.height * p.width, p.out_height * p.out_width
    planes, rows = planes_apart(p, stop - start)
    for plane in range(planes):
        x, out = p.x + (start + plane) * size, p.out + (start + plane) * out_size
        left = stop - start - plane
        rows_of_means(x, left * size, out, left * out_size, p.width, p.out_width, rows)
    return 0


@device_function
def spread_shares(x, x_size, gradient, out_size, width, out_width, rows):
    """``rows`` rows of windows into two rows of x each; no access leaves x_size and out_size elements.

    What a store writes past the end of a row the next one overwrites: the upper row of x is written before the lower
    one, and of two narrow rows of windows the first one before the second."""
    fast, step = fast_rows(rows, width, out_width, x_size, out_size), rows_at_once(out_width)
    for y in range(0, fast, step):
        at, top = y * out_width, 2 * y * width
        if step == 2:
            share = load_halves(gradient, at, at + out_width) * splat(QUARTER)
            first, second = interleave(share, share, 0), interleave(share, share, 1)
            store(x, top, first)
            store(x, top + width, first)
            store(x, top + 2 * width, second)
            store(x, top + 3 * width, second)
        else:
            for line in range(top, top + 2 * width, width):
                for left in range(0, out_width, 16):
                    share = load(gradient, at + left) * splat(QUARTER)
                    store(x, line + 2 * left, interleave(share, share, 0))
                    store(x, line + 2 * left + 16, interleave(share, share, 1))
        clear_last_column(x, width, out_width, 2 * y, 2 * (y + step))
    for line in range(2 * fast, 2 * rows):
        for j in range(width):
            inside = j < 2 * out_width
            x[line * width + j] = gradient[line // 2 * out_width + j // 2] * QUARTER if inside else np.float32(0)


@kernel(Average2x2)
def average_pool_2x2_gradient(start, stop, row, scratch):
    """x (the gradient of the input) = a quarter of out (that of the output) in each window, 0 outside of them."""
    p = unpack(row, Average2x2)
    size, out_size = p.height * p.width, p.out_height * p.out_width
    planes, rows = planes_apart(p, stop - start)
    for plane in range(planes):
        x, out = p.x + (start + plane) * size, p.out + (start + plane) * out_size
        left = stop - start - plane
        spread_shares(x, left * size, out, left * out_size, p.width, p.out_width, rows)
        clear_last_line(p, x, rows)
    return 0
