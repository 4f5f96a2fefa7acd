"""The gradient of a convolution behind which there is a max pool, for its input.

grad_input[place of the entry + (ky, kx), c] += grad[o, entry] · weight[o, ky, kx, c] for each entry that is not 0
(``pooled.py``), output channel by output channel: the weights of a channel, a patch, are added to a band that stays in
the first-level cache and becomes rows of channels at the end. For a pool of 2 × 2 that is a quarter of the products of
the forms that do not know of it. An element is one chain over (o, entry), whoever does it. A task is a picture.
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
from numbanet.kernels.cpu.gemm_pack import SMALL
from numbanet.kernels.cpu.geometry import Window, forward_walk, table
from numbanet.kernels.cpu.kernel import Kernel, device_function, kernel
from numbanet.kernels.cpu.pooled import WHOLE, is_finite, is_listed, list_entries, pixel_of, places_of, spread_entries
from numbanet.kernels.cpu.simd.lanes import as_ints, transpose_eight
from numbanet.kernels.cpu.simd.pointers import F32, I32, U8
from numbanet.kernels.cpu.simd.tile import LANES, multiples
from numbanet.kernels.cpu.simd.tile_load import add_multiple_to
from numbanet.kernels.cpu.simd.vector import load_first, splat, store, store_first

TILES = ((5, 5), (3, 3), (1, 3), (1, 1))
"""Rows of a patch by pixels (WHOLE float32 of them) that are added at once: divisors of their numbers; several rows if
they are whole ones, because these follow each other in memory."""
CHAIN = 1 << 10
"""Products of an element with all weights that meet it, at most; of which a quarter count."""
TASKS_A_THREAD = 4


class PooledInputGradient(NamedTuple):
    """Arguments of the kernels."""

    out: F32
    grad: F32
    output: F32
    positions: U8
    weight: F32
    places: I32
    out_channels: I64_FIELD
    entries: I64_FIELD
    out_height: I64_FIELD
    out_width: I64_FIELD
    channels: I64_FIELD
    height: I64_FIELD
    width: I64_FIELD
    kernel_y: I64_FIELD
    run: I64_FIELD
    pixel: I64_FIELD
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


class PatchPack(NamedTuple):
    """Arguments of pack_patches."""

    out: F32
    weight: F32
    channels: I64_FIELD
    area: I64_FIELD
    pixel: I64_FIELD


@kernel(PatchPack)
def pack_patches(start, stop, row, scratch):
    """out[o][ky][kx][c] = weight[o][c][ky][kx], 0 beyond the last channel; a task is an output channel."""
    p = unpack(row, PatchPack)
    for o in range(start, stop):
        out, weight = p.out + o * p.area * p.pixel, p.weight + o * p.channels * p.area
        for tap in range(p.area):
            for c in range(p.pixel):
                out[tap * p.pixel + c] = weight[c * p.area + tap] if c < p.channels else np.float32(0)
    return 0


@device_function
def unpack_pixels(out, band, block, channels, height, width, pitch, pixel):
    """out[c][y][x] = band[y][x][c] for c < channels; eight channels are turned at once, the last ones by way of
    ``block``, because there may be fewer."""
    plane = height * width
    for c in range(0, channels, 8):
        is_whole = c + 8 <= channels
        target = out + c * plane if is_whole else block
        for y in range(height):
            for i in range(0, width, 8):
                at = max(min(i, width - 8), 0)  # the last block is shifted back inside
                source = band + ((y * pitch + at) * pixel + c)
                transpose_eight(target + (y * width + at), plane, source, pixel, min(8, width - at))
        if not is_whole:
            size = (channels - c) * plane
            for i in range(0, size, 16):
                store_first(out + c * plane, i, load_first(block, i, size - i), size - i)


@device_function
def add_products_with_zero(out, patch, kernel_y, run, line_step):
    """out[ky][i] += 0 · patch[ky][i]: NaN where that is not finite."""
    for ky in range(kernel_y):
        for i in range(run):
            out[ky * line_step + i] = out[ky * line_step + i] + np.float32(0) * patch[ky * run + i]


def make_input_gradient(rows: int, columns: int) -> Kernel:
    """The kernel that adds this many rows of a patch by this many pixels at once."""
    vectors = columns * WHOLE // LANES

    def pooled_input_gradient(start, stop, row, scratch):
        """out = Σ grad · weight over the entries; a task is a picture."""
        p = unpack(row, PooledInputGradient)
        values = workspace(row, scratch)
        spots, numbers = as_ints(values + p.capacity), as_ints(values + 2 * p.capacity)
        band, zero = values + 3 * p.capacity, splat(np.float32(0))
        block, lines = band + p.band_size, multiples(p.line_step, rows)
        for task in range(start, stop):
            at = task * p.out_channels * p.entries
            output = p.output if is_null(p.output) else p.output + at
            spread_entries(
                values, spots, 0, p.grad + at, output, p.positions + at, p.places, p.out_channels * p.entries,
                p.pool_row_step, p.column_step, p.reciprocal,
            )  # fmt: skip
            for i in range(0, p.band_size, 16):
                store(band, i, zero)
            for o in range(p.out_channels):
                count, _ = list_entries(numbers, 0, values, o * p.entries, p.entries)
                patch = p.weight + o * p.kernel_y * p.run
                for entry in range(count):
                    value, where = values + numbers[entry], band + spots[numbers[entry]]
                    for ky in range(0, p.kernel_y, rows):
                        for column in range(0, p.run, vectors * LANES):
                            at = where + (ky * p.line_step + column)
                            add_multiple_to(at, lines, value, patch + (ky * p.run + column), rows, vectors)
                if not is_finite(patch, p.kernel_y * p.run):
                    for position in range(p.out_height * p.out_width):
                        y, x = position // p.out_width, position % p.out_width
                        place = y * p.row_step + x * p.column_step
                        if not is_listed(numbers, count, spots, place):
                            add_products_with_zero(band + place, patch, p.kernel_y, p.run, p.line_step)
            picture = p.out + task * p.channels * p.height * p.width
            inner = band + (p.pad_y * p.pitch + p.pad_x) * p.pixel
            unpack_pixels(picture, inner, block, p.channels, p.height, p.width, p.pitch, p.pixel)
        return 0

    return kernel(PooledInputGradient, f"pooled_input_gradient_{rows}x{columns}")(pooled_input_gradient)


INPUT_GRADIENTS = {tile: make_input_gradient(*tile) for tile in TILES}


def wins(window: Window, channels: int, out_channels: int) -> bool:
    """Whether the chains are no longer than a few hundred products, channels fill half of a vector, and rows one.

    A quarter of the products remains, but each reads and writes its sum in memory: of a 5 × 5 layer of 6 to 16 channels
    one takes 1.8 cycles, where the direct forms need 0.6 for each of four."""
    return out_channels * window.area <= CHAIN and channels >= 4 and window.width >= 8


# --- planning --------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Plan:
    """How one gradient is done, with its table and the words of its row that the shape decides."""

    tile: Pair
    scratch: int
    places: Array
    words: tuple[int, ...]


def tile_of(kernel_y: int, pixels: int) -> Pair:
    """The largest tile of which a patch of these rows and pixels a row is made."""
    return next(
        (rows, columns)
        for rows, columns in TILES
        if kernel_y % rows == 0 and pixels % columns == 0 and (rows == 1 or pixels == columns)
    )


@functools.lru_cache(maxsize=512)
def make_plan(window: Window, pool_kernel: Pair, pool_stride: Pair, channels: int, out_channels: int) -> Plan:
    """The tile and the table."""
    walk, pixel = forward_walk(window), pixel_of(channels)
    kernel_y, kernel_x = window.kernel
    pitch, run = max(walk.pitch, window.padding[1] + window.width), kernel_x * pixel
    band_rows = max(walk.band_rows(window.out_height), window.padding[0] + window.height)
    places, pool_row_step, column_step, reciprocal = places_of(
        window, pool_kernel, pool_stride, out_channels, pitch, pixel
    )
    # Eight pixels are turned at once, more than a narrow picture may have.
    band_size = -(-(band_rows * pitch + 8) * pixel // 16) * 16
    capacity = -(-places.size // 16) * 16 + 16
    words = (
        out_channels, places.size // out_channels, window.out_height, window.out_width, channels, window.height,
        window.width, kernel_y, run, pixel, band_size, pitch, *window.padding, window.dilation[0] * pitch * pixel,
        window.stride[0] * pitch * pixel, column_step, pool_row_step, reciprocal, capacity,
    )  # fmt: skip
    scratch = 3 * capacity + band_size + 8 * window.height * window.width + 8
    return Plan(tile_of(kernel_y, run // WHOLE), scratch, table(places), words)


def append_pack(program, weight, window: Window) -> Array:
    """Append the row that packs the patches of weights. Returns them."""
    out_channels, channels = weight.shape[:2]
    pixel = pixel_of(channels)
    packed = program.workspace((out_channels * window.area * pixel,))
    chunk = out_channels if packed.size < 1 << 14 else 1
    args = PatchPack(packed, weight, channels, window.area, pixel)
    program.append(pack_patches, out_channels, args, chunk=chunk, same_level=True)
    return packed


def append(
    program, out, grad, output, positions, packed: Array, window: Window, pool_kernel: Pair, pool_stride: Pair
) -> None:
    """Append the row that computes out from packed weights and grad at positions, which output (or None) masks."""
    (pictures, channels), out_channels = out.shape[:2], grad.shape[1]
    plan = make_plan(window, pool_kernel, pool_stride, channels, out_channels)
    args = PooledInputGradient(out, grad, output, positions, packed, program.keep(plan.places), *plan.words)
    is_small = out.size * window.area * out_channels < SMALL
    chunk = pictures if is_small else max(1, pictures // (8 * TASKS_A_THREAD * threads.get_num_threads()))
    program.append(INPUT_GRADIENTS[plan.tile], pictures, args, chunk=chunk, scratch=plan.scratch)
