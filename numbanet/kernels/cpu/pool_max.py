"""Maxima of any windows (overlapping, with gaps, padded, dilated), and their gradient; a task is sixteen planes.

Windows of more than 256 cells, whose positions no byte holds, have plain loops over one plane.
"""

from __future__ import annotations

import numpy as np

from numbanet.kernels.cpu.arguments import unpack, workspace
from numbanet.kernels.cpu.kernel import device_function, kernel
from numbanet.kernels.cpu.pool_lanes import PLANES, gather_bytes, gather_planes, scatter_bytes, scatter_planes
from numbanet.kernels.cpu.pool_max_2x2 import better_of
from numbanet.kernels.cpu.pool_rows import Pool, fill
from numbanet.kernels.cpu.simd.lanes import as_bytes, load_bytes, store_bytes
from numbanet.kernels.cpu.simd.vector import load, select, splat, store

LOWEST = np.float32(-np.inf)


@device_function
def first_tap(begin, dilation):
    """The first tap of a window that begins at ``begin`` which does not lie before the picture."""
    return (-begin + dilation - 1) // dilation if begin < 0 else 0


@device_function
def last_tap(begin, kernel, dilation, size):
    """The tap behind the last one that lies in the picture."""
    if begin + (kernel - 1) * dilation < size:
        return kernel
    return (size - begin + dilation - 1) // dilation if begin < size else 0


@device_function
def lines_of(p, first, last):
    """The lines of the picture that the rows of windows first … last − 1 cover: (first, behind the last)."""
    top = max(first * p.stride_y - p.pad_y, 0)
    bottom = min((last - 1) * p.stride_y - p.pad_y + (p.kernel_y - 1) * p.dilation_y + 1, p.height)
    return min(top, p.height), max(bottom, min(top, p.height))


@device_function
def maxima_of_row(p, band, values, places, y):
    """A row of windows of sixteen planes; band[0] is the first column of line 0."""
    top = y * p.stride_y - p.pad_y
    first, last = first_tap(top, p.dilation_y), last_tap(top, p.kernel_y, p.dilation_y, p.height)
    line_step, cell_step = p.dilation_y * p.width * PLANES, p.dilation_x * PLANES
    for j in range(p.out_width):
        left = j * p.stride_x - p.pad_x
        begin, end = first_tap(left, p.dilation_x), last_tap(left, p.kernel_x, p.dilation_x, p.width)
        best, where = splat(LOWEST), splat(np.int32(first * p.kernel_x + begin))
        for ky in range(first, last):
            at = (top * p.width + left) * PLANES + ky * line_step
            for kx in range(begin, end):
                tap = splat(np.int32(ky * p.kernel_x + kx))
                best, where = better_of(best, where, load(band, at + kx * cell_step), tap)
        store(values, j * PLANES, best)
        store_bytes(places, j * PLANES, j * PLANES + 8, where)


