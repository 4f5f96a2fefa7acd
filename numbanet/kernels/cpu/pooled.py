"""What the gradients of a convolution behind a max pool share: entries, lists of them, and pictures by pixels.

A max pool passes each gradient on to one cell of its window, so the gradient that reaches the convolution before it is
zero but for one position a window: an *entry*, its value and its place. Each entry that is not zero is multiplied with
a *patch*: what its window sees of the input, or all weights of its output channel. So that a row of a patch is one
run of memory, the channels of a pixel lie side by side.
"""

from __future__ import annotations

import numpy as np

from numbanet.kernels.contract import Pair
from numbanet.kernels.cpu.arguments import is_null
from numbanet.kernels.cpu.band import SLACK, pack_band
from numbanet.kernels.cpu.geometry import Window
from numbanet.kernels.cpu.kernel import device_function
from numbanet.kernels.cpu.simd.lanes import load_bytes, transpose_eight
from numbanet.kernels.cpu.simd.listing import append_lanes
from numbanet.kernels.cpu.simd.tile import LANES
from numbanet.kernels.cpu.simd.vector import any_lane, load, load_first, select, shift_right, splat, store

RECIPROCAL = 16
"""A cell's row in its window is (cell · ⌈2^16 / columns⌉) >> 16: exact for the 256 cells that a byte can number."""
BAND = 1 << 14
"""float32 of a picture by pixels, at most: half of the first-level cache twice over."""
ENTRIES = 1 << 13
"""Entries of a picture, at most: their values, places and lists take three times as much of the cache."""


WHOLE = max(8, LANES)
"""What the channels of a pixel are filled up to a multiple of: a vector, or what is transposed at once."""


def pixel_of(channels: int) -> int:
    """float32 of a pixel of several channels."""
    return -(-channels // WHOLE) * WHOLE


def places_of(
    window: Window, pool_kernel: Pair, pool_stride: Pair, out_channels: int, pitch: int, pixel: int
) -> tuple[np.ndarray, int, int, int]:
    """Of each pool window of all output channels the place of its first cell in a band; what a row and a cell add to
    it, the latter counted through the window; and the number by which a cell is divided to find its row."""
    rows, columns = ((n - k) // s + 1 for n, k, s in zip(window.out_size, pool_kernel, pool_stride, strict=True))
    row_step, step = window.stride[0] * pitch * pixel, window.stride[1] * pixel
    places = np.arange(rows)[:, None] * (pool_stride[0] * row_step) + np.arange(columns) * (pool_stride[1] * step)
    reciprocal = -(-(1 << RECIPROCAL) // pool_kernel[1])
    return np.tile(places.ravel(), out_channels), row_step - pool_kernel[1] * step, step, reciprocal


def picture_size(window: Window, channels: int) -> int:
    """float32 of a padded picture by pixels, about: by the shape alone, not by the lanes."""
    pixel = 1 if channels == 1 else -(-channels // 8) * 8
    return (window.height + 2 * window.padding[0]) * (window.width + 2 * window.padding[1]) * pixel


def fits(window: Window, entries: int, channels: int, out_channels: int) -> bool:
    """Whether a picture and its entries are neither too few for vectors nor too many for the caches, by the shape
    alone. Of a pixel's lanes at least a half are at work; one channel has those of its neighbours beside it."""
    uses_lanes = window.kernel[1] >= 4 if channels == 1 else 2 * channels >= -(-channels // 8) * 8
    is_small = entries * out_channels <= ENTRIES and picture_size(window, channels) <= BAND
    return entries >= 16 and is_small and uses_lanes


@device_function
def spread_entries(values, spots, at, grad, output, positions, places, size, row_step, step, reciprocal):
    """values[at + i] = grad[i] and spots[at + i] = its place in the band, for i < size, which is 16 at least.

    Where there is an ``output``, grad counts only where that is not at or below 0 (the gradient of a ReLU)."""
    zero, masked = splat(np.float32(0)), not is_null(output)
    for begin in range(0, size, 16):
        i = min(begin, size - 16)  # the last vector is shifted back inside: what it writes twice is the same
        value = load(grad, i)
        if masked:
            value = select(load(output, i) <= zero, zero, value)
        store(values, at + i, value)
        cell = load_bytes(positions, i, i + 8)
        y = shift_right(cell * splat(np.int32(reciprocal)), RECIPROCAL)
        place = load(places, i) + y * splat(np.int32(row_step)) + cell * splat(np.int32(step))
        store(spots, at + i, place)


@device_function
def list_entries(numbers, count, values, first, size):
    """Append the numbers first + i of the entries that are not 0, i < size, to a list; returns how long it is then, and
    the sum of all in 16 lanes."""
    zero = splat(np.float32(0))
    sums = zero
    for i in range(0, size, 16):
        value = load_first(values, first + i, size - i)
        sums = sums + value
        count = append_lanes(numbers, count, value != zero, first + i)
    return count, sums


@device_function
def is_listed(numbers, count, spots, place):
    """Whether an entry of the list is at this place: there the gradient is not 0."""
    found = False
    for entry in range(count):
        found = found or spots[numbers[entry]] == place
    return found


@device_function
def is_finite(x, count):
    """Whether none of the first ``count`` elements of x is infinite or NaN."""
    zero, whole = splat(np.float32(0)), count // 16 * 16
    sums = load_first(x, whole, count - whole) * zero
    for i in range(0, whole, 16):
        sums = sums + load(x, i) * zero
    return not any_lane(sums != sums)


@device_function
def pack_pixels(out, x, channels, height, width, rows, pitch, pad_y, pad_x, pixel):
    """out[row][column][c] = x[c][row − pad_y][column − pad_x] of x (channels, height, width), c < pixel.

    Outside x are zeros, and slack of them at the end. The channels beyond the last are numbers that nobody looks at."""
    if pixel == 1:
        pack_band(out, x, 1, height, width, 0, rows, 1, pitch, pad_y, pad_x)
        return
    for i in range(0, rows * pitch * pixel + SLACK, 16):
        store(out, i, splat(np.float32(0)))
    count = min(width, pitch - pad_x)
    for row in range(pad_y, min(rows, height + pad_y)):
        for c in range(0, channels, 8):
            target = out + ((row * pitch + pad_x) * pixel + c)
            source, some = x + (c * height + row - pad_y) * width, min(8, channels - c)
            for i in range(0, count, 8):
                at = min(i, count - 8)  # as above
                if at >= 0:
                    transpose_eight(target + at * pixel, pixel, source + at, height * width, some)
                else:
                    for j in range(count):
                        for k in range(some):
                            target[j * pixel + k] = source[k * height * width + j]
