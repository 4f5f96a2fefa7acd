"""Packing samples: what each tap of a convolution reads at all positions, side by side whatever the stride.

A band (``band.py``) holds all columns of a picture, of which a stride reads every so many. The samples of a tap are a
line of their own; with these for a picture, a convolution is one of 1 × 1 taps over a single row of positions. A tap's
line costs as much as its positions are, so it pays for strides that leave most of a picture out.
"""

from __future__ import annotations

import numpy as np

from numbanet.kernels.array import Array
from numbanet.kernels.contract import Pair
from numbanet.kernels.cpu.geometry import Axis, Walk, table
from numbanet.kernels.cpu.kernel import device_function
from numbanet.kernels.cpu.simd.lanes import load_every, store_halves
from numbanet.kernels.cpu.simd.prefetch import prefetch
from numbanet.kernels.cpu.simd.vector import lane_index, select, splat, store

WORDS = 6
"""Numbers of a tap, see ``sample_table``."""
ZERO = np.float32(0)


def has_samples(walk: Walk) -> bool:
    """Whether columns lie apart and windows do not overlap, so that packing samples of each tap pays."""
    return walk.columns.step > 1 and spread(walk) >= 1


def spread(walk: Walk) -> float:
    """Elements of a picture for each that is read: 1 where a stride is the kernel's size, more where it is longer."""
    return walk.rows.step * walk.columns.step / (len(walk.rows.taps[0]) * len(walk.columns.taps[0]))


def pitch_of(positions: int) -> int:
    """Elements from a line to the next: whole vectors, an odd number of them, so that lines do not share few sets of
    the first cache."""
    return (-(-positions // 16) | 1) * 16


def sample_table(walk: Walk, size: Pair) -> Array:
    """``WORDS`` numbers for each tap of a channel: the row and the column of its first sample, the output rows whose
    samples lie in a picture of this size (first, behind the last), and those output columns."""
    ys, xs = _firsts(walk.rows, size[0]), _firsts(walk.columns, size[1])
    return table(np.array([(y, x, *rows, *columns) for y, rows in ys for x, columns in xs]))


def _firsts(axis: Axis, size: int) -> list[tuple[int, tuple[int, int]]]:
    """Of each tap: its first sample, and which outputs have theirs in 0 … size − 1."""
    found = []
    for offset, _ in axis.taps[0]:
        at = offset - axis.pad + axis.step * np.arange(axis.size)
        inside = np.flatnonzero((at >= 0) & (at < size))
        found.append((at[0], (inside[0], inside[-1] + 1) if inside.size else (0, 0)))
    return found


@device_function
def fill_zeros(out, begin, end):
    """out[begin:end] = 0, and up to 15 elements behind."""
    while begin < end:
        store(out, begin, splat(ZERO))
        begin += 16


@device_function
def sample_line(line, x, size, plane, first, apart, step, begin, end, out_width, low, high):
    """line[y · out_width + j] = x[first + y · apart + step · j] for low ≤ y < high, 0 unless begin ≤ j < end.

    A store may write 15 elements too much, which the next one overwrites. x has ``size`` elements; the same places of
    the next plane are fetched beforehand."""
    fill_zeros(line, 0, low * out_width)
    y, lanes = low, lane_index()
    is_whole, is_inside = begin == 0 and end == out_width, within(lanes & splat(np.int32(7)), begin, end)
    if out_width <= 8:
        while y < high - 1 and first + y * apart >= 0 and first + (y + 1) * apart + 8 * step <= size:
            at, to = first + y * apart, y * out_width
            for ahead in range(0, 8 * step, 16):
                prefetch(x, plane + at + ahead)
                prefetch(x, plane + at + apart + ahead)
            value = load_every(x, at, at + apart, step)
            store_halves(line, to, to + out_width, value if is_whole else select(is_inside, value, splat(ZERO)))
            y += 2
    for row in range(y, high):
        at, to, j = first + row * apart, row * out_width, 0
        while j < out_width and at >= 0 and at + step * (j + 16) <= size:
            for ahead in range(step):
                prefetch(x, plane + at + step * j + 16 * ahead)
            value = load_every(x, at + step * j, at + step * (j + 8), step)
            if not is_whole:
                value = select(within(lanes, begin - j, end - j), value, splat(ZERO))
            store(line, to + j, value)
            j += 16
        while j < out_width:
            line[to + j] = x[at + step * j] if begin <= j < end else ZERO
            j += 1


@device_function
def within(lanes, begin, end):
    """Whether begin ≤ lane < end."""
    return (lanes >= splat(np.int32(begin))) & (lanes < splat(np.int32(end)))


@device_function
def pack_samples(out, x, samples, area, channels, height, width, top, rows, out_width, step_y, step_x, pitch):
    """out[c · area + tap][y · out_width + j] = x[c][row + (top + y) · step_y][column + j · step_x] for y < rows, with
    the row and column of the tap; 0 outside of x (channels, height, width), and in a vector behind each line."""
    plane, apart = height * width, step_y * width
    size = channels * plane
    for channel in range(channels):
        for tap in range(area):
            words = samples + tap * WORDS
            low = min(max(np.int64(words[2]) - top, 0), rows)
            high = max(min(np.int64(words[3]) - top, rows), low)
            begin, end = np.int64(words[4]), np.int64(words[5])
            line = out + (channel * area + tap) * pitch
            first = channel * plane + (np.int64(words[0]) + top * step_y) * width + words[1]
            if step_x == 2:
                sample_line(line, x, size, plane, first, apart, 2, begin, end, out_width, low, high)
            elif step_x == 3:
                sample_line(line, x, size, plane, first, apart, 3, begin, end, out_width, low, high)
            elif step_x == 4:
                sample_line(line, x, size, plane, first, apart, 4, begin, end, out_width, low, high)
            else:
                sample_line(line, x, size, plane, first, apart, step_x, begin, end, out_width, low, high)
            fill_zeros(line, high * out_width, rows * out_width + 1)
