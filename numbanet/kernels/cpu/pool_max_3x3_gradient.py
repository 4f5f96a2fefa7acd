"""The gradient of maxima of windows of 3 × 3 cells two apart, gathered: each cell is written once, whole vectors.

Of two neighbouring columns one is the middle column of a window; the other one is the last column of a window and the
first of the next. Lines are alike. With vectors of such pairs of columns each (window, tap) is looked at once.
"""

from __future__ import annotations

import numpy as np

from numbanet.kernels.cpu.arguments import unpack, workspace
from numbanet.kernels.cpu.kernel import device_function, kernel
from numbanet.kernels.cpu.pool_lines import HALF, halves_of, in_halves, planes_at_once
from numbanet.kernels.cpu.pool_max_2x2 import chosen
from numbanet.kernels.cpu.pool_rows import Pool
from numbanet.kernels.cpu.simd.lanes import as_bytes, load_bytes, load_halves
from numbanet.kernels.cpu.simd.prefetch import prefetch
from numbanet.kernels.cpu.simd.vector import interleave, select, splat, store


@device_function
def exists(p, window):
    """Whether there is a window of this number in a row."""
    return (window >= splat(np.int32(0))) & (window < splat(np.int32(p.out_width)))


@device_function
def gradient_of(grad, low, high, is_there):
    """The gradients of two halves of windows, 0 for those that do not exist."""
    return select(is_there, load_halves(grad, low, high), splat(np.float32(0)))


@device_function
def store_line(p, x, line, low, high, j, next_j, outer, middle, spare):
    """A line of two halves of column pairs, of which column 0 of the picture is the middle one where it is padded."""
    if line < 0 or line >= p.height:
        return
    even, odd = (middle, outer) if p.pad_x else (outer, middle)
    at = line * p.width
    prefetch(x, low + at + 2 * p.band * p.width)
    prefetch(x, high + at + 2 * p.band * p.width)
    if at + max(j, next_j) + 2 * HALF <= p.height * p.width:
        store(x, low + at, interleave(even, odd, 0))
        store(x, high + at, interleave(even, odd, 1))
        return
    store(spare, 0, interleave(even, odd, 0))
    store(spare, 16, interleave(even, odd, 1))
    for i in range(min(2 * HALF, p.width - j)):
        x[low + at + i] = spare[i]
    for i in range(min(2 * HALF, p.width - next_j)):
        x[high + at + i] = spare[16 + i]


@device_function
def spread_down(p, x, low, high, grad, places, g_low, g_high, j, next_j, first, last, spare):
    """The lines of the rows first … last − 1 of windows, for the column pairs from j // 2 and next_j // 2 on."""
    zero, pair = splat(np.float32(0)), in_halves(j // 2, next_j // 2)
    pad = splat(np.int32(p.pad_x))
    has_left, has_right = exists(p, pair + pad - splat(np.int32(1))), exists(p, pair + pad)
    has_middle = exists(p, pair)
    outer, middle = zero, zero
    for y in range(first - 1, last):
        if y < 0:
            continue
        above_outer, above_middle = outer, middle
        top_outer, top_middle, line_outer, line_middle = zero, zero, zero, zero
        outer, middle = zero, zero
        if y < p.out_height:
            a, b = g_low + y * p.out_width, g_high + y * p.out_width
            left_a, left_b = a + p.pad_x - 1, b + p.pad_x - 1
            g, where = gradient_of(grad, left_a, left_b, has_left), load_bytes(places, left_a, left_b)
            top_outer = chosen(where, splat(np.int32(2)), g)
            line_outer = chosen(where, splat(np.int32(5)), g)
            outer = chosen(where, splat(np.int32(8)), g)
            g, where = gradient_of(grad, left_a + 1, left_b + 1, has_right), load_bytes(places, left_a + 1, left_b + 1)
            top_outer = top_outer + chosen(where, splat(np.int32(0)), g)
            line_outer = line_outer + chosen(where, splat(np.int32(3)), g)
            outer = outer + chosen(where, splat(np.int32(6)), g)
            g, where = gradient_of(grad, a, b, has_middle), load_bytes(places, a, b)
            top_middle = chosen(where, splat(np.int32(1)), g)
            line_middle = chosen(where, splat(np.int32(4)), g)
            middle = chosen(where, splat(np.int32(7)), g)
        if y >= first:
            line = 2 * y - p.pad_y
            store_line(p, x, line, low, high, j, next_j, above_outer + top_outer, above_middle + top_middle, spare)
            store_line(p, x, line + 1, low, high, j, next_j, line_outer, line_middle, spare)


@device_function
def spread_planes(p, x, planes, grad, places, g_size, first, last, spare):
    """The lines of the rows first … last − 1 of windows of one or two planes, from the last halves to the first."""
    size, halves = p.height * p.width, halves_of((p.width + 1) // 2)
    end = planes * halves - 1
    for half in range(end // 2 * 2, -1, -2):
        plane, next_plane = half // halves, min(half + 1, end) // halves
        j, next_j = half % halves * 2 * HALF, min(half + 1, end) % halves * 2 * HALF
        spread_down(
            p, x, plane * size + j, next_plane * size + next_j, grad, places, plane * g_size + j // 2,
            next_plane * g_size + next_j // 2, j, next_j, first, last, spare,
        )  # fmt: skip


@kernel(Pool)
def max_pool_3x3_gradient(start, stop, row, scratch):
    """x (the gradient of the input) = out (that of the output) added up at the positions, 0 elsewhere."""
    p = unpack(row, Pool)
    spare = workspace(row, scratch)
    size, out_size = p.height * p.width, p.out_height * p.out_width
    halves, rows = halves_of((p.width + 1) // 2), (p.height + p.pad_y + 1) // 2
    reach = (p.out_height - 1) * p.out_width + halves * HALF + 1
    room = ((p.band + 1) * p.out_width + halves * HALF + 31) // 16 * 16
    grad, places = spare + 48, as_bytes(spare + (48 + 2 * room)) + 16
    plane = start
    while plane < stop:
        planes = planes_at_once(halves, stop - plane)
        x, out, positions = p.x + plane * size, p.out + plane * out_size, p.positions + plane * out_size
        is_inside = plane > 0 and (planes - 1) * out_size + reach <= (p.planes - plane) * out_size
        for first in range(0, rows, p.band):
            last = min(first + p.band, rows)
            if is_inside:
                spread_planes(p, x, planes, out, positions, out_size, first, last, spare)
                continue
            begin, end = max(first - 1, 0) * p.out_width, min(last, p.out_height) * p.out_width
            for i in range(planes):
                for at in range(begin, end):
                    grad[i * room + at - begin] = out[i * out_size + at]
                    places[i * room + at - begin] = positions[i * out_size + at]
            spread_planes(p, x, planes, grad + -begin, places + -begin, room, first, last, spare)
        plane += planes
    return 0
