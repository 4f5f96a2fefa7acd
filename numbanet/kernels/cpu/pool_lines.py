"""Walks down planes in halves of eight windows, two at a time: for pools whose vectors run along lines.

The halves of a row of windows begin eight windows apart; the two of a vector lie side by side, or, where a row has an
odd number of them, in two planes. What a store writes past the end of a row the walk itself puts right: it goes down,
and from the last halves to the first. Only the last row of a plane ends exactly where it should.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from numbanet.kernels.cpu.elementwise import named_after
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


# --- forward, for windows of 3 × 3 cells two apart -------------------------------------------------------------------
def over_halves(down: Callable) -> Callable:
    """The walk that does the rows first … last − 1 of windows of one or two planes, which lie x_size apart from x on.

    ``down`` does those of two halves; ``plane`` is the number of the first plane."""

    def halves_walk(p, x, pitch, x_size, plane, planes, first, last, ahead, spare):
        halves, most = halves_of(p.out_width), max(p.out_width - HALF, 0)
        end = planes * halves - 1
        for half in range(0, end + 1, 2):
            following = min(half + 1, end)
            j, next_j = min(half % halves * HALF, most), min(following % halves * HALF, most)
            down(
                p, x, pitch, x_size, plane, half // halves, j, following // halves, next_j, first, last, ahead, spare
            )  # fmt: skip

    return device_function(named_after(down, halves_walk))


def over_planes(down: Callable, border: np.float32) -> Callable:
    """The walk over the planes start … stop − 1, in bands of rows, where ``border`` lies around the pictures.

    Lines are read where they lie if nothing outside of them is looked at, else from a copy with the border."""
    of_planes = over_halves(down)

    def planes_walk(p, start, stop, spare):
        band, pitch = spare + 32, p.pad_x + p.width + 3
        size, room = p.height * p.width, (2 * p.band + 1) * pitch
        reach = 2 * p.out_height * p.width + 2 * max(p.out_width - HALF, 0) + 18
        is_between = 2 * p.out_height - p.pad_y < p.height and 2 * p.out_width - p.pad_x < p.width
        plane = start
        while plane < stop:
            planes = planes_at_once(halves_of(p.out_width), stop - plane)
            x, available = p.x + plane * size, (p.planes - plane) * size
            is_inside = is_between and plane >= p.pad_x and (planes - 1) * size + reach <= available
            for y in range(0, p.out_height, p.band):
                last = min(y + p.band, p.out_height)
                top, bottom = 2 * y - p.pad_y, 2 * last - p.pad_y + 1
                ahead = x + (bottom - 1) * p.width if last < p.out_height else x + planes * size
                if is_inside:
                    begin = x + (top * p.width - p.pad_x)
                    of_planes(p, begin, p.width, size, plane, planes, y, last, ahead, spare)
                    continue
                for i in range(planes):
                    lines_with_border(
                        band + i * room, pitch, p.pad_x, x + i * size, p.width, top, bottom, p.height, border,
                        available - i * size,
                    )  # fmt: skip
                of_planes(p, band, pitch, room, plane, planes, y, last, ahead, spare)
            plane += planes
        return 0

    return device_function(named_after(down, planes_walk))
