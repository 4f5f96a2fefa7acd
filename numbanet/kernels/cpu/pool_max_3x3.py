"""Maxima of windows of 3 × 3 cells two apart (AlexNet's, and the first of ResNets and many others).

Two loads are split into even and odd columns by shuffles. A line's maxima of three neighbours serve the window above
and the one below it, so that a walk down a plane takes two lines a row of windows.
"""

from __future__ import annotations

import numpy as np

from numbanet.kernels.cpu.arguments import unpack, workspace
from numbanet.kernels.cpu.kernel import device_function, kernel
from numbanet.kernels.cpu.pool_lines import HALF, halves_of, in_halves, lines_with_border, planes_at_once
from numbanet.kernels.cpu.pool_max import LOWEST
from numbanet.kernels.cpu.pool_max_2x2 import better_of
from numbanet.kernels.cpu.pool_rows import Pool
from numbanet.kernels.cpu.simd.lanes import as_bytes, load_second_halves, store_bytes, store_halves
from numbanet.kernels.cpu.simd.prefetch import prefetch
from numbanet.kernels.cpu.simd.vector import select, splat, store


@device_function
def maxima_of_line(x, low, high, begin):
    """Maximum and column of three cells each of a line; ``begin`` is the first column that lies in the picture."""
    one = splat(np.int32(1))
    first = select(begin == one, splat(LOWEST), load_second_halves(x, low, high, 0))
    best, where = better_of(first, begin, load_second_halves(x, low, high, 1), one)
    return better_of(best, where, load_second_halves(x, low + 2, high + 2, 0), splat(np.int32(2)))


@device_function
def store_maxima(out, positions, low, high, best, where, count, spare):
    """Eight maxima and their positions from low and from high on, or only the first ``count`` of them."""
    if count >= HALF:
        store_halves(out, low, high, best)
        store_bytes(positions, low, high, where)
        return
    store(spare, 0, best)
    store_bytes(as_bytes(spare), 64, 64 + HALF, where)
    for at, lane in ((low, 0), (high, HALF)):
        for i in range(count):
            out[at + i] = spare[lane + i]
            positions[at + i] = as_bytes(spare)[64 + lane + i]


@device_function
def maxima_down(p, x, pitch, x_size, plane, j, next_plane, next_j, out, positions, first, last, ahead, spare):
    """The rows first … last − 1 of two halves of windows, from j on in a plane and from next_j on in next_plane.

    x has the lines from the first one's on, ``ahead`` those that will be read when this is done."""
    three, six, zero = splat(np.int32(3)), splat(np.int32(6)), splat(np.int32(0))
    begin = select(in_halves(j, next_j) == zero, splat(np.int32(p.pad_x)), zero)
    out_size, size = p.out_height * p.out_width, p.height * p.width
    low, high = plane * x_size + 2 * j, next_plane * x_size + 2 * next_j
    to, next_to = plane * out_size + j, next_plane * out_size + next_j
    later, next_later = plane * size + 2 * j, next_plane * size + 2 * next_j
    if first == 0 and p.pad_y:
        best, where = splat(LOWEST), begin + three
    else:
        best, where = maxima_of_line(x, low, high, begin)
    for y in range(first, last):
        for line in (2 * (y - first) * p.width, (2 * (y - first) + 1) * p.width):
            prefetch(ahead, later + line)
            prefetch(ahead, next_later + line)
        value, place = maxima_of_line(x, low + pitch, high + pitch, begin)
        best, where = better_of(best, where, value, place + three)
        low, high = low + 2 * pitch, high + 2 * pitch
        value, place = maxima_of_line(x, low, high, begin)
        best, where = better_of(best, where, value, place + six)
        at = y * p.out_width
        count = p.out_width if at + HALF > out_size else HALF
        store_maxima(out, positions, to + at, next_to + at, best, where, count, spare)
        best, where = value, place


@device_function
def maxima_of_planes(p, x, pitch, x_size, planes, out, positions, first, last, ahead, spare):
    """The rows first … last − 1 of windows of one or two planes, which lie x_size apart from x on."""
    halves, most = halves_of(p.out_width), max(p.out_width - HALF, 0)
    end = planes * halves - 1
    for half in range(0, end + 1, 2):
        following = min(half + 1, end)
        j, next_j = min(half % halves * HALF, most), min(following % halves * HALF, most)
        maxima_down(
            p, x, pitch, x_size, half // halves, j, following // halves, next_j, out, positions, first, last, ahead,
            spare,
        )  # fmt: skip


@kernel(Pool)
def max_pool_3x3(start, stop, row, scratch):
    """out = maximum of each window, positions = 3·ky + kx of the first maximum, or of the last NaN."""
    p = unpack(row, Pool)
    spare = workspace(row, scratch)
    band, pitch = spare + 32, p.pad_x + p.width + 3
    size, out_size = p.height * p.width, p.out_height * p.out_width
    room = (2 * p.band + 1) * pitch
    reach = 2 * p.out_height * p.width + 2 * max(p.out_width - HALF, 0) + 18
    is_between = 2 * p.out_height - p.pad_y < p.height and 2 * p.out_width - p.pad_x < p.width
    plane = start
    while plane < stop:
        planes = planes_at_once(halves_of(p.out_width), stop - plane)
        x, out, positions = p.x + plane * size, p.out + plane * out_size, p.positions + plane * out_size
        available = (p.planes - plane) * size
        is_inside = is_between and plane >= p.pad_x and (planes - 1) * size + reach <= available
        for y in range(0, p.out_height, p.band):
            last = min(y + p.band, p.out_height)
            top, bottom = 2 * y - p.pad_y, 2 * last - p.pad_y + 1
            ahead = x + (bottom - 1) * p.width if last < p.out_height else x + planes * size
            if is_inside:
                begin = x + (top * p.width - p.pad_x)
                maxima_of_planes(p, begin, p.width, size, planes, out, positions, y, last, ahead, spare)
                continue
            for i in range(planes):
                lines_with_border(
                    band + i * room, pitch, p.pad_x, x + i * size, p.width, top, bottom, p.height, LOWEST,
                    available - i * size,
                )  # fmt: skip
            maxima_of_planes(p, band, pitch, room, planes, out, positions, y, last, ahead, spare)
        plane += planes
    return 0
