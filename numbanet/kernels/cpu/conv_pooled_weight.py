"""The gradient of a convolution behind which there is a max pool, for its weights.

grad_weight[o, ky, kx, c] = Σ grad[o, entry] · x[place of the entry + (ky, kx), c] over the entries that are not 0
(``pooled.py``): a tile is some rows of a patch by some vectors of a row, and a chain runs over the list of an output
channel, of one picture or some. The chains are added in order within a part of the batch, and the parts in order at
the end; all cuts are by the shape alone, so the bits do not depend on threads or lanes. For a pool of 2 × 2 that is a
quarter of the products of the forms that do not know of it.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from numbanet.kernels import threads
from numbanet.kernels.array import Array
from numbanet.kernels.contract import Pair
from numbanet.kernels.cpu.arguments import I64_FIELD, is_null, unpack, workspace
from numbanet.kernels.cpu.band import SLACK
from numbanet.kernels.cpu.conv_weight import MOST_PARTS, PART_ELEMENTS
from numbanet.kernels.cpu.gemm_pack import SMALL
from numbanet.kernels.cpu.geometry import Window, forward_walk, table
from numbanet.kernels.cpu.kernel import Kernel, kernel
from numbanet.kernels.cpu.pooled import (
    is_finite,
    is_listed,
    list_entries,
    pack_pixels,
    picture_size,
    pixel_of,
    places_of,
    spread_entries,
)
from numbanet.kernels.cpu.simd.lanes import as_ints
from numbanet.kernels.cpu.simd.pointers import F32, I32, U8
from numbanet.kernels.cpu.simd.tile import LANES, multiples, store_rows, zeros
from numbanet.kernels.cpu.simd.tile_load import add_multiple
from numbanet.kernels.cpu.simd.vector import lane_sum, load, splat, store

TILES = ((5, 2), (3, 3), (1, 10))
"""Rows of a patch by vectors of a row."""
PAIRED = (5, 1)
"""The tile of one channel, whose patches are so narrow that two chains take turns: one would wait for itself."""
CHAIN = 256
"""Entries of a chain, about. A constant, because the bits depend on it."""
BUNCH = 1 << 12
"""float32 of the pictures of a chain, about: half of the first-level cache. A constant as well."""
TASKS_A_THREAD = 4


class PooledWeightSums(NamedTuple):
    """Arguments of the kernels."""

    partial: F32
    grad: F32
    output: F32
    positions: U8
    x: F32
    places: I32
    pictures: I64_FIELD
    parts: I64_FIELD
    blocks: I64_FIELD
    part_size: I64_FIELD
    out_channels: I64_FIELD
    entries: I64_FIELD
    out_height: I64_FIELD
    out_width: I64_FIELD
    channels: I64_FIELD
    height: I64_FIELD
    width: I64_FIELD
    lines: I64_FIELD
    run: I64_FIELD
    pixel: I64_FIELD
    bunch: I64_FIELD
    band_rows: I64_FIELD
    band_size: I64_FIELD
    pitch: I64_FIELD
    pad_y: I64_FIELD
    pad_x: I64_FIELD
    line_step: I64_FIELD
    row_step: I64_FIELD
    column_step: I64_FIELD
    pool_row_step: I64_FIELD
    reciprocal: I64_FIELD
    capacity: I64_FIELD


class PooledPartSum(NamedTuple):
    """Arguments of sum_pooled_parts."""

    out: F32
    bias_out: F32
    partial: F32
    parts: I64_FIELD
    part_size: I64_FIELD
    out_channels: I64_FIELD
    channels: I64_FIELD
    kernel_y: I64_FIELD
    kernel_x: I64_FIELD
    lines: I64_FIELD
    run: I64_FIELD
    pixel: I64_FIELD


def make_weight_sums(rows: int, columns: int) -> Kernel:
    """The kernel whose tiles are this many rows of a patch by this many vectors of a row."""
    is_paired = (rows, columns) == PAIRED

    def pooled_weight_sums(start, stop, row, scratch):
        """partial[part][o][ky][kx · c], then [o] of the bias; a task is a block of output channels over one part."""
        p = unpack(row, PooledWeightSums)
        values = workspace(row, scratch)
        spots, numbers = as_ints(values + p.capacity), as_ints(values + 2 * p.capacity)
        band, lines = values + 3 * p.capacity, multiples(p.line_step, rows)
        nought = values + (p.capacity - 1)
        nought[0] = np.float32(0)
        for task in range(start, stop):
            part, block = task // p.blocks, task % p.blocks
            low, high = block * p.out_channels // p.blocks, (block + 1) * p.out_channels // p.blocks
            size = (high - low) * p.entries
            total = p.partial + part * p.part_size
            end = (part + 1) * p.pictures // p.parts
            add = 0
            for first in range(part * p.pictures // p.parts, end, p.bunch):
                pictures, finite = min(p.bunch, end - first), True
                for i in range(pictures):
                    x, at = band + i * p.band_size, ((first + i) * p.out_channels + low) * p.entries
                    pack_pixels(
                        x, p.x + (first + i) * p.channels * p.height * p.width, p.channels, p.height, p.width,
                        p.band_rows, p.pitch, p.pad_y, p.pad_x, p.pixel,
                    )  # fmt: skip
                    finite = finite and is_finite(x, p.band_rows * p.pitch * p.pixel)
                    output = p.output if is_null(p.output) else p.output + at
                    spread_entries(
                        values, spots, i * size, p.grad + at, output, p.positions + at,
                        p.places + i * p.out_channels * p.entries, size, p.pool_row_step, p.column_step, p.reciprocal,
                    )  # fmt: skip
                for o in range(low, high):
                    count, sums = 0, splat(np.float32(0))
                    for i in range(pictures):
                        count, more = list_entries(numbers, count, values, i * size + (o - low) * p.entries, p.entries)
                        sums = sums + more
                    for ky in range(0, p.lines, rows):
                        out = total + (o * p.lines + ky) * p.run
                        for column in range(0, p.run, columns * LANES):
                            patch = band + (ky * p.line_step + column)
                            acc = zeros(rows, columns)
                            if is_paired:
                                other = zeros(rows, columns)
                                for entry in range(1, count, 2):
                                    at, to = numbers[entry - 1], numbers[entry]
                                    acc = add_multiple(acc, values + at, patch + spots[at], lines)
                                    other = add_multiple(other, values + to, patch + spots[to], lines)
                                store_rows(other, out + column, p.run, add, 0)
                            for entry in range(count - count % 2 if is_paired else 0, count):
                                at = numbers[entry]
                                acc = add_multiple(acc, values + at, patch + spots[at], lines)
                            for position in range(0 if finite else pictures * p.out_height * p.out_width):
                                y, x = position // p.out_width, position % p.out_width
                                place = y // p.out_height * p.band_size + y % p.out_height * p.row_step
                                place += x * p.column_step
                                if not is_listed(numbers, count, spots, place):  # 0 · ∞ is NaN
                                    acc = add_multiple(acc, nought, patch + place, lines)
                            store_rows(acc, out + column, p.run, 1 if is_paired else add, 0)
                    bias = total + (p.out_channels * p.lines * p.run + o)
                    bias[0] = bias[0] + lane_sum(sums) if add else lane_sum(sums)
                add = 1
        return 0

    return kernel(PooledWeightSums, f"pooled_weight_sums_{rows}x{columns}")(pooled_weight_sums)


WEIGHT_SUMS = {tile: make_weight_sums(*tile) for tile in (*TILES, PAIRED)}


@kernel(PooledPartSum)
def sum_pooled_parts(start, stop, row, scratch):
    """out[o][c][ky][kx] and bias_out[o] = Σ_part partial[part], in order; a task is one output channel."""
    p = unpack(row, PooledPartSum)
    sums, size, area = workspace(row, scratch), p.lines * p.run, p.kernel_y * p.kernel_x
    for o in range(start, stop):
        for i in range(0, size, 16):  # what follows its end is another channel, or the bias
            total = load(p.partial, o * size + i)
            for part in range(1, p.parts):
                total = total + load(p.partial, part * p.part_size + o * size + i)
            store(sums, i, total)
        for c in range(p.channels):
            for ky in range(p.kernel_y):
                for kx in range(p.kernel_x):
                    at = (o * p.channels + c) * area + ky * p.kernel_x + kx
                    p.out[at] = sums[ky * p.run + kx * p.pixel + c]
        if not is_null(p.bias_out):
            at = p.out_channels * size + o
            value = p.partial[at]
            for part in range(1, p.parts):
                value = value + p.partial[part * p.part_size + at]
            p.bias_out[o] = value
    return 0


# --- planning --------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Plan:
    """How one gradient is cut, with its table and the words of its rows that the shape decides."""

    tile: Pair
    parts: int
    blocks: int
    part_size: int
    scratch: int
    places: Array
    words: tuple[int, ...]
    sums: tuple[int, ...]


def tile_of(kernel_y: int, vectors: int, channels: int) -> Pair:
    """The tile that takes the least time for a patch: it waits for its chains if they are few, and some is spare."""
    if channels == 1:
        return PAIRED

    def time(tile: Pair) -> float:
        rows, columns = tile
        return -(-kernel_y // rows) * -(-vectors // columns) * (1.5 + max(4.0, 0.55 * rows * columns))

    return min(TILES, key=time)


@functools.lru_cache(maxsize=512)
def make_plan(
    window: Window, pool_kernel: Pair, pool_stride: Pair, pictures: int, channels: int, out_channels: int,
    thread_count: int,
) -> Plan:  # fmt: skip
    """The cut and the table."""
    walk, pixel = forward_walk(window), 1 if channels == 1 else pixel_of(channels)
    kernel_y, kernel_x = window.kernel
    rows, columns = tile_of(kernel_y, -(-kernel_x * pixel // LANES), channels)
    lines, run = -(-kernel_y // rows) * rows, -(-kernel_x * pixel // (columns * LANES)) * columns * LANES
    part_size = -(-out_channels * (lines * run + 1) // 16) * 16
    parts = max(1, min(pictures, MOST_PARTS, PART_ELEMENTS // (out_channels * channels * window.area)))
    # Rows of a tile beyond the filter, and the end of the last vector, read on. Rows that are whole cache lines apart
    # would be loaded one after the other.
    band_rows = walk.band_rows(window.out_height) + (lines - kernel_y) * window.dilation[0]
    pitch = walk.pitch if pixel > 1 else walk.pitch + (8 - walk.pitch) % 16
    band_size = -(-(band_rows * pitch * pixel + SLACK + run) // 16) * 16
    places, pool_row_step, column_step, reciprocal = places_of(
        window, pool_kernel, pool_stride, out_channels, pitch, pixel
    )
    entries = places.size // out_channels
    bunch = min(max(1, min(BUNCH // picture_size(window, channels), CHAIN // entries)), -(-pictures // parts))
    blocks = min(out_channels, -(-TASKS_A_THREAD * thread_count // parts))
    places = table(np.arange(bunch)[:, None] * band_size + places)
    capacity = -(-bunch * places.size // 16) * 16 + 16
    words = (
        out_channels, entries, window.out_height, window.out_width, channels, window.height, window.width, lines, run,
        pixel, bunch, band_rows, band_size, pitch, *window.padding, window.dilation[0] * pitch * pixel,
        window.stride[0] * pitch * pixel, column_step, pool_row_step, reciprocal, capacity,
    )  # fmt: skip
    sums = (out_channels, channels, kernel_y, kernel_x, lines, run, pixel)
    return Plan((rows, columns), parts, blocks, part_size, 3 * capacity + bunch * band_size, places, words, sums)


def append_sums(
    program, grad, output, positions, x, shape: tuple[int, ...], window: Window, pool_kernel: Pair, pool_stride: Pair
) -> Array:
    """Append the row that computes the parts of a gradient of this shape from x and grad at positions, which output
    (or None) masks. Returns the parts."""
    plan = make_plan(window, pool_kernel, pool_stride, *x.shape[:2], shape[0], threads.get_num_threads())
    partial = program.workspace((plan.parts * plan.part_size + 16,))
    args = PooledWeightSums(
        partial, grad, output, positions, x, program.keep(plan.places), x.shape[0], plan.parts, plan.blocks,
        plan.part_size, *plan.words,
    )  # fmt: skip
    tasks = plan.parts * plan.blocks
    chunk = tasks if grad.size * window.area * x.shape[1] < SMALL else 1
    program.append(WEIGHT_SUMS[plan.tile], tasks, args, chunk=chunk, scratch=plan.scratch)
    return partial


def append_total(
    program, out, bias_out, partial: Array, x, window: Window, pool_kernel: Pair, pool_stride: Pair
) -> None:
    """Append the row that adds the parts up to out and bias_out (or None)."""
    plan = make_plan(window, pool_kernel, pool_stride, *x.shape[:2], out.shape[0], threads.get_num_threads())
    args = PooledPartSum(out, bias_out, partial, plan.parts, plan.part_size, *plan.sums)
    chunk = out.shape[0] if partial.size < SMALL else 1
    program.append(sum_pooled_parts, out.shape[0], args, chunk=chunk, scratch=args.lines * args.run + 16)