@kernel(Pool)
def max_pool_planes(start, stop, row, scratch):
    """out = maximum of each window, positions = ky · kernel_x + kx of the first maximum, or of the last NaN."""
    p = unpack(row, Pool)
    values = workspace(row, scratch)
    size, out_size = p.height * p.width, p.out_height * p.out_width
    room = (p.band * p.out_width + 15) // 16 * 16 * PLANES
    places = as_bytes(values + room)
    spare = values + (room + room // 4)
    band = spare + 256
    for group in range(start, stop):
        x, at = p.x + group * PLANES * size, group * PLANES * out_size
        available = p.planes - group * PLANES
        planes = min(available, PLANES)
        for y in range(0, p.out_height, p.band):
            rows = min(p.band, p.out_height - y)
            first, last = lines_of(p, y, y + rows)
            begin = first * p.width
            gather_planes(band, x + begin, size, (last - first) * p.width, planes, available * size - begin)
            for i in range(rows):
                to = i * p.out_width * PLANES
                maxima_of_row(p, band + -begin * PLANES, values + to, places + to, y + i)
            begin, count = at + y * p.out_width, rows * p.out_width
            scatter_planes(p.out + begin, out_size, count, planes, values, spare)
            scatter_bytes(p.positions + begin, out_size, count, planes, places, as_bytes(spare))
    return 0


@device_function
def spread_row(p, band, values, places, y, top, bottom):
    """Add a row of gradients of sixteen planes to the lines top … bottom − 1; band[0] is line 0."""
    zero = splat(np.float32(0))
    origin = y * p.stride_y - p.pad_y
    first, last = first_tap(origin - top, p.dilation_y), last_tap(origin, p.kernel_y, p.dilation_y, bottom)
    for j in range(p.out_width):
        left = j * p.stride_x - p.pad_x
        begin, end = first_tap(left, p.dilation_x), last_tap(left, p.kernel_x, p.dilation_x, p.width)
        value, where = load(values, j * PLANES), load_bytes(places, j * PLANES, j * PLANES + 8)
        for ky in range(first, last):
            line = (origin + ky * p.dilation_y) * p.width + left
            for kx in range(begin, end):
                at = (line + kx * p.dilation_x) * PLANES
                chosen = where == splat(np.int32(ky * p.kernel_x + kx))
                store(band, at, load(band, at) + select(chosen, value, zero))


@kernel(Pool)
def max_pool_gradient(start, stop, row, scratch):
    """x (the gradient of the input) = out (that of the output) added up at the positions, 0 elsewhere."""
    p = unpack(row, Pool)
    spare = workspace(row, scratch)
    size, out_size = p.height * p.width, p.out_height * p.out_width
    span = (p.kernel_y - 1) * p.dilation_y + 1
    band = spare + 256
    values = band + (p.band * p.width + 15) // 16 * 16 * PLANES
    room = (((p.band + span) // p.stride_y + 1) * p.out_width + 15) // 16 * 16 * PLANES
    places = as_bytes(values + room)
    for group in range(start, stop):
        x, at = p.x + group * PLANES * size, group * PLANES * out_size
        available = p.planes - group * PLANES
        planes = min(available, PLANES)
        for top in range(0, p.height, p.band):
            bottom = min(top + p.band, p.height)
            first = max((top + p.pad_y - span) // p.stride_y + 1, 0)
            last = max(min((bottom - 1 + p.pad_y) // p.stride_y + 1, p.out_height), first)
            begin, count = first * p.out_width, (last - first) * p.out_width
            fill(band, 0, (bottom - top) * p.width * PLANES, np.float32(0))
            gather_planes(values, p.out + (at + begin), out_size, count, planes, available * out_size - begin)
            gather_bytes(places, p.positions + (at + begin), out_size, count, planes, available * out_size - begin)
            for y in range(first, last):
                to = (y - first) * p.out_width * PLANES
                spread_row(p, band + -top * p.width * PLANES, values + to, places + to, y, top, bottom)
            scatter_planes(x + top * p.width, size, (bottom - top) * p.width, planes, band, spare)
    return 0


@kernel(Pool)
def max_pool_large(start, stop, row, scratch):
    """As max_pool_planes for windows of more than 256 cells, a plane a task."""
    p = unpack(row, Pool)
    for plane in range(start, stop):
        x = p.x + plane * p.height * p.width
        for y in range(p.out_height):
            top = y * p.stride_y - p.pad_y
            first, last = first_tap(top, p.dilation_y), last_tap(top, p.kernel_y, p.dilation_y, p.height)
            for j in range(p.out_width):
                left = j * p.stride_x - p.pad_x
                begin, end = first_tap(left, p.dilation_x), last_tap(left, p.kernel_x, p.dilation_x, p.width)
                best, where = LOWEST, first * p.kernel_x + begin
                for ky in range(first, last):
                    for kx in range(begin, end):
                        value = x[(top + ky * p.dilation_y) * p.width + left + kx * p.dilation_x]
                        if value > best or value != value:
                            best, where = value, ky * p.kernel_x + kx
                at = (plane * p.out_height + y) * p.out_width + j
                p.out[at] = best
                p.wide[at] = np.int32(where)
    return 0


@kernel(Pool)
def max_pool_large_gradient(start, stop, row, scratch):
    """As max_pool_gradient for windows of more than 256 cells, a plane a task."""
    p = unpack(row, Pool)
    for plane in range(start, stop):
        x = p.x + plane * p.height * p.width
        fill(x, 0, p.height * p.width, np.float32(0))
        for y in range(p.out_height):
            for j in range(p.out_width):
                at = (plane * p.out_height + y) * p.out_width + j
                tap = np.int64(p.wide[at])
                line = y * p.stride_y - p.pad_y + tap // p.kernel_x * p.dilation_y
                column = j * p.stride_x - p.pad_x + tap % p.kernel_x * p.dilation_x
                if line < p.height and column < p.width:  # else the whole window lies outside the picture
                    x[line * p.width + column] += p.out[at]
    return 0
