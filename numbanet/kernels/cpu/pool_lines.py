"""Walks down planes in halves of eight windows, two at a time: for pools whose vectors run along lines.

The halves of a row of windows begin eight windows apart; the two of a vector lie side by side, or, where a row has an
odd number of them, in two planes. What a store writes past the end of a row the walk itself puts right: it goes down,
and from the last halves to the first. Only the last row of a plane ends exactly where it should.
"""

from __future__ import annotations

import numpy as np

from numbanet.kernels.cpu.kernel import device_function
from numbanet.kernels.cpu.simd.tails import load_upto
from numbanet.kernels.cpu.simd.vector import lane_index, select, splat, store

HALF = 8


@device_function
def halves_of(width):
    """How many halves a row of so many windows has."""
    return (width + HALF - 1) // HALF


@device_function
def in_halves(low, high):
    """low, low + 1, … in the lower eight lanes, high, high + 1, … in the upper ones."""
    lane = lane_index()
    return lane + select(lane < splat(np.int32(HALF)), splat(np.int32(low)), splat(np.int32(high - HALF)))


@device_function
def planes_at_once(halves, planes):
    """Two planes where rows have an odd number of halves, unless only one is left."""
    return min(1 + halves % 2, planes)


@device_function
def lines_with_border(band, pitch, left, x, width, first, last, height, border, available):
    """band[line − first, left + column] = x[line, column] for the lines first … last − 1, border at all other places.

    Lines lie ``pitch`` apart in the band; x[available] and what follows is not read. There is room for 15 elements
    behind the band: each line is written after what the one before it wrote too much."""
    for line in range(first, last):
        to = (line - first) * pitch
        end = to
        if 0 <= line < height:
            for i in range(to, to + left, 16):
                store(band, i, splat(border))
            for i in range(0, width, 16):
                store(band, to + left + i, load_upto(x, line * width + i, available - line * width - i))
            end = to + left + width
        for i in range(end, to + pitch, 16):
            store(band, i, splat(border))
